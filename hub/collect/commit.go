package collect

import (
	"context"
	"sync"

	"pktvisor/hub/store"
)

// Sink stores host-minutes. A [store.Store] is one.
type Sink interface {
	// PutRaws stores snapshots durably, each once, and returns an error for each. It does not keep their data. The error is a
	// [*store.RefusedError] for a snapshot that can never be stored. After any other error, it is tried again.
	PutRaws(ctx context.Context, puts []store.Put) []error
}

const (
	// maxBatch bounds the snapshots that are stored by one call, and maxBatches the calls that run at once. One waits for the
	// disk while the other is prepared.
	maxBatch   = 64
	maxBatches = 2
)

// committer stores snapshots of several requests together: those that come while others are being stored wait, and are then
// stored by one call. A call for many costs little more than one for a single snapshot, because both wait for the disk once.
type committer struct {
	sink Sink

	mu      sync.Mutex
	waiting []pending
	running int // calls
}

// pending is a snapshot that waits, and the channel for its error.
type pending struct {
	store.Put
	done chan error
}

// put stores a snapshot. It does not return before the sink has, so that its data may be used again. The end of ctx does not
// interrupt the sink, because the call is also for others.
func (c *committer) put(ctx context.Context, what store.Put) error {
	p := pending{what, make(chan error, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, p)
	if c.running < maxBatches {
		c.running++
		go c.drain(context.WithoutCancel(ctx))
	}
	c.mu.Unlock()
	return <-p.done
}

// drain stores what waits until nothing does.
func (c *committer) drain(ctx context.Context) {
	puts := make([]store.Put, 0, maxBatch)
	for {
		batch := c.take()
		if len(batch) == 0 {
			return
		}
		puts = puts[:0]
		for _, p := range batch {
			puts = append(puts, p.Put)
		}
		for i, err := range c.sink.PutRaws(ctx, puts) {
			batch[i].done <- err
		}
		clear(puts)
	}
}

// take removes up to maxBatch of the waiting snapshots. If there is none, the calling drain ends.
func (c *committer) take() []pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.waiting), maxBatch)
	batch := c.waiting[:n:n]
	c.waiting = c.waiting[n:]
	if n == 0 {
		c.running--
		c.waiting = nil
	}
	return batch
}
