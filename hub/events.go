package hub

import (
	"net/http"
	"slices"

	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/server"
	"pktvisor/timeline"
)

// passOn passes on changes of minutes until their channel is closed. Then it ends all streams.
func (h *Hub) passOn(changes <-chan store.Key) {
	defer h.events.End()
	for k := range changes {
		if k.Level == rollup.Minute1 {
			h.events.Send(server.MinuteEvent{Start: k.Start, Policy: k.Policy, Group: k.Group}.Event())
		}
	}
}

// serveEvents answers with the minutes of all hosts, or of those with one of some tags.
func (h *Hub) serveEvents(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	policy, err := timeline.One(q, "policy")
	var groups []string
	if err == nil {
		groups, err = timeline.Tags(q, "tag")
	}
	if err == nil && q.Has("host") {
		err = timeline.Bad("host: events are of all hosts or of a tag")
	}
	if err != nil {
		server.Fail(w, r, err)
		return
	}
	if len(groups) == 0 {
		groups = []string{rollup.All}
	}
	h.events.Serve(w, r, func(e server.Event) bool {
		return slices.Contains(groups, e.Group) && (policy == "" || e.Policy == policy)
	}, nil)
}
