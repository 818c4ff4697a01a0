package store

import (
	"context"
	"crypto/rand"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leaseTimes are the times of leases. A lease that is not renewed ends after ttl at the server. Its holder takes it for
// lost after safe, which is earlier, so that clocks and networks have room.
type leaseTimes struct{ ttl, safe, renew time.Duration }

// defaultLease are the times of all hubs. Tests have shorter ones.
var defaultLease = leaseTimes{ttl: 10 * time.Second, safe: 8 * time.Second, renew: 3 * time.Second}

// Leases shares the partitions of the work among the hubs of a store. Each hub that runs has a key in a bucket, and each
// partition has one that names its holder. A hub takes at most its share: 16 divided by the number of hubs, rounded up.
// One that has more gives the rest back.
//
// Leases keep hubs from doing the same work twice. They do not make writes safe: the revisions of rollups do.
type Leases struct {
	store *Store
	hub   string

	mu      sync.Mutex
	leases  [Partitions]lease
	changed chan struct{}
	clock   func() time.Time
}

// lease is what a hub knows of its lease of a partition. It is held if the revision is not 0 and it is fresh.
type lease struct {
	revision uint64
	renewed  time.Time // before the request that renewed it was sent
}

// Leases returns the leases of this process, of which it holds none until Run.
func (s *Store) Leases() *Leases {
	return &Leases{store: s, hub: rand.Text(), changed: make(chan struct{}, 1), clock: time.Now}
}

// Held reports whether this hub has the partition now. Ask again before each piece of work: a hub that cannot reach the
// server has nothing after 8 seconds.
func (l *Leases) Held(partition int) bool {
	if partition < 0 || partition >= Partitions {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leases[partition].held(l.clock(), l.store.lease.safe)
}

func (l lease) held(now time.Time, safe time.Duration) bool {
	// The monotonic clock stands still while the machine sleeps, and the wall clock may be set back.
	return l.revision > 0 && now.Sub(l.renewed) < safe && now.Round(0).Sub(l.renewed.Round(0)) < safe
}

// All returns the partitions that this hub has now, in order.
func (l *Leases) All() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.allLocked()
}

func (l *Leases) allLocked() (all []int) {
	now := l.clock()
	for p := range l.leases {
		if l.leases[p].held(now, l.store.lease.safe) {
			all = append(all, p)
		}
	}
	return all
}

// Changed has a value when partitions were taken or lost since the last one.
func (l *Leases) Changed() <-chan struct{} { return l.changed }

// Run takes and renews leases until ctx ends. Then it gives them back, so that other hubs can take them at once.
func (l *Leases) Run(ctx context.Context) {
	before := []int{}
	for {
		step, cancel := context.WithTimeout(ctx, l.store.lease.renew)
		err := l.step(step)
		cancel()
		if ctx.Err() != nil || l.store.closed.Load() {
			l.release()
			return
		}
		if err != nil {
			l.store.note(err)
		}
		if now := l.All(); !slices.Equal(now, before) {
			l.store.log.Debug("leases changed", "partitions", now)
			before = now
			select {
			case l.changed <- struct{}{}:
			default:
			}
		}
		pause(ctx, l.store.lease.renew)
	}
}

func (l *Leases) stream() string { return "KV_" + l.store.names.base() + "_lease" }

func (l *Leases) subject(key string) string {
	return "$KV." + l.store.names.base() + "_lease." + key
}

// entries are the keys of the bucket.
type entries struct {
	hubs  map[string]bool
	parts [Partitions]struct {
		revision uint64 // of the last message, also of one that says that the key is deleted
		hub      string // "" for none
	}
}

// step says that this hub lives, renews what it has, gives back what is too much and takes what is free.
func (l *Leases) step(ctx context.Context) error {
	if _, err := l.publish(ctx, "hub."+l.hub, l.hub, nil); err != nil {
		return err
	}
	e, err := l.read(ctx)
	if err != nil {
		return err
	}
	share := (Partitions + len(e.hubs) - 1) / len(e.hubs)
	var work sync.WaitGroup
	for p := range Partitions {
		l.mu.Lock()
		mine := l.leases[p]
		l.mu.Unlock()
		if mine.revision == 0 {
			continue
		}
		if share--; share < 0 {
			work.Go(func() { l.giveBack(ctx, p) })
		} else {
			work.Go(func() { l.renew(ctx, p, mine.revision) })
		}
	}
	work.Wait()
	h := fnv.New32a()
	h.Write([]byte(l.hub))
	first := int(h.Sum32() % Partitions) // hubs begin at different ones
	for i := range Partitions {
		p := (first + i) % Partitions
		l.mu.Lock()
		mine := l.leases[p].revision > 0
		l.mu.Unlock()
		if share > 0 && !mine && e.parts[p].hub == "" {
			if l.renew(ctx, p, e.parts[p].revision) {
				share--
			}
		}
	}
	return nil
}

// read returns the keys of the bucket.
func (l *Leases) read(ctx context.Context) (entries, error) {
	e := entries{hubs: map[string]bool{l.hub: true}}
	req := directRequest{MultiLast: []string{l.subject(">")}}
	_, err := l.store.direct(ctx, l.stream(), req, func(m stored) error {
		key := strings.TrimPrefix(m.subject, l.subject(""))
		deleted := m.header.Get("KV-Operation") != ""
		if hub, ok := strings.CutPrefix(key, "hub."); ok {
			if !deleted {
				e.hubs[hub] = true
			}
			return nil
		}
		number, ok := strings.CutPrefix(key, "part.")
		p, err := strconv.Atoi(number)
		if !ok || err != nil || p < 0 || p >= Partitions {
			return nil
		}
		e.parts[p].revision = m.seq
		if !deleted {
			e.parts[p].hub = string(m.data)
		}
		return nil
	})
	if errors.Is(err, errNone) {
		err = nil
	}
	return e, err
}

// publish writes a key. If revision is not nil, the key must have it.
func (l *Leases) publish(ctx context.Context, key, value string, revision *uint64) (uint64, error) {
	m := nats.NewMsg(l.subject(key))
	m.Data = []byte(value)
	if value == "" {
		m.Header.Set("KV-Operation", "DEL")
	}
	options := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
	if revision != nil {
		options = append(options, jetstream.WithExpectLastSequencePerSubject(*revision))
	}
	ack, err := l.store.js.PublishMsg(ctx, m, options...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// renew takes or renews a partition whose key has the given revision. It reports whether this hub has it.
func (l *Leases) renew(ctx context.Context, p int, revision uint64) bool {
	now := l.clock()
	next, err := l.publish(ctx, "part."+strconv.Itoa(p), l.hub, &revision)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.leases[p] = lease{next, now}
	case isConflict(err) || !l.leases[p].held(l.clock(), l.store.lease.safe):
		l.leases[p] = lease{} // someone else's, or too old
	}
	return err == nil
}

// giveBack deletes the key of a partition, after which this hub does not count on it.
func (l *Leases) giveBack(ctx context.Context, p int) {
	l.mu.Lock()
	revision := l.leases[p].revision
	l.leases[p] = lease{}
	l.mu.Unlock()
	if revision > 0 {
		l.publish(ctx, "part."+strconv.Itoa(p), "", &revision)
	}
}

// release gives everything back.
func (l *Leases) release() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for p := range Partitions {
		l.giveBack(ctx, p)
	}
	l.publish(ctx, "hub."+l.hub, "", nil)
}
