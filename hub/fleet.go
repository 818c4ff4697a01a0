package hub

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"pktvisor/hub/ingest"
	"pktvisor/hub/store"
	"pktvisor/timeline"
)

// The bounds of the answer of /api/v1/fleet.
const (
	defaultHosts = 1000
	maxHosts     = 10_000
	maxTags      = 1000
)

// fleetAnswer is the answer of /api/v1/fleet.
type fleetAnswer struct {
	Now      int64    `json:"now_ts"`
	Policy   string   `json:"policy"`
	Policies []string `json:"policies"`
	// Newest is the start of the newest minute of any host.
	Newest int64 `json:"newest_start_ts,omitempty"`
	// Count counts all hosts, whatever was asked for.
	Count hostCount `json:"count"`
	// Hosts are the selected ones by name, at most as many as asked for, and Selected is how many there are.
	Selected int          `json:"selected"`
	Hosts    []*hostState `json:"hosts"`
	Tags     []tagCount   `json:"tags"`
	Hub      hubState     `json:"hub"`
}

type hostCount struct {
	Total     int `json:"total"`
	Up        int `json:"up"`
	Late      int `json:"late"`
	Away      int `json:"away"`
	Conflicts int `json:"conflicts"`
}

// tagCount is a tag and how many hosts have it.
type tagCount struct {
	Tag   string `json:"tag"`
	Hosts int    `json:"hosts"`
}

// hubState is the state of this hub.
type hubState struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Start   int64          `json:"start_ts"`
	Store   storeState     `json:"store"`
	Ingest  *ingest.Status `json:"ingest,omitempty"`
	// Targets counts the agents that are pulled, by state. Those that other hubs pull are elsewhere.
	Targets map[string]int `json:"targets"`
	Streams int            `json:"event_streams"`
}

// storeState is the state of the store.
type storeState struct {
	Server         string            `json:"server"`
	Embedded       bool              `json:"embedded"`
	Connected      bool              `json:"connected"`
	Full           bool              `json:"full"`
	FreeBytes      uint64            `json:"free_bytes"`
	TotalBytes     uint64            `json:"total_bytes"`
	Waiting        uint64            `json:"waiting"`
	Unacknowledged uint64            `json:"unacknowledged"`
	Lost           uint64            `json:"lost"`
	Purged         uint64            `json:"purged"`
	Refused        map[string]uint64 `json:"refused"`
	Errors         uint64            `json:"errors"`
	Error          string            `json:"error,omitempty"`
	ErrorTS        int64             `json:"error_ts,omitempty"`
	Streams        []streamState     `json:"streams"`
}

type streamState struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	MaxBytes uint64 `json:"max_bytes,omitempty"`
	MaxAgeS  int64  `json:"max_age_s,omitempty"`
	First    int64  `json:"first_ts,omitempty"`
	Last     int64  `json:"last_ts,omitempty"`
	Replicas int    `json:"replicas"`
}

// fleet answers with the hosts of the fleet and the state of the hub.
func (h *Hub) fleet(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	limit, err := timeline.Number(q, "limit", defaultHosts, 0, maxHosts)
	if err != nil {
		return nil, err
	}
	state, err := timeline.One(q, "state")
	if err != nil {
		return nil, err
	}
	if state != "" && !slices.Contains([]string{stateUp, stateLate, stateAway}, state) {
		return nil, timeline.Bad("state %.50q: give %s, %s or %s", state, stateUp, stateLate, stateAway)
	}
	a := &fleetAnswer{Policies: []string{}, Hosts: []*hostState{}}
	if a.Policy, err = h.reader.Policy(r.Context(), sel.Policy); err != nil {
		return nil, failure(err)
	}
	policies, err := h.reader.Policies(r.Context())
	if err != nil {
		return nil, failure(err)
	}
	a.Policies = append(a.Policies, policies...)
	all, err := h.roster(r.Context(), a.Policy)
	if err != nil {
		return nil, err
	}
	a.Now, a.Newest, a.Count, a.Tags = all.now, all.newest, all.count(), all.tagCounts()
	for _, s := range all.list() {
		if len(sel.Hosts) > 0 && !slices.Contains(sel.Hosts, s.Host) || state != "" && s.State != state || !sel.Has(s.tags) {
			continue
		}
		if a.Selected++; len(a.Hosts) < limit {
			a.Hosts = append(a.Hosts, s)
		}
	}
	a.Hub = h.state()
	b, err := json.Marshal(a)
	return append(b, '\n'), err
}

func (r *roster) count() (c hostCount) {
	for _, s := range r.hosts {
		c.Total++
		switch s.State {
		case stateUp:
			c.Up++
		case stateLate:
			c.Late++
		default:
			c.Away++
		}
		if s.Conflict {
			c.Conflicts++
		}
	}
	return c
}

// tagCounts returns the tags of all hosts by name, at most [maxTags].
func (r *roster) tagCounts() []tagCount {
	hosts := make(map[string]int)
	for _, s := range r.hosts {
		for _, tag := range s.tags.List() {
			if _, ok := hosts[tag]; ok || len(hosts) < maxTags {
				hosts[tag]++
			}
		}
	}
	list := make([]tagCount, 0, len(hosts))
	for tag, n := range hosts {
		list = append(list, tagCount{tag, n})
	}
	slices.SortFunc(list, func(a, b tagCount) int { return cmp.Compare(a.Tag, b.Tag) })
	return list
}

// state returns the state of this hub.
func (h *Hub) state() hubState {
	s := hubState{Name: h.cfg.Name, Version: h.cfg.Version, Start: h.cfg.Started.Unix(), Store: stateOf(h.cfg.Store.Status()), Targets: h.targetStates()}
	if h.cfg.Ingest != nil {
		status := h.cfg.Ingest()
		s.Ingest = &status
	}
	s.Streams, _ = h.events.Count()
	return s
}

// targetStates counts the agents that are pulled by state.
func (h *Hub) targetStates() map[string]int {
	n := make(map[string]int)
	if h.cfg.Targets != nil {
		for _, t := range h.cfg.Targets() {
			n[string(t.State)]++
		}
	}
	return n
}

func stateOf(s store.Status) storeState {
	out := storeState{
		Server: s.Server, Embedded: s.Embedded, Connected: s.Connected, Full: s.Full, FreeBytes: s.Free, TotalBytes: s.Total,
		Waiting: s.Waiting, Unacknowledged: s.Unacknowledged, Lost: s.Lost, Purged: s.Purged,
		Refused: make(map[string]uint64), Errors: s.Errors, Error: s.Error, ErrorTS: unix(s.ErrorAt), Streams: []streamState{},
	}
	for reason, n := range s.Refused {
		out.Refused[string(reason)] = n
	}
	for _, m := range s.Streams {
		out.Streams = append(out.Streams, streamState{
			Name: m.Name, Messages: m.Messages, Bytes: m.Bytes, MaxBytes: m.MaxBytes, MaxAgeS: int64(m.MaxAge.Seconds()),
			First: unix(m.First), Last: unix(m.Last), Replicas: m.Replicas,
		})
	}
	return out
}

// unix returns a Unix time, or 0 for the zero time.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
