// Package window keeps the newest minutes of what was summarised.
//
//	shards ──Update──► live bucket ──minute ends──► closing ──grace──► Ring of sealed minutes ──► Views
//
// A bucket is a minute of packet time, aligned to the UTC minute. A [Window] has two open ones: the live one, and the one
// before it, the closing one, for packets and shards that are late. A packet of a later minute starts a new live bucket.
// The closing one is sealed, and does not change from then on, when its grace is over, and at the latest when the
// next minute starts. A minute in which nothing happened is a bucket too, an empty one.
//
// A clock that steps forward leaves empty buckets, but only once the closing bucket is sealed: one packet with a time
// far ahead removes nothing. A clock that steps back to before the minute before the live one starts a new live
// bucket at the earlier time, and the one that was live is the closing one. So buckets are numbered in the order in which
// they were filled, and two may be of one minute. When the clock comes back from there, no time has passed that was not
// there before. When a clock that was ahead is set right, the minutes that it skipped have not passed.
//
// Sealed minutes are in a [Ring], which can also be used without a window, for finished minutes that come late and out of
// order. Readers use [Views], which Window and [History] implement.
//
// The methods of Window may be called from any goroutine. One lock is for the open buckets' counts, and one for the keys of
// each section: while a shard adds many keys, which takes milliseconds, the others go on adding their counts. A
// view takes all locks while it copies the open buckets; packets never wait for it.
package window

import (
	"cmp"
	"runtime"
	"sync"
	"sync/atomic"

	"pktvisor/metric"
	"pktvisor/minute"
)

// Config says what a window keeps.
type Config struct {
	// Tables are the sections of its buckets.
	Tables []*metric.Table
	// Periods is how many buckets are kept, the live one included: 2 to [minute.MaxKept].
	Periods int
	// Shards is how many shards update the window.
	Shards int
	// Single makes one bucket of the whole time, for the summary of a file.
	Single bool
	// Slots is how many slots a top table of a sealed bucket has at most, a power of two; 0 is [SealedSlots] at scale 0.
	Slots int
	// Identity and DeepSamplePercent are written into every bucket.
	Identity          metric.Identity
	DeepSamplePercent int
	// OnSeal, if set, is called with each bucket that was sealed, in order, one at a time, without
	// the window's lock held. It must not update the window. Empty minutes that the clock has skipped are not
	// announced.
	OnSeal func(*metric.Bucket)
}

// Window is the newest minutes of what was summarised.
type Window struct {
	cfg Config

	mu      sync.Mutex
	keys    []sync.Mutex // for each section, over the keys of the open buckets; taken after mu
	live    *metric.Bucket
	closing *metric.Bucket
	turn    atomic.Uint64  // changes before a bucket is sealed
	last    [][]lastKeys   // of each shard and section; used by one goroutine at a time
	closeAt int64          // wall time at which the closing bucket is sealed
	skipped run            // minutes without packets between the closing and the live bucket
	at      []int64        // period of the latest second of each shard
	newest  int64          // start of the latest minute that was ever live
	sealed  *Ring          // of Periods-1 minutes, or of Periods before there is a live bucket
	totals  *metric.Bucket // counters, histograms and changes of gauges of all that was sealed
	resumed *metric.Bucket // what an earlier run counted in a period that is open now
	wall    int64          // the time of the latest call

	announcing sync.Mutex       // held while OnSeal is called; taken before mu
	news       []*metric.Bucket // sealed and not announced yet; under mu
	unheard    atomic.Bool      // there are news: for those who do not have mu
}

// lastKeys is the bucket whose keys were locked last for a shard, for which second and in which turn.
type lastKeys struct {
	bucket *metric.Bucket
	second int64
	turn   uint64
}

// New makes an empty window.
func New(cfg Config) *Window {
	w := &Window{cfg: cfg, at: make([]int64, cfg.Shards), last: make([][]lastKeys, cfg.Shards), keys: make([]sync.Mutex, len(cfg.Tables))}
	for i := range w.last {
		w.last[i] = make([]lastKeys, len(cfg.Tables))
	}
	w.totals = w.newBucket()
	w.sealed = NewRing(RingConfig{
		Tables: cfg.Tables, Minutes: cfg.Periods, Slots: cmp.Or(cfg.Slots, SealedSlots(cfg.Periods, 0)),
		Identity: cfg.Identity, DeepSamplePercent: cfg.DeepSamplePercent,
	})
	return w
}

func (w *Window) newBucket() *metric.Bucket {
	b := metric.NewBucket(w.cfg.Tables)
	b.Identity, b.DeepSamplePercent = w.cfg.Identity, w.cfg.DeepSamplePercent
	return b
}

// Update lets shard add what it counted in the given second of packet time (Unix time): its counters, rates
// and histograms, but no keys. add is called once, with the bucket that the second belongs to and the second to
// count it at, and must not keep the bucket. wall is the time now (Unix time), from which the grace counts.
func (w *Window) Update(shard int, second, wall int64, add func(b *metric.Bucket, second int64)) {
	w.mu.Lock()
	b, second := w.bucketFor(shard, second, wall)
	add(b, second)
	w.unlock()
}

// LockKeys is for the keys of one section, given by its place among the bucket's, what Update is for the counts: it
// locks the top tables and cardinalities of the section of the bucket that a shard's second belongs to, not its
// counts. From then on until [Window.UnlockKeys], every seal or read of the bucket waits, and the caller must not
// call the window. Different sections of a shard may be locked by different goroutines.
func (w *Window) LockKeys(shard, section int, second, wall int64) *metric.Section {
	// A flush locks a hundred times, each time the same.
	last := &w.last[shard][section]
	w.lockSection(section)
	if b := last.bucket; b != nil && last.second == second && last.turn == w.turn.Load() {
		return b.Sections[section]
	}
	w.keys[section].Unlock()
	for {
		w.mu.Lock()
		b, _ := w.bucketFor(shard, second, wall)
		last.bucket, last.second, last.turn = b, second, w.turn.Load()
		locked := w.keys[section].TryLock()
		w.mu.Unlock()
		if locked {
			return b.Sections[section]
		}
		w.keys[section].Lock()
		//lint:ignore SA2001 this waits for the other shard where nobody waits for this one
		w.keys[section].Unlock()
	}
}

// lockSection locks a section's keys. Another shard has them for some microseconds only: to sleep and be woken
// takes longer than to ask a few times.
func (w *Window) lockSection(section int) {
	for range 50 {
		if w.keys[section].TryLock() {
			return
		}
		runtime.Gosched()
	}
	w.keys[section].Lock()
}

// UnlockKeys unlocks what LockKeys has locked, and announces what LockKeys has sealed.
func (w *Window) UnlockKeys(section int) {
	w.keys[section].Unlock()
	if w.unheard.Load() {
		w.announce()
	}
}

func (w *Window) lockKeys() {
	for i := range w.keys {
		w.keys[i].Lock()
	}
}

func (w *Window) unlockKeys() {
	for i := range w.keys {
		w.keys[i].Unlock()
	}
}

// Finish seals the bucket that still waits for late shards, if there is one: none will come.
func (w *Window) Finish() {
	w.mu.Lock()
	w.sealClosing()
	w.unlock()
}

// sealClosing moves the closing bucket, if there is one, and the minutes that were skipped after it, into the ring.
func (w *Window) sealClosing() {
	b := w.closing
	if b == nil {
		return
	}
	w.closing = nil
	w.turn.Add(1)
	w.lockKeys() // shards may be about to add to it
	w.unlockKeys()
	w.totals.MergeCounters(b) // of this run alone: what is counted from the start
	if w.resumes(b) {
		b.Merge(w.resumed)
		w.resumed = nil
	}
	b.SetGauges(w.totals)
	w.sealed.Push(b)
	w.sealed.push(entry{run: w.skipped})
	w.skipped = run{}
	if w.cfg.OnSeal != nil {
		w.news = append(w.news, b)
		w.unheard.Store(true)
	}
}

// unlock unlocks mu and announces what was sealed.
func (w *Window) unlock() {
	news := len(w.news) > 0
	w.mu.Unlock()
	if news {
		w.announce()
	}
}

// announce calls OnSeal with what was sealed. Two shards may come here at once: the one that has the announcing
// lock takes all there is, so that the order is that of the sealing.
func (w *Window) announce() {
	w.announcing.Lock()
	defer w.announcing.Unlock()
	w.mu.Lock()
	sealed := w.news
	w.news = nil
	w.unheard.Store(false)
	w.mu.Unlock()
	for _, b := range sealed {
		w.cfg.OnSeal(b)
	}
}

// Restore puts buckets of another run, oldest first, behind the ones of this run, before there is a live one. Minutes that
// are missing between them, and after them up to that of now (Unix time), are empty. The newest may be of the period in
// which this run begins: it is the beginning of the live bucket then.
func (w *Window) Restore(old []*metric.Bucket, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	newer := w.sealed.Buckets()
	w.sealed.clear()
	for _, b := range old {
		w.sealed.pass(minute.Of(b.Start))
		b.Identity = w.cfg.Identity
		w.sealed.Push(b) // another run may have kept fewer minutes, and more of each
	}
	w.sealed.pass(minute.Of(now))
	for _, b := range newer {
		w.sealed.push(entry{bucket: b})
	}
}
