package timeline

import (
	"net/http"
	"slices"

	"pktvisor/api"
	"pktvisor/metric"
)

// The bounds of a history.
const (
	// maxNames is how many rows one request may ask for, and maxNameLen how long the name of one may be, in bytes.
	maxNames   = 50
	maxNameLen = 1024
	// maxCells bounds the rows and the total of all steps.
	maxCells = 20_000
)

// history answers with what some rows of a table had over time.
func (t *timeline) history(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := t.Source.Select(r.Context(), q)
	if err != nil {
		return nil, err
	}
	table, err := One(q, "table")
	if err != nil {
		return nil, err
	}
	if table == "" {
		return nil, Bad("give table=, for example table=dns.top_qname2: /api/v1/tables lists the tables")
	}
	metrics, tables, err := t.metricsOf([]string{table})
	if err != nil {
		return nil, err
	}
	w := &metrics[0]
	if tables[0].New().Rows(w.at) == nil {
		return nil, Bad("metric %s has no rows: /api/v1/series shows it over time", table)
	}
	names, err := namesOf(q["name"])
	if err != nil {
		return nil, err
	}
	by, err := One(q, "by")
	if err != nil {
		return nil, err
	}
	a := &api.History{Timeline: api.Timeline{Policy: sel.Policy()}, Table: table, Kind: w.desc.Kind.String(), Unit: w.desc.Unit.Name}
	if a.From, a.To, a.StepS, err = t.stepsOf(q); err != nil {
		return nil, err
	}
	var groups []string
	if by != "" {
		if groups, err = groupsBy(r.Context(), sel, by); err != nil {
			return nil, err
		}
		a.Groups = &api.Groups{By: by, Count: len(groups), Shown: len(groups)}
	}
	n := (a.To - a.From) / a.StepS
	if cells := n * int64((len(names)+1)*(len(groups)+1)); cells > maxCells {
		return nil, Bad("%d values, at most %d: ask for fewer names, a shorter time or a longer step", cells, maxCells)
	}
	rows := func(sel Selection) (total []*float64, list []api.RowHistory, extent Extent, err error) {
		buckets, extent, err := sel.Steps(r.Context(), tables, a.From, a.To, a.StepS, false)
		if err != nil {
			return nil, nil, extent, err
		}
		total, list = w.rowsOver(buckets, names)
		return total, list, extent, nil
	}
	var extent Extent
	if a.Total, a.Rows, extent, err = rows(sel); err != nil {
		return nil, err
	}
	a.MissingMinutes = extent.Missing
	for _, g := range groups {
		part := api.HistoryPart{Group: g}
		if part.Total, part.Rows, _, err = rows(sel.Part([]string{g})); err != nil {
			return nil, err
		}
		a.Parts = append(a.Parts, part)
	}
	return jsonOf(a)
}

// rowsOver returns the total of a table and its rows of some names in each step.
func (w *wanted) rowsOver(buckets []*metric.Bucket, names []string) (total []*float64, list []api.RowHistory) {
	total = make([]*float64, len(buckets))
	for _, name := range names {
		list = append(list, api.RowHistory{Name: name, Lower: make([]*float64, len(buckets)), Upper: make([]*float64, len(buckets))})
	}
	for i, b := range buckets {
		if b == nil {
			continue
		}
		rows := b.Sections[w.section].Rows(w.at)
		total[i] = new(float64(rows.Total()))
		for k, name := range names {
			lower, upper := rows.Bounds([]byte(name))
			list[k].Lower[i], list[k].Upper[i] = new(float64(lower)), new(float64(upper))
		}
	}
	return total, list
}

// namesOf returns the different names of a request.
func namesOf(given []string) ([]string, error) {
	if len(given) == 0 || len(given) > maxNames {
		return nil, Bad("give name= one to %d times: the names of rows, as the table shows them", maxNames)
	}
	var names []string
	for _, name := range given {
		if name == "" || len(name) > maxNameLen {
			return nil, Bad("name %.100q: give the name of a row, of at most %d bytes", name, maxNameLen)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}
