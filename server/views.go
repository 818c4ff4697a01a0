package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"weak"

	"pktvisor/metric"
)

// settle is how long after its end a second is complete in the window: the shards without packets
// wait half a second before they take it as over.
const settle = 600 * time.Millisecond

// lastSecond returns the last second (Unix time) that the window has whole.
func lastSecond() int64 { return time.Now().Add(-settle).Unix() - 1 }

const typeJSON = "application/json"

// bucket answers with one bucket.
func (s *Server) bucket(w http.ResponseWriter, r *http.Request) {
	periods := s.cfg.Window.Periods()
	n, err := strconv.Atoi(r.PathValue("period"))
	if err != nil || n < 0 || n >= periods {
		fail(w, http.StatusBadRequest, "bucket %q: give 0 (the live one) to %d", r.PathValue("period"), periods-1)
		return
	}
	view := "bucket/" + strconv.Itoa(n)
	snapshot := wantsSnapshot(r)
	if n == 0 {
		if snapshot {
			fail(w, http.StatusNotAcceptable, "bucket 0 is live: only finished minutes, from 1 on, are to be had as %s", typeSnapshot)
			return
		}
		second := lastSecond()
		s.cache.get(view, second, typeJSON, func() []byte {
			return s.render(s.cfg.Window.Bucket(0), "1m", second)
		}).serve(w, r)
		return
	}
	b := s.cfg.Window.Bucket(n)
	if b == nil {
		fail(w, http.StatusNotFound, "bucket %d: there are only %d finished minutes yet", n, len(s.cfg.Window.Sealed()))
		return
	}
	if snapshot {
		s.snapshot(b).serve(w, r)
		return
	}
	// A sealed bucket does not change. Weak: a cached page must not keep a bucket from its end.
	s.cache.get(view, weak.Make(b), typeJSON, func() []byte { return s.render(b, "1m", 0) }).serve(w, r)
}

// window answers with the merge of the newest buckets.
func (s *Server) window(w http.ResponseWriter, r *http.Request) {
	periods := s.cfg.Window.Periods()
	n, err := strconv.Atoi(r.PathValue("count"))
	if err != nil || n < 2 || n > periods {
		fail(w, http.StatusBadRequest, "window %q: give 2 to %d", r.PathValue("count"), periods)
		return
	}
	second := lastSecond()
	s.cache.get("window/"+strconv.Itoa(n), second, typeJSON, func() []byte {
		return s.render(s.cfg.Window.Merged(n), strconv.Itoa(n)+"m", second)
	}).serve(w, r)
}

// render makes the JSON of a bucket, which is nil before there is one. The live rates are those of
// the given second, left out where the bucket does not have it.
func (s *Server) render(b *metric.Bucket, key string, second int64) []byte {
	if b == nil {
		b = s.empty
	}
	if second < b.Start {
		second = 0
	}
	return append(b.AppendJSON(nil, metric.JSONOptions{Key: key, LiveSecond: second}), '\n')
}

// rates answers with the rates of the last whole second. The names are the original's (packets in
// and out), then those of the metrics.
func (s *Server) rates(w http.ResponseWriter, r *http.Request) {
	second := lastSecond()
	body := []byte("{")
	s.cfg.Window.Second(second, func(b *metric.Bucket) {
		if b == nil {
			b = s.empty
		}
		for _, section := range b.Sections {
			body = appendRates(body, section, second)
		}
	})
	body = fmt.Appendf(body, "\"period\":{\"start_ts\":%d,\"length\":1}}\n", second)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", typeJSON)
	w.Write(body) // a reader that is gone needs no answer
}

// appendRates appends the member of a section that has rates.
func appendRates(dst []byte, s *metric.Section, second int64) []byte {
	var original, all []byte
	for i := range s.Table.Descs {
		d := &s.Table.Descs[i]
		if d.Kind != metric.KindRate {
			continue
		}
		name, v := d.Path[strings.LastIndexByte(d.Path, '.')+1:], s.Rate(i).At(second)
		if direction, ok := strings.CutPrefix(name, "pps_"); ok && direction != "total" {
			original = fmt.Appendf(original, "%q:%d,", direction, v)
		}
		all = fmt.Appendf(all, "%q:%d,", name, v)
	}
	if len(all) == 0 {
		return dst
	}
	all = append(original, all...)
	return fmt.Appendf(dst, "%q:{%s},", s.Table.Section, all[:len(all)-1])
}
