package timeline

import (
	"net/http"
	"strconv"

	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/sketch"
)

// rangeView answers with the summary of a stretch of time.
func (t *timeline) rangeView(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := t.Source.Select(r.Context(), q)
	if err != nil {
		return nil, err
	}
	from, to, err := t.rangeOf(q)
	if err != nil {
		return nil, err
	}
	rows, err := Number(q, "rows", 10, 1, sketch.DefaultSlots)
	if err != nil {
		return nil, err
	}
	b, extent, err := sel.Merge(r.Context(), nil, from, to)
	if err != nil {
		return nil, err
	}
	o := metric.JSONOptions{Key: strconv.FormatInt((to-from)/minute.Seconds, 10) + "m", Rows: rows}
	if t.Fleet {
		o.Extra = []metric.ExtraSection{{Name: "fleet", Value: extent.About}}
	}
	return append(b.AppendJSON(nil, o), '\n'), nil
}
