package server

import (
	"encoding/json"

	"pktvisor/api"
	"pktvisor/metric"
)

// tablesJSON returns the answer of /api/v1/tables: the declaration of all metrics in views. It does not change while
// the agent runs.
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
