package server

import (
	"encoding/json"
	"net/http"

	"pktvisor/api"
	"pktvisor/metric"
)

// tablesOf answers with the declaration of the metrics of a policy. It does not change as long as the policy is there.
func (s *Server) tablesOf(w http.ResponseWriter, r *http.Request) {
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	n := sel.life
	if n == nil {
		n = &s.fleet
	}
	n.tablesOnce.Do(func() {
		n.tables = newPage(sel.Key, typeJSON, tablesJSON(s.tables(sel)))
		n.tables.best = true
	})
	s.send(w, r, n.tables)
}

// tablesJSON returns the declaration of all metrics in views.
func tablesJSON(tables []*metric.Table) []byte {
	out := api.Tables{Sections: []api.Section{}}
	for _, t := range tables {
		s := api.Section{Name: t.Section, Title: t.Title, Help: t.Help, Metrics: []api.Metric{}}
		for i := range t.Descs {
			d := &t.Descs[i]
			s.Metrics = append(s.Metrics, api.Metric{
				Path: d.Path, Kind: api.MetricKind(d.Kind.String()), Unit: api.Unit(d.Unit.Name),
				Title: d.Title, Help: d.Help, Group: d.Group, Label: d.Label, Now: d.ShowNow, Slots: d.Slots, Exact: d.ExactKeys(),
			})
		}
		out.Sections = append(out.Sections, s)
	}
	b, err := json.Marshal(out)
	if err != nil { // strings and integers: a bug in the program
		panic(err)
	}
	return append(b, '\n')
}
