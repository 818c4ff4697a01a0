package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"weak"

	"pktvisor/metric"
)

// typeSnapshot is the media type of snapshots; docs/snapshot.md has their form.
const typeSnapshot = "application/vnd.pktvisor.snapshot"

// wantsSnapshot tells whether a request names the media type of snapshots among those it accepts.
func wantsSnapshot(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		mediaType, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(mediaType), typeSnapshot) {
			return true
		}
	}
	return false
}

// snapshot returns a sealed bucket in binary form.
func (s *Server) snapshot(b *metric.Bucket) *page {
	return s.cache.get(fmt.Sprintf("snapshot/%d", b.Start), weak.Make(b), typeSnapshot, func() []byte {
		return b.AppendSnapshot(nil, metric.SnapshotOptions{Host: s.cfg.Host, Agent: "pktvisord " + s.cfg.Version})
	})
}

// snapshots answers with the sealed buckets that start at or after a time, one after the other,
// oldest first.
func (s *Server) snapshots(w http.ResponseWriter, r *http.Request) {
	var since int64
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = strconv.ParseInt(text, 10, 64); err != nil {
			fail(w, http.StatusBadRequest, "since %q: give a Unix time in seconds", text)
			return
		}
	}
	var body []byte
	for _, b := range s.cfg.Window.Sealed() {
		if b.Start >= since {
			body = append(body, s.snapshot(b).body...)
		}
	}
	newPage(typeSnapshot, body).serve(w, r)
}
