package collect

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/hub/store"
)

// calls is a sink that takes a second for each call. It refuses every third snapshot with its number.
type calls struct {
	mu      sync.Mutex
	sizes   []int
	running int
	most    int
}

func (s *calls) PutRaws(_ context.Context, puts []store.Put) (errs []error) {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(puts))
	s.running++
	s.most = max(s.most, s.running)
	s.mu.Unlock()
	time.Sleep(time.Second)
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	for _, p := range puts {
		var err error
		if n, _ := strconv.Atoi(string(p.Data)); n%3 == 0 {
			err = errors.New(string(p.Data))
		}
		errs = append(errs, err)
	}
	return errs
}

// TestCommit: snapshots that come together are stored together, at most two calls run at once, and each caller gets its own
// answer.
func TestCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &calls{}
		c := &committer{sink: sink}
		var wg sync.WaitGroup
		began := time.Now()
		for round := range 2 { // the second one after all is quiet
			for i := range 300 {
				wg.Go(func() {
					err := c.put(t.Context(), store.Put{Data: []byte(strconv.Itoa(i))})
					if want := i%3 == 0; (err != nil) != want || want && err.Error() != strconv.Itoa(i) {
						t.Errorf("%d: %v", i, err)
					}
				})
			}
			wg.Wait()
			// Of the first calls, each may have few. The others are full: 300 are at most 2 + 5 calls, two at once.
			if took := time.Since(began); took > time.Duration(4*(round+1))*time.Second || sink.most > maxBatches {
				t.Errorf("it took %v, %d calls at once: %v", took, sink.most, sink.sizes)
			}
		}
		synctest.Wait() // until the last drains have ended
		for _, n := range sink.sizes {
			if n == 0 || n > maxBatch {
				t.Errorf("calls with %v", sink.sizes)
			}
		}
		if c.running != 0 || len(c.waiting) != 0 {
			t.Errorf("%d run, %d wait", c.running, len(c.waiting))
		}
	})
}
