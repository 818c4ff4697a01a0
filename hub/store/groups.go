package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// maxTime bounds the times of rollups as it bounds those of snapshots.
const maxTime = 1 << 40

// starts returns the starts of a group's rollups from from and before to, in order. If there are not many, they may
// include some that do not exist.
func (s *Store) starts(ctx context.Context, l rollup.Level, policy, group string, from, to int64) ([]int64, error) {
	step := l.Seconds()
	from, to = max(from, -maxTime), min(to, maxTime)
	first := l.Of(from)
	if first < from {
		first += step
	}
	if to <= first {
		return nil, nil
	}
	if n := uint64(to-first-1)/uint64(step) + 1; n <= maxGuess {
		starts := make([]int64, n)
		for i := range starts {
			starts[i] = first + int64(i)*step
		}
		return starts, nil
	}
	ctx, cancel := within(ctx)
	defer cancel()
	series := s.names.series(l, policy, group)
	subjects, err := s.subjectsOf(ctx, l, series+"*")
	if err != nil {
		return nil, err
	}
	var starts []int64
	for subj := range subjects {
		start, err := strconv.ParseInt(strings.TrimPrefix(subj, series), 10, 64)
		if err == nil && start >= from && start < to {
			starts = append(starts, start)
		}
	}
	slices.Sort(starts)
	return starts, nil
}

// subjectsOf returns the subjects of a level's stream that match the filter. The stream's leader answers.
func (s *Store) subjectsOf(ctx context.Context, l rollup.Level, filter string) (map[string]uint64, error) {
	info, err := s.info(ctx, l, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// info asks the leader of a stream for its state. Level 0 is the stream of snapshots.
func (s *Store) info(ctx context.Context, l rollup.Level, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	if err := s.connected(); err != nil {
		return nil, err
	}
	return s.streams[l].Info(ctx, options...)
}

// knownGroups are the groups of each policy. They are listed at times, and new ones are added as they are stored.
type knownGroups struct {
	mu     sync.Mutex
	listed time.Time
	all    map[string]map[string]bool
}

// listEvery is how often the groups are listed, to forget those whose last rollup is gone.
const listEvery = 10 * time.Minute

// maxGroups bounds the groups that are remembered.
const maxGroups = 100_000

func (g *knownGroups) add(policy, group string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.addLocked(policy, group)
}

func (g *knownGroups) addLocked(policy, group string) {
	if g.all == nil {
		g.all = map[string]map[string]bool{}
	}
	if g.all[policy] == nil && len(g.all) < maxGroups {
		g.all[policy] = map[string]bool{}
	}
	if groups := g.all[policy]; groups != nil && len(groups) < maxGroups {
		groups[group] = true
	}
}

// forget makes the next call of Groups list them.
func (g *knownGroups) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listed = time.Time{}
}

// Groups returns the groups of each policy of which there is a rollup of any level, in order.
func (s *Store) Groups(ctx context.Context) (map[string][]string, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	g := &s.groups
	g.mu.Lock()
	stale := time.Since(g.listed) > listEvery
	g.mu.Unlock()
	if stale {
		began := time.Now()
		listed := knownGroups{}
		for l := rollup.Minute1; l <= rollup.Day1; l++ {
			subjects, err := s.subjectsOf(ctx, l, s.names.subjects(l))
			if err != nil {
				return nil, s.failed("list the groups", err)
			}
			for subj := range subjects {
				if k, ok := s.names.key(subj); ok {
					listed.addLocked(k.Policy, k.Group)
				}
			}
		}
		g.mu.Lock()
		// Those that were added since it began may be missing in the list. They are listed the next time.
		for policy, groups := range listed.all {
			for group := range groups {
				g.addLocked(policy, group)
			}
		}
		g.listed = began
		g.mu.Unlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string][]string, len(g.all))
	for policy, groups := range g.all {
		all[policy] = slices.Sorted(maps.Keys(groups))
	}
	return all, nil
}

// changes hands the keys of stored rollups to those who listen.
type changes struct {
	mu        sync.Mutex
	listeners map[chan Key]struct{}
	closed    bool
}

// changesBuffer is how many keys wait for a slow listener before it misses some.
const changesBuffer = 1024

// Changes returns a channel of the keys of all rollups that are stored from now on, by any hub. A slow listener misses
// some. The channel is closed when ctx ends or the store is closed.
func (s *Store) Changes(ctx context.Context) <-chan Key {
	c := make(chan Key, changesBuffer)
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if s.changes.closed {
		close(c)
		return c
	}
	if s.changes.listeners == nil {
		s.changes.listeners = map[chan Key]struct{}{}
	}
	s.changes.listeners[c] = struct{}{}
	context.AfterFunc(ctx, func() { s.changes.remove(c) })
	return c
}

func (c *changes) remove(listener chan Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.listeners[listener]; ok {
		delete(c.listeners, listener)
		close(listener)
	}
}

// close closes the channels of all listeners.
func (c *changes) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for listener := range c.listeners {
		close(listener)
	}
	clear(c.listeners)
}

// follow subscribes to what JetStream announces after it has stored a rollup.
func (s *Store) follow() error {
	_, err := s.nc.Subscribe(s.config.Prefix+".changed.>", func(msg *nats.Msg) {
		k, ok := s.names.key(msg.Subject)
		if !ok {
			return
		}
		s.saw(k, number(msg, "Nats-Sequence"))
		s.changes.mu.Lock()
		defer s.changes.mu.Unlock()
		for listener := range s.changes.listeners {
			select {
			case listener <- k:
			default:
			}
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to the changes: %w", err)
	}
	return s.nc.FlushTimeout(attempt)
}
