package server

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"weak"

	"pktvisor/metric"
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
func (s *Server) snapshot(ctx context.Context, b *metric.Bucket, body metric.Compression) (*page, error) {
	pages := s.sealed
	if body == metric.Zstd {
		pages = s.zstd
	}
	return pages.get(ctx, weak.Make(b), nil, false, typeSnapshot, func() []byte {
		return b.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "pktvisord " + s.cfg.Version, Compression: body})
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
	buckets, next := s.sealedSince(since, int(min(limit, maxSnapshots)))
	h := w.Header()
	if next != nil {
		link := fmt.Sprintf("?since=%d", next.Start)
		if q.Has("limit") {
			link += fmt.Sprintf("&limit=%d", limit)
		}
		if q.Has("body") {
			link += "&body=" + q.Get("body")
		}
		h.Set("Link", "<"+link+`>; rel="next"`)
	}
	if unchanged(w, r, s.listTag(buckets, next, body)) {
		return
	}
	h.Set("Content-Type", typeSnapshot)
	if r.Method == http.MethodHead {
		return
	}
	for i, b := range buckets {
		p, err := s.snapshot(r.Context(), b, body)
		if err != nil {
			if i == 0 {
				h.Del("Link")
				failBusy(w, r, err)
				return
			}
			panic(http.ErrAbortHandler) // so that the client sees that the answer is incomplete
		}
		if _, err := w.Write(p.body); err != nil {
			return // the client is gone
		}
	}
}

// sealedSince returns up to limit of the sealed buckets that start at or after a time, oldest first. It also returns
// the bucket after them, or nil. A clock that was set back makes buckets that start at the same second; these are
// returned together, even beyond the limit.
func (s *Server) sealedSince(since int64, limit int) (buckets []*metric.Bucket, next *metric.Bucket) {
	for _, b := range s.cfg.Window.Sealed() {
		if b.Start >= since {
			buckets = append(buckets, b)
		}
	}
	slices.SortStableFunc(buckets, func(a, b *metric.Bucket) int { return int(max(min(a.Start-b.Start, 1), -1)) })
	for limit < len(buckets) && buckets[limit].Start == buckets[limit-1].Start {
		limit++
	}
	if limit < len(buckets) {
		return buckets[:limit], buckets[limit]
	}
	return buckets, nil
}

// listTag returns the ETag of an answer with these buckets without making the answer. A sealed bucket does not change,
// so its address and its time identify it.
func (s *Server) listTag(buckets []*metric.Bucket, next *metric.Bucket, body metric.Compression) string {
	list := fmt.Appendf(nil, "%d %t %d", s.nonce, next != nil, body)
	for _, b := range buckets {
		list = fmt.Appendf(list, " %p %d %d", b, b.Start, b.End)
	}
	sum := sha256.Sum256(list)
	return fmt.Sprintf(`W/"%x"`, sum[:12])
}
