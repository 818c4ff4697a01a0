// Package window keeps the newest minutes of summaries.
//
//	shards ──Update──► live bucket ──minute ends──► closing ──grace──► ring of sealed minutes ──► Views
//
// A bucket is a minute of packet time, aligned to the UTC minute. A [Window] has two open buckets: the live one and the
// one before it. The earlier one is closing, which means that it still accepts late packets and shards. A packet of a
// later minute starts a new live bucket. The closing bucket is sealed when its grace is over, at the latest when the
// next minute starts. It does not change afterwards. A minute in which nothing happened is also a bucket, an empty one.
//
// A clock that steps forward leaves empty buckets, but only once the closing bucket is sealed. So one packet with a
// time far ahead removes nothing. If a clock steps back beyond the minute before the live one, a new live bucket starts
// at the earlier time, and the bucket that was live becomes the closing one. So buckets are numbered in the order in
// which they were filled, and two may be of the same minute. When the clock returns from there, no additional time has
// passed. When a clock that was ahead is corrected, the minutes that it skipped have not passed.
//
// Readers use [Views], which Window implements. A hub implements it too: see package hub/query.
//
// The methods of Window may be called from any goroutine. One lock guards the counts of the open buckets, and one lock
// for each section guards its keys. While a shard adds many keys, which takes milliseconds, the others continue to add
// counts. A view holds all locks while it copies the open buckets, but packets never wait for it.
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
	// Periods is the number of buckets to keep, including the live one: 2 to [minute.MaxKept].
	Periods int
	// Shards is the number of shards that update the window.
	Shards int
	// Single makes one bucket of the whole time, for the summary of a file.
	Single bool
	// Slots is the maximum number of slots of a top table in a sealed bucket, a power of two. 0 means [SealedSlots] at
	// scale 0.
	Slots int
	// Identity and DeepSamplePercent are written into every bucket.
	Identity          metric.Identity
	DeepSamplePercent int
	// Anonymize, if set, anonymises each bucket once, before it is sealed or returned: it replaces keys of tables. Anonymity
	// says how.
	Anonymize func(*metric.Bucket)
	Anonymity metric.Anonymity
	// OnSeal, if set, is called with each bucket that was sealed, in order, one at a time, while no lock of the window
	// is held. It must not update the window. It is not called for empty minutes that the clock has skipped.
	OnSeal func(*metric.Bucket)
}

// Window holds the newest minutes of summaries.
type Window struct {
	cfg Config

	mu      sync.Mutex
	keys    []sync.Mutex // for each section, over the keys of the open buckets; taken after mu
	live    *metric.Bucket
	closing *metric.Bucket
	turn    atomic.Uint64  // incremented before a bucket is sealed
	last    [][]lastKeys   // of each shard and section; used by one goroutine at a time
	closeAt int64          // wall time at which the closing bucket is sealed
	skipped run            // minutes without packets between the closing and the live bucket
	at      []int64        // period of the latest second of each shard
	newest  int64          // start of the latest minute that was ever live
	seals   uint64         // the number of buckets sealed so far
	sealed  *ring          // of Periods-1 minutes, or of Periods before there is a live bucket
	totals  *metric.Bucket // counters, histograms and changes of gauges of all sealed buckets
	kept    int            // the number of buckets to keep, including the live one: at most Periods
	resumed *metric.Bucket // the counts of an earlier run in a period that is open now, or may be if there is no live bucket
	wall    int64          // the time of the latest call

	announcing     sync.Mutex       // held while OnSeal is called; taken before mu
	closed         bool             // guarded by mu
	unannounced    []*metric.Bucket // sealed, but not announced yet; guarded by mu
	hasUnannounced atomic.Bool      // unannounced is not empty; can be read without mu
}

// lastKeys is the bucket whose keys were last locked for a shard, with the second and the turn.
type lastKeys struct {
	bucket *metric.Bucket
	second int64
	turn   uint64
}

// New makes an empty window.
func New(cfg Config) *Window {
	w := &Window{cfg: cfg, kept: cfg.Periods, at: make([]int64, cfg.Shards), last: make([][]lastKeys, cfg.Shards), keys: make([]sync.Mutex, len(cfg.Tables))}
	for i := range w.last {
		w.last[i] = make([]lastKeys, len(cfg.Tables))
	}
	w.totals = w.newBucket()
	w.sealed = newRing(ringConfig{
		Tables: cfg.Tables, Minutes: cfg.Periods, Slots: cmp.Or(cfg.Slots, SealedSlots(cfg.Periods, 0)),
		Identity: cfg.Identity, DeepSamplePercent: cfg.DeepSamplePercent, Anonymity: cfg.Anonymity,
	})
	return w
}

func (w *Window) newBucket() *metric.Bucket {
	b := metric.NewBucket(w.cfg.Tables)
	b.Identity, b.DeepSamplePercent, b.Anonymity = w.cfg.Identity, w.cfg.DeepSamplePercent, w.cfg.Anonymity
	return b
}

// Update lets a shard add its counts of the given second of packet time (Unix time): counters, rates and histograms,
// but not keys. It calls add once, with the bucket to which the second belongs and the second at which to count. add
// must not keep the bucket. wall is the present time (Unix time), from which the grace counts.
func (w *Window) Update(shard int, second, wall int64, add func(b *metric.Bucket, second int64)) {
	w.mu.Lock()
	b, second := w.bucketFor(shard, second, wall)
	add(b, second)
	w.unlock()
}

// LockKeys does for the keys of one section what Update does for the counts. It locks the top tables and cardinalities,
// but not the counts, of the section in the bucket to which a shard's second belongs. section is the position of the
// section in the bucket. Until [Window.UnlockKeys], every seal or read of the bucket waits, and the caller must not
// call the window. Different sections may be locked for a shard by different goroutines.
func (w *Window) LockKeys(shard, section int, second, wall int64) *metric.Section {
	// A flush locks a hundred times, each time the same section and second.
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
		//lint:ignore SA2001 this waits for the other shard without holding mu
		w.keys[section].Unlock()
	}
}

// lockSection locks a section's keys. Another shard holds them only for some microseconds. Going to sleep and waking up
// would take longer than a few attempts.
func (w *Window) lockSection(section int) {
	for range 50 {
		if w.keys[section].TryLock() {
			return
		}
		runtime.Gosched()
	}
	w.keys[section].Lock()
}

// UnlockKeys unlocks the keys that LockKeys has locked, and announces buckets that LockKeys has sealed.
func (w *Window) UnlockKeys(section int) {
	w.keys[section].Unlock()
	if w.hasUnannounced.Load() {
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

// Keep lets the window keep only the newest n buckets from now on, including the live one: 2 to Periods of the configuration.
// What it drops is gone, also when n is raised again.
func (w *Window) Keep(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = min(max(n, 2), w.cfg.Periods)
	if w.live != nil { // otherwise resume applies it
		w.sealed.keep(w.kept - 1)
	}
}

// Kept returns how many buckets the window keeps now, including the live one.
func (w *Window) Kept() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kept
}

// Finish seals the closing bucket, if there is one, without waiting for late shards.
func (w *Window) Finish() {
	w.mu.Lock()
	w.sealClosing()
	w.unlock()
}

// Close seals all open buckets, the live one too, without waiting for late shards, and announces them before it returns. The
// window can still be read. No shard may update it any more, and time does not pass in it.
func (w *Window) Close() {
	w.mu.Lock()
	w.sealClosing()
	if w.live != nil {
		w.closing, w.live = w.live, nil
		w.sealClosing()
	} else if w.resumed != nil {
		w.release() // no packet has continued it
	}
	w.closed = true
	w.mu.Unlock()
	w.announce() // also waits for another goroutine that announces
}

// sealClosing moves the closing bucket, if there is one, into the ring, and after it the minutes that were skipped.
func (w *Window) sealClosing() {
	b := w.closing
	if b == nil {
		return
	}
	w.closing = nil
	w.seals++
	b.Identity.Seq = w.seals
	w.turn.Add(1)
	w.lockKeys() // wait for shards that are adding keys to it
	w.unlockKeys()
	if w.cfg.Anonymize != nil {
		w.cfg.Anonymize(b)
	}
	w.totals.MergeCounters(b) // only the counts of this run, because totals count from its start
	if w.resumes(b) {
		b.Merge(w.resumed)
		w.resumed = nil
	}
	b.SetGauges(w.totals)
	w.sealed.Push(b)
	w.sealed.push(entry{run: w.skipped})
	w.skipped = run{}
	if w.cfg.OnSeal != nil {
		w.unannounced = append(w.unannounced, b)
		w.hasUnannounced.Store(true)
	}
}

// unlock unlocks mu and announces the buckets that were sealed.
func (w *Window) unlock() {
	unannounced := len(w.unannounced) > 0
	w.mu.Unlock()
	if unannounced {
		w.announce()
	}
}

// announce calls OnSeal with the buckets that were sealed. Two shards may call it at once. The one that gets the
// announcing lock takes all buckets, so that OnSeal sees them in the order of sealing.
func (w *Window) announce() {
	w.announcing.Lock()
	defer w.announcing.Unlock()
	w.announceAll()
}

// announceAll calls OnSeal with the buckets that were sealed. The caller holds announcing.
func (w *Window) announceAll() {
	w.mu.Lock()
	sealed := w.unannounced
	w.unannounced = nil
	w.hasUnannounced.Store(false)
	w.mu.Unlock()
	for _, b := range sealed {
		w.cfg.OnSeal(b)
	}
}

// Restore puts buckets of another run, oldest first, before those of this run. Call it before there is a live bucket.
// Minutes that are missing between them, and after them up to the minute of now (Unix time), are empty.
//
// If the newest bucket is of the minute of now, it becomes the beginning of the live bucket if the first packet is of
// that minute. Otherwise it is a sealed bucket as the other run left it. No reader sees it until that is known, and it
// is announced then. So it is never published both alone and as a part of the live bucket.
func (w *Window) Restore(old []*metric.Bucket, now int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	newer := w.sealed.Buckets()
	w.sealed.clear()
	for i, b := range old {
		w.sealed.pass(minute.Of(b.Start))
		if b.Identity.Boot == 0 { // written by a program that did not know it
			b.Identity = w.cfg.Identity
			b.Identity.Boot = 0
		}
		if i == len(old)-1 && w.live == nil && minute.Of(b.Start) == minute.Of(now) {
			b.Seal(w.sealed.cfg.Slots)
			w.resumed = b
			return
		}
		w.sealed.Push(b) // another run may have kept fewer minutes with more slots each
	}
	w.sealed.pass(minute.Of(now))
	for _, b := range newer {
		w.sealed.push(entry{bucket: b})
	}
}
