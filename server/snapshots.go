package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"weak"

	"pktvisor/metric"
	"pktvisor/window"
)

// typeSnapshot is the media type of snapshots. docs/snapshot.md describes their format.
const typeSnapshot = "application/vnd.pktvisor.snapshot"

const (
	// maxSnapshots bounds the snapshots in one answer.
	maxSnapshots = 120
	// maxSnapshotBytes bounds the cached snapshots of each compression, so that each is made once. It is enough for a day of busy minutes
	// of 20 to 40 kB each.
	maxSnapshotBytes = 64 << 20
)

// snapshot returns the page with a sealed bucket in binary form.
func (s *Server) snapshot(ctx context.Context, sel *Selection, b *metric.Bucket, body metric.Compression) (*page, error) {
	pages, o := s.sealed, s.cfg.Snapshots
	if body == metric.Zstd {
		pages = s.zstd
	}
	o.Compression = body
	return pages.get(ctx, slotKey{sel.Key, weak.Make(b)}, nil, false, typeSnapshot, func() ([]byte, error) {
		return b.AppendSnapshot(nil, o), nil
	})
}

// bodyOf returns how a request wants the bodies of snapshots to be compressed.
func bodyOf(q url.Values) (metric.Compression, error) {
	switch given := q["body"]; {
	case len(given) > 1:
		return 0, errors.New("body is given more than once: give deflate or zstd")
	case len(given) == 0 || given[0] == "deflate":
		return metric.Deflate, nil
	case given[0] == "zstd":
		return metric.Zstd, nil
	default:
		return 0, fmt.Errorf("body %.100q: give deflate or zstd", given[0])
	}
}

// snapshots answers with the sealed buckets that start at or after a time, concatenated, oldest first. It sends them
// one by one, and holds only one at a time. If an answer cannot hold them all, its Link header points to the next
// answer.
func (s *Server) snapshots(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	since, err := number(q, "since", 0, math.MinInt64, math.MaxInt64, "a Unix time in seconds")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	limit, err := number(q, "limit", maxSnapshots, 1, math.MaxInt64, "the maximum number of snapshots, at least 1")
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	body, err := bodyOf(q)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	if refuses(r, typeSnapshot) {
		fail(w, http.StatusNotAcceptable, "this route has only snapshots (%s), and Accept refuses them", typeSnapshot)
		return
	}
	sel, err := s.selection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	minutes, next, more := sealedSince(sel, since, int(min(limit, maxSnapshots)))
	if err := sel.failed(); err != nil {
		Fail(w, r, err)
		return
	}
	h := w.Header()
	if s.cfg.SnapshotHeader != nil {
		s.cfg.SnapshotHeader(h)
	}
	if more {
		q.Set("since", strconv.FormatInt(next, 10))
		h.Set("Link", "<?"+q.Encode()+`>; rel="next"`)
	}
	if unchanged(w, r, s.listTag(sel, minutes, more, body)) {
		return
	}
	h.Set("Content-Type", typeSnapshot)
	if r.Method == http.MethodHead {
		return
	}
	for i, m := range minutes {
		b := m.Bucket()
		p, err := (*page)(nil), sel.failed()
		if err == nil && b == nil {
			continue // it was dropped meanwhile
		}
		if err == nil {
			p, err = s.snapshot(r.Context(), sel, b, body)
		}
		if err != nil {
			if i == 0 {
				h.Del("Link")
				Fail(w, r, err)
				return
			}
			panic(http.ErrAbortHandler) // so that the client sees that the answer is incomplete
		}
		if _, err := w.Write(p.body); err != nil {
			return // the client is gone
		}
	}
}

// sealedSince returns up to limit of the sealed minutes that start at or after a time, oldest first. It also returns the
// start of the minute after them, if there are more. A clock that was set back makes buckets that start at the same second; these are
// returned together, even beyond the limit.
func sealedSince(v window.Views, since int64, limit int) (minutes []window.Minute, next int64, more bool) {
	for _, m := range v.Minutes() {
		if m.Start >= since {
			minutes = append(minutes, m)
		}
	}
	slices.SortStableFunc(minutes, func(a, b window.Minute) int { return cmp.Compare(a.Start, b.Start) })
	for limit < len(minutes) && minutes[limit].Start == minutes[limit-1].Start {
		limit++
	}
	if limit < len(minutes) {
		return minutes[:limit], minutes[limit].Start, true
	}
	return minutes, 0, false
}

// listTag returns the ETag of an answer with these minutes without making the answer.
func (s *Server) listTag(sel *Selection, minutes []window.Minute, more bool, body metric.Compression) string {
	list := fmt.Appendf(nil, "%d %q %t %d", s.nonce, sel.Key, more, body)
	for _, m := range minutes {
		switch v := m.Version.(type) {
		case *metric.Bucket:
			list = fmt.Appendf(list, " %p %d %d", v, m.Start, m.End)
		default:
			list = fmt.Appendf(list, " %v %d %d", v, m.Start, m.End)
		}
	}
	sum := sha256.Sum256(list)
	return fmt.Sprintf(`W/"%x"`, sum[:12])
}
