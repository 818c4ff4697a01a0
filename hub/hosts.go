package hub

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"pktvisor/hub/collect"
	"pktvisor/hub/rollup"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/server"
)

// The states of a host: its newest minute ended at most upFor seconds ago, at most lateFor seconds ago, or earlier.
const (
	stateUp   = "up"
	stateLate = "late"
	stateAway = "away"

	upFor, lateFor = 90, 300
)

// The times that are looked at, in seconds. A host that was not there for longer is forgotten, unless it is pulled.
const (
	hourSeen = 3600
	daySeen  = 86400
)

// maxBoots bounds the boot numbers that are remembered of a host, and minClock is the least difference of clocks, in
// seconds, that is inferred from when minutes arrive.
const (
	maxBoots = 16
	minClock = 5
)

// hostState is a host of the fleet.
type hostState struct {
	Host  string            `json:"host"`
	State string            `json:"state"`
	Tags  map[string]string `json:"tags"`
	Agent string            `json:"agent,omitempty"`
	// URL is where it is pulled from.
	URL string `json:"url,omitempty"`
	// Newest is the end of its newest minute, and Lag how long after that it arrived.
	Newest int64  `json:"newest_end_ts,omitempty"`
	LagS   *int64 `json:"lag_s,omitempty"`
	// Minutes is how many minutes of the last hour it delivered, MissingMinutes how many it did not deliver since the first.
	Minutes        int    `json:"minutes"`
	MissingMinutes int    `json:"missing_minutes"`
	Lost           uint64 `json:"lost"`
	Boots          int    `json:"boots"`
	Conflict       bool   `json:"conflict"`
	ClockS         *int64 `json:"clock_offset_s,omitempty"`
	Error          string `json:"error,omitempty"`

	tags                 metric.Tags
	first, last, arrived int64 // starts of minutes, and when the newest arrived
	boots                []uint64
	leastLag             int64
}

// roster is all hosts by name.
type roster struct {
	now, newest int64 // of the fleet: the start of its newest minute, or 0
	hosts       map[string]*hostState
}

// roster reads the hosts of a policy.
func (h *Hub) roster(ctx context.Context, policy string) (*roster, error) {
	r := &roster{now: h.cfg.Now().Unix(), hosts: make(map[string]*hostState)}
	end := minute.Of(r.now)
	// The day first: what is known from minutes then replaces what is known from hours.
	err := h.reader.Members(ctx, rollup.Hour1, policy, rollup.All, end-daySeen, end, func(_ int64, members []rollup.Member) {
		for i := range members {
			r.host(members[i].Host).newer(&members[i])
		}
	})
	if err != nil {
		return nil, failure(err)
	}
	err = h.reader.Members(ctx, rollup.Minute1, policy, rollup.All, end-hourSeen, end, func(start int64, members []rollup.Member) {
		r.newest = max(r.newest, start)
		for i := range members {
			r.host(members[i].Host).add(start, &members[i])
		}
	})
	if err != nil {
		return nil, failure(err)
	}
	r.targets(h.cfg.Targets)
	r.finish()
	return r, nil
}

// checkHosts returns an error if none of the named hosts is known: they have no minute of the last day, and are not pulled.
func (h *Hub) checkHosts(ctx context.Context, policy string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	all, err := h.roster(ctx, policy)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(names, func(name string) bool { return all.hosts[name] != nil }) {
		return nil
	}
	return &server.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("host %.255q: there is no such host with policy %s: /api/v1/fleet lists the hosts", names[0], policy)}
}

func (r *roster) host(name string) *hostState {
	s := r.hosts[name]
	if s == nil {
		s = &hostState{Host: name}
		r.hosts[name] = s
	}
	return s
}

// newer notes what a member says about its host, if nothing newer is known.
func (s *hostState) newer(m *rollup.Member) {
	if m.End >= s.Newest {
		s.Newest, s.arrived, s.tags, s.Agent = m.End, m.Arrived, m.Tags, m.Agent
	}
}

// add notes a host-minute. They come in order of time.
func (s *hostState) add(start int64, m *rollup.Member) {
	lag := m.Arrived - m.End
	switch {
	case s.Minutes == 0:
		s.first, s.leastLag, s.Minutes = start, lag, 1
	case start != s.last:
		s.Minutes++
	}
	s.last, s.leastLag = start, min(s.leastLag, lag)
	s.Lost += m.Lost
	s.newer(m)
	switch n := len(s.boots); {
	case n > 0 && s.boots[n-1] == m.Boot:
	case slices.Contains(s.boots, m.Boot):
		s.Conflict = true // a process does not come back: there are two hosts of this name
	case n < maxBoots:
		s.boots = append(s.boots, m.Boot)
	}
}

// targets adds what is known of the agents that are pulled.
func (r *roster) targets(of func() []collect.Status) {
	if of == nil {
		return
	}
	for _, t := range of() {
		names := t.Hosts
		if len(names) == 0 && t.Error != "" {
			names = []string{t.URL} // its name is not known yet
		}
		for _, name := range names {
			s := r.host(name)
			s.URL, s.Error, s.Conflict = t.URL, t.Error, s.Conflict || t.Conflict != ""
			if offset := int64(t.Clock.Round(1e9).Seconds()); offset != 0 {
				s.ClockS = &offset
			}
		}
	}
}

// finish completes the states of all hosts.
func (r *roster) finish() {
	usual := r.usualLag()
	for _, s := range r.hosts {
		s.Tags = maps.Collect(s.tags.All())
		s.Boots = len(s.boots)
		switch age := r.now - s.Newest; {
		case age <= upFor:
			s.State = stateUp
		case age <= lateFor:
			s.State = stateLate
		default:
			s.State = stateAway
		}
		if s.Newest > 0 {
			lag := s.arrived - s.Newest
			s.LagS = &lag
		}
		if s.Minutes > 0 {
			s.MissingMinutes = int((r.newest-s.first)/minute.Seconds) + 1 - s.Minutes
			if ahead := usual - s.leastLag; s.ClockS == nil && (ahead >= minClock || ahead <= -minClock) {
				s.ClockS = &ahead
			}
		}
	}
}

// usualLag returns the median of the hosts' least lags. A host whose minutes arrive much earlier or later after their end
// has another clock.
func (r *roster) usualLag() int64 {
	var lags []int64
	for _, s := range r.hosts {
		if s.Minutes > 0 {
			lags = append(lags, s.leastLag)
		}
	}
	if len(lags) == 0 {
		return 0
	}
	slices.Sort(lags)
	return lags[len(lags)/2]
}

// list returns the hosts by name.
func (r *roster) list() []*hostState {
	return slices.SortedFunc(maps.Values(r.hosts), func(a, b *hostState) int { return cmp.Compare(a.Host, b.Host) })
}
