package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// period is the length of a bucket in seconds.
const period = 60

// span is the time of a bucket.
type span struct{ start, length int64 }

// watch is what is known about sealed buckets.
type watch struct {
	mu      sync.Mutex
	sealed  map[int64][]byte // the JSON of each bucket, by its start
	starts  []int64          // when the agent was started, in Unix seconds
	checked int
}

func newWatch() *watch {
	return &watch{sealed: make(map[int64][]byte), starts: []int64{time.Now().Unix()}}
}

// restarting notes a restart. The agent then reads the buckets from before it from disk, with fewer rows in their
// tables, and there is a gap.
func (w *watch) restarting() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.starts = append(w.starts, time.Now().Unix())
	clear(w.sealed)
}

// watchBuckets reads all sealed buckets now and then, and checks them.
func (s *soak) watchBuckets(ctx context.Context) {
	for wait(ctx, 5*time.Second) {
		epoch := s.agent.epoch.Load()
		if epoch%2 == 1 {
			continue
		}
		bodies, err := s.sealedBuckets(ctx)
		if s.agent.epoch.Load() != epoch || ctx.Err() != nil || bodies == nil && err == nil {
			continue
		}
		if err == nil {
			err = s.watch.check(bodies)
		}
		if err != nil {
			s.fail("buckets: %v", err)
		}
	}
}

// sealedBuckets reads the JSON of the sealed buckets, newest first. It returns none if a minute ended meanwhile.
func (s *soak) sealedBuckets(ctx context.Context) ([][]byte, error) {
	var bodies [][]byte
	for n := 1; ; n++ {
		status, body, err := s.agent.get(ctx, fmt.Sprintf("/api/v1/metrics/bucket/%d", n))
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			break // there are no more
		}
		bodies = append(bodies, body)
	}
	if len(bodies) == 0 {
		return nil, nil
	}
	if _, again, err := s.agent.get(ctx, "/api/v1/metrics/bucket/1"); err != nil || !bytes.Equal(again, bodies[0]) {
		return nil, err
	}
	return bodies, nil
}

// check checks that sealed buckets, newest first, are whole, follow each other and have not changed.
func (w *watch) check(bodies [][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var later *span
	for i, body := range bodies {
		b, err := parseSpan(body)
		if err != nil {
			return err
		}
		if before, ok := w.sealed[b.start]; ok && !bytes.Equal(before, body) {
			return fmt.Errorf("the one of %d has changed:\n%s\n%s", b.start, before, body)
		}
		w.sealed[b.start] = body
		w.checked++
		aligned := b.start%period == 0 && b.length == period
		if !aligned && !w.started(b.start, b.start+b.length) {
			return fmt.Errorf("bucket/%d is from %d, %d seconds long: not a whole minute", i+1, b.start, b.length)
		}
		if later != nil && b.start+b.length != later.start && !w.started(b.start+b.length, later.start) {
			return fmt.Errorf("bucket/%d ends at %d, and the next begins at %d", i+1, b.start+b.length, later.start)
		}
		later = &b
	}
	return nil
}

// started reports whether the agent was started at about that time. A bucket at the beginning or end of a run may be
// shorter than a minute, and there is a gap between two runs.
func (w *watch) started(from, to int64) bool {
	const about = 15 // seconds from the order to stop until it captures again
	return from <= to && slices.ContainsFunc(w.starts, func(t int64) bool { return from <= t+about && t-about <= to })
}

func parseSpan(body []byte) (span, error) {
	var v struct {
		M struct {
			Period struct {
				Start  int64 `json:"start_ts"`
				Length int64 `json:"length"`
			} `json:"period"`
		} `json:"1m"`
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return span{}, fmt.Errorf("%w: %.200s", err, body)
	}
	return span{v.M.Period.Start, v.M.Period.Length}, nil
}
