// Package window keeps the newest minutes: the live bucket that is being filled, and a ring of
// sealed ones behind it.
//
//	shards ──Update──► live bucket ──minute ends──► closing ──grace──► sealed ring ──► views
//
// A bucket is a minute of packet time, aligned to the UTC minute. Two are open: the live one, and the one before
// it, the closing one, for packets and shards that are late. A packet of a later minute starts a new live bucket.
// The closing one is sealed, and immutable from then on, when its grace is over, and at the latest when the
// next minute starts. A minute in which nothing happened is a bucket too, an empty one; a run of them
// costs no more than one.
//
// A clock that steps forward leaves empty buckets, no more than the ring holds, and these only once the closing
// bucket is sealed: one packet with a time far ahead removes nothing. One that steps back to before
// the minute before the live one starts a new live bucket at the earlier time, and the one that was live is
// the closing one: buckets are numbered in the order in which they were filled, and two may be of one minute.
// When the clock comes back from there, no time has passed that was not there before. Where a clock that was ahead is set
// right, the minutes that it had skipped have not passed: the ones before them are there again.
//
// All methods may be called from any goroutine. There is a lock for the open buckets' counts and one for the
// keys of each section: while a shard adds many keys, which takes milliseconds, the others go on adding their
// counts. A view takes all of them while it copies the open buckets; packets never wait for it.
package window

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"pktvisor/metric"
)

// PeriodSeconds is the length of a bucket.
const PeriodSeconds = 60

// MaxStepBack is how many seconds before the live minute's start a clock may step back, or frames be
// late, without a new bucket: the minute before the live one.
const MaxStepBack = PeriodSeconds

// grace is how many seconds of wall time a finished bucket waits for what is late. Where the wall clock stands still,
// as it does for a file, the bucket waits until the next minute starts.
const grace = 2

// Config says what a window keeps.
type Config struct {
	// Tables are the sections of its buckets.
	Tables []*metric.Table
	// Periods is how many buckets are kept, the live one included: 2 to 1440.
	Periods int
	// Shards is how many shards update the window.
	Shards int
	// Single makes one bucket of the whole time, for the summary of a file.
	Single bool
	// DeepSamplePercent is written into every bucket.
	DeepSamplePercent int
	// OnSeal, if set, is called with each bucket that was sealed, in order, one at a time, without
	// the window's lock held. It must not update the window. Empty minutes that the clock has skipped are not
	// announced.
	OnSeal func(*metric.Bucket)
}

// Window is the newest minutes of what was summarised.
type Window struct {
	cfg         Config
	sealedSlots int

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
	sealed  ring           // at most Periods-1 buckets
	nothing *metric.Bucket // a sealed bucket with nothing in it
	totals  *metric.Bucket // counters, histograms and changes of gauges of all that was sealed
	resumed *metric.Bucket // what an earlier run counted in a period that is open now
	updates uint64
	wall    int64 // the time of the latest call

	announcing sync.Mutex       // held while OnSeal is called; taken before mu
	news       []*metric.Bucket // sealed and not announced yet; under mu
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
	// The sealed buckets together take the memory of five full ones, however many there are.
	w.sealedSlots = 8192
	for n := cfg.Periods; n > 8 && w.sealedSlots > 256; n /= 2 {
		w.sealedSlots /= 2
	}
	w.nothing = w.newBucket()
	w.nothing.Seal(0)
	return w
}

func (w *Window) newBucket() *metric.Bucket {
	b := metric.NewBucket(w.cfg.Tables)
	b.DeepSamplePercent = w.cfg.DeepSamplePercent
	return b
}

func periodOf(second int64) int64 { return second - mod(second, PeriodSeconds) }

// SamePeriod reports whether two seconds (Unix time) belong to the same bucket, as far as the clock
// decides it.
func SamePeriod(a, b int64) bool { return periodOf(a) == periodOf(b) }

// Oldest is the first second (Unix time) that may count in a bucket that is open when time has come to the given
// second: the start of the minute before.
func Oldest(second int64) int64 { return periodOf(second) - MaxStepBack }

// mod is the remainder that is never negative: there are captures from before 1970.
func mod(a, b int64) int64 { return ((a % b) + b) % b }

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

// UnlockKeys unlocks what LockKeys has locked.
func (w *Window) UnlockKeys(section int) {
	w.keys[section].Unlock()
	w.mu.Lock()
	w.updates++
	w.unlock() // which announces what was sealed when they were locked
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
	b.Seal(w.sealedSlots)
	w.push(entry{bucket: b})
	w.push(entry{run: w.skipped})
	w.skipped = run{}
	if w.cfg.OnSeal != nil {
		w.news = append(w.news, b)
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
	w.mu.Unlock()
	for _, b := range sealed {
		w.cfg.OnSeal(b)
	}
}

// Periods returns how many buckets the window keeps.
func (w *Window) Periods() int { return w.cfg.Periods }

// Updates returns a number that changes whenever the window's content does.
func (w *Window) Updates() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.updates
}

// Bucket returns bucket n: 0 is a copy of the live one, 1 the newest sealed minute, and so on. It
// returns nil where there is none. A sealed bucket must not be changed.
func (w *Window) Bucket(n int) *metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n == 0 {
		if w.live == nil {
			return nil
		}
		w.lockKeys()
		defer w.unlockKeys()
		b := w.copyOf(w.live)
		w.mergeResumed(b, w.live)
		w.setGauges(b)
		return b
	}
	if n < 1 || n > w.sealedMinutes() {
		return nil
	}
	return w.sealed.bucket(n, w.emptySealed)
}

// Second lets read look at the bucket that has the given second (Unix time), if that is an open one
// or the newest sealed one; else it gets nil. It must be quick, look at counts alone, not at keys, and neither
// change nor keep the bucket.
func (w *Window) Second(second int64, read func(b *metric.Bucket)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recent := []*metric.Bucket{w.live, w.closing}
	if e := w.sealed.newest(); e != nil {
		recent = append(recent, e.bucket) // nil for a run of empty minutes
	}
	for _, b := range recent {
		if b != nil && second >= b.Start && second < b.End {
			read(b)
			return
		}
	}
	read(nil)
}

// Merged returns the merge of the newest n buckets (at least one), the live one included, or nil
// where nothing was seen yet.
func (w *Window) Merged(n int) *metric.Bucket {
	return w.merged(n, w.copyOf)
}

// Last returns what Merged does, but for the time that it takes to copy the live bucket: it is that bucket. The window
// must not be used any more.
func (w *Window) Last(n int) *metric.Bucket {
	return w.merged(n, func(live *metric.Bucket) *metric.Bucket { return live })
}

// copyOf returns a copy of an open bucket. One without any time yet has its start all the same.
func (w *Window) copyOf(open *metric.Bucket) *metric.Bucket {
	b := w.emptyBucket(open.Start, open.End)
	b.Merge(open)
	return b
}

// merged is Merged into what into makes of the live bucket.
func (w *Window) merged(n int, into func(live *metric.Bucket) *metric.Bucket) *metric.Bucket {
	w.mu.Lock()
	if w.live == nil {
		w.mu.Unlock()
		return nil
	}
	w.lockKeys()
	b := into(w.live)
	w.mergeResumed(b, w.live)
	w.setGauges(b)
	left := max(min(n, w.cfg.Periods)-1, 0)
	var older []*metric.Bucket // newest first
	if skipped := w.skipped.newer(left); skipped.minutes() > 0 {
		older = append(older, w.emptySealed(skipped))
		left -= skipped.minutes()
	}
	if w.closing != nil && left > 0 {
		closing := w.closing
		if w.resumes(closing) {
			closing = w.copyOf(closing)
			w.mergeResumed(closing, w.closing)
		}
		b.Precede(append(older, closing))
		older = older[:0]
		left--
	}
	w.unlockKeys()
	older = append(older, w.sealed.last(left, w.emptySealed)...)
	w.mu.Unlock()
	// Sealed buckets do not change: the shards need not wait for these.
	b.Precede(older)
	return b
}

// Sealed returns the sealed buckets, oldest first. They must not be changed.
func (w *Window) Sealed() []*metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealed.all(w.sealedMinutes(), w.emptySealed)
}

// sealedMinutes is how many sealed minutes the window has at most.
func (w *Window) sealedMinutes() int {
	if w.live == nil {
		return w.cfg.Periods // the newest may turn out to be the beginning of the live one
	}
	return w.cfg.Periods - 1
}

// Restore puts buckets that were sealed earlier, by another run, behind the ones of this run,
// oldest first, before there is a live one. The newest may be of the period in which this run
// begins: it is the beginning of the live bucket then.
func (w *Window) Restore(old []*metric.Bucket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	newer := w.sealed.all(w.sealedMinutes(), w.emptySealed)
	w.sealed = ring{}
	for _, b := range old {
		b.Seal(w.sealedSlots) // another run may have kept fewer minutes, and more of each
	}
	for _, b := range slices.Concat(old, newer) {
		w.sealed.push(entry{bucket: b}, w.sealedMinutes())
	}
	w.updates++
}

// Finish seals the bucket that still waits for late shards, if there is one: none will come.
func (w *Window) Finish() {
	w.mu.Lock()
	w.sealClosing()
	w.unlock()
}

// mergeResumed adds to b what an earlier run counted in the period of the open bucket.
func (w *Window) mergeResumed(b, open *metric.Bucket) {
	if w.resumes(open) {
		b.Merge(w.resumed)
	}
}

// setGauges gives b, which has what the live bucket has, the state as of now.
func (w *Window) setGauges(b *metric.Bucket) { b.SetGauges(w.totals, w.closing, w.live) }

// Totals returns the counters and histograms of everything since the start, and the gauges as of now.
func (w *Window) Totals() *metric.Bucket {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := w.newBucket()
	b.MergeCounters(w.totals)
	for _, open := range []*metric.Bucket{w.closing, w.live} {
		if open != nil {
			b.MergeCounters(open)
		}
	}
	return b
}
