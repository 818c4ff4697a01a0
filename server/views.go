package server

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"weak"

	"pktvisor/metric"
	"pktvisor/sketch"
)

const typeJSON = "application/json"

const (
	// defaultRows is the number of rows of a top table unless the request gives another; maxRows is the maximum of all
	// tables.
	defaultRows = 10
	maxRows     = sketch.DefaultSlots
	// Views above largeRows or largeWindow take much longer to make than those that terminals and dashboards ask for by
	// default.
	largeRows   = 100
	largeWindow = 10
	// maxViewBytes bounds the cached views, in bytes.
	maxViewBytes = 16 << 20
)

// view identifies a JSON view of a selection: the newest count buckets merged, or one bucket.
type view struct{ count, bucket, rows int }

// rows returns the number of rows that a request wants of each top table.
func rows(r *http.Request) (int, error) {
	n, err := number(r.URL.Query(), "rows", defaultRows, 1, math.MaxInt64, "the maximum number of rows of a table, at least 1")
	return int(min(n, maxRows)), err
}

// bucket answers with one bucket.
func (s *Server) bucket(w http.ResponseWriter, r *http.Request) {
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	periods := sel.Periods()
	n, err := strconv.Atoi(r.PathValue("period"))
	if err != nil || n < 0 || n >= periods {
		fail(w, http.StatusBadRequest, "bucket %q: give 0 (the live one) to %d", r.PathValue("period"), periods-1)
		return
	}
	rows, err := rows(r)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	body, err := bodyOf(r.URL.Query())
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	contentType := chooseType(r)
	switch {
	case contentType == "":
		fail(w, http.StatusNotAcceptable, "a bucket is available as %s, a finished one also as %s, and Accept refuses both", typeJSON, typeSnapshot)
		return
	case n == 0 && contentType == typeSnapshot:
		fail(w, http.StatusNotAcceptable, "bucket 0 is live: only finished minutes, from 1 on, are available as %s", typeSnapshot)
		return
	case n == 0:
		s.live(w, r, sel, view{0, 0, rows}, "1m", func() *metric.Bucket { return sel.Bucket(0) })
		return
	}
	b := sel.Bucket(n)
	if err := sel.failed(); err != nil {
		Fail(w, r, err)
		return
	}
	if b == nil {
		fail(w, http.StatusNotFound, "bucket %d: there are only %d finished minutes so far; the first one ends with the first UTC minute", n, len(sel.Minutes()))
		return
	}
	var p *page
	if contentType == typeSnapshot {
		p, err = s.snapshot(r.Context(), sel, b, body)
	} else {
		// A sealed bucket does not change. The pointer is weak so that a cached page does not keep the bucket alive.
		p, err = s.views.get(r.Context(), slotKey{sel.Key, view{0, n, rows}}, weak.Make(b), rows > largeRows, typeJSON, func() ([]byte, error) {
			return s.render(b, sel, "1m", 0, rows), nil
		})
	}
	if err != nil {
		Fail(w, r, err)
		return
	}
	s.send(w, r, p)
}

// window answers with the merge of the newest buckets.
func (s *Server) window(w http.ResponseWriter, r *http.Request) {
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	periods := sel.Periods()
	n, err := strconv.Atoi(r.PathValue("count"))
	if err != nil || n < 1 || n > periods {
		fail(w, http.StatusBadRequest, "window %q: give 1 (the live minute alone) to %d", r.PathValue("count"), periods)
		return
	}
	rows, err := rows(r)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	if refuses(r, typeJSON) {
		fail(w, http.StatusNotAcceptable, "a window is available as %s, and Accept refuses it", typeJSON)
		return
	}
	s.live(w, r, sel, view{n, 0, rows}, strconv.Itoa(n)+"m", func() *metric.Bucket { return sel.Merged(n) })
}

// live answers with a view that includes the live bucket. The view is made at most once a second.
func (s *Server) live(w http.ResponseWriter, r *http.Request, sel *Selection, v view, key string, bucket func() *metric.Bucket) {
	second := s.lastSecond()
	p, err := s.views.get(r.Context(), slotKey{sel.Key, v}, second, v.count > largeWindow || v.rows > largeRows, typeJSON, func() ([]byte, error) {
		b := bucket()
		return s.render(b, sel, key, second, v.rows), sel.failed()
	})
	if err != nil {
		Fail(w, r, err)
		return
	}
	s.send(w, r, p)
}

// render returns the JSON of a bucket, which may be nil. The live rates are those of the given second. They are left
// out if the bucket does not have that second.
func (s *Server) render(b *metric.Bucket, sel *Selection, key string, second int64, rows int) []byte {
	if b == nil {
		b = s.emptyOf(sel)
	}
	if second < b.Start {
		second = 0
	}
	return append(b.AppendJSON(nil, metric.JSONOptions{Key: key, LiveSecond: second, Rows: rows, Extra: sel.extra()}), '\n')
}

// rates answers with the rates of the last whole second.
func (s *Server) rates(w http.ResponseWriter, r *http.Request) {
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	body := s.ratesOf(sel, s.lastSecond())
	if err := sel.failed(); err != nil {
		Fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", typeJSON)
	w.Write(append(body, '\n')) // if the client is gone, nothing needs to be done
}

// ratesOf returns the rates of a second as JSON. The original's names (packets in and out) come first, then the names of the
// metrics.
func (s *Server) ratesOf(sel *Selection, second int64) []byte {
	body := []byte("{")
	sel.Second(second, func(b *metric.Bucket) {
		if b == nil {
			b = s.emptyOf(sel)
		}
		for _, section := range b.Sections {
			body = appendRates(body, section, second)
		}
	})
	return fmt.Appendf(body, "\"period\":{\"start_ts\":%d,\"length\":1}}", second)
}

// appendRates appends the member of a section that has rates, first under the original's names, then under their own.
func appendRates(dst []byte, s *metric.Section, second int64) []byte {
	var original, all []byte
	for i := range s.Table.Descs {
		d, rate := &s.Table.Descs[i], s.Rate(i)
		if rate == nil {
			continue
		}
		v := rate.At(second)
		if d.Alias != "" {
			original = fmt.Appendf(original, "%q:%d,", d.Alias, v)
		}
		all = fmt.Appendf(all, "%q:%d,", d.Path[strings.LastIndexByte(d.Path, '.')+1:], v)
	}
	if len(all) == 0 {
		return dst
	}
	all = append(original, all...)
	return fmt.Appendf(dst, "%q:{%s},", s.Table.Section, all[:len(all)-1])
}
