package hub

import (
	"net/http"
	"strconv"

	"pktvisor/hub/query"
	"pktvisor/hub/rollup"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/sketch"
)

// selected says what a summary is about: its member fleet.
type selected struct {
	Policy string   `json:"policy"`
	Tags   []string `json:"tags,omitempty"`
	Hosts  []string `json:"host_names,omitempty"`
	// From and To are the time that was asked for.
	From           int64          `json:"from_ts"`
	To             int64          `json:"to_ts"`
	Count          int            `json:"hosts"`
	HostMinutes    uint64         `json:"host_minutes"`
	Minutes        int            `json:"minutes"`
	MissingMinutes int            `json:"missing_minutes"`
	CoveredS       uint64         `json:"covered_s"`
	Rollups        map[string]int `json:"rollups"`
	Rates          bool           `json:"rates"`
	Damaged        int            `json:"damaged"`
}

// describe returns what a summary of a selection is about.
func (h *Hub) describe(policy string, sel query.Selection, info query.Info) *selected {
	s := &selected{
		Policy: policy, Tags: sel.Tags, Hosts: sel.Hosts, From: info.From, To: info.To, Count: info.Hosts, HostMinutes: info.HostMinutes,
		Minutes: info.Minutes, MissingMinutes: info.Missing, CoveredS: info.Covered, Rates: info.Rates, Damaged: info.Damaged, Rollups: map[string]int{},
	}
	for l := rollup.Minute1; l <= rollup.Day1; l++ {
		if n := info.Levels[l]; n > 0 {
			s.Rollups[l.String()] = n
		}
	}
	return s
}

// rangeView answers with the summary of a stretch of time.
func (h *Hub) rangeView(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	from, to, err := h.rangeOf(q, "from", "to")
	if err != nil {
		return nil, err
	}
	rows, err := number(q, "rows", 10, 1, sketch.DefaultSlots)
	if err != nil {
		return nil, err
	}
	policy, err := h.reader.Policy(r.Context(), sel.Policy)
	if err != nil {
		return nil, failure(err)
	}
	b, info, err := h.reader.Range(r.Context(), sel, from, to)
	if err != nil {
		return nil, failure(err)
	}
	key := strconv.FormatInt((to-from)/minute.Seconds, 10) + "m"
	extra := []metric.ExtraSection{{Name: "fleet", Value: h.describe(policy, sel, info)}}
	return append(b.AppendJSON(nil, metric.JSONOptions{Key: key, Rows: rows, Extra: extra}), '\n'), nil
}
