package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pktvisor/agent/adapt"
	"pktvisor/agent/deal"
	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/capture"
	"pktvisor/capture/count"
	"pktvisor/internal/seedhash"
	"pktvisor/linktype"
	"pktvisor/minute"
)

// TapConfig says how the frames of one place are turned into events. All fields must be set, except for Name, Decap, Scale,
// Spread, OnSpread, Counter, MaxCPU, OnSample and OnSourceError.
type TapConfig struct {
	// Name is unique among the taps of the agent. If it is empty, it is [Default].
	Name string
	// Shards is the number of goroutines that analyse packets.
	Shards int
	// Hosts are the host subnets.
	Hosts analyze.Hosts
	// Decap counts the innermost packet of a tunnel instead of the outermost.
	Decap bool
	// DNSPorts are the ports of DNS. DNSTimeout is the shortest time that a query waits for its response, of all policies.
	DNSPorts   []uint16
	DNSTimeout time.Duration
	// Scale makes the tables of reassembly larger or smaller than by default: see [analyze.Scaled].
	Scale int
	// Spread, if set, spreads the frames of live sources over the first n of them, each of which is a shard's. At the start only the first
	// source gets frames. OnSpread, if set, is called after each change.
	Spread   func(n int) error
	OnSpread func(from, to int)
	// Counter, if set, counts the packets of live sources in the kernel. It hands over what the policy with the greatest share of
	// the deep sample needs, and counts the rest for all policies. So its counts are exact for each policy, whatever its own share. With a
	// policy that is [PolicyConfig.Partial], it hands over everything.
	Counter *count.Counter
	// MaxCPU is the CPU that the process may take, in cores: see [adapt.Config]. 0 means no limit. OnSample, if set, is called when
	// the deep sample of a live capture changes.
	MaxCPU   float64
	OnSample func(adapt.Change)
	// OnSourceError, if set, is called when the live source of a shard fails.
	OnSourceError func(shard int, err error)
}

// check returns an error if the number of sources does not fit.
func (c *TapConfig) check(sources []capture.Source) error {
	if len(sources) == 1 && sources[0].Clock() == capture.OwnTime || len(sources) == c.Shards {
		return nil
	}
	return fmt.Errorf("tap %s: %d sources for %d shards", cmp.Or(c.Name, Default), len(sources), c.Shards)
}

// Memory returns the greatest number of bytes that the reassembly of all shards takes, at a scale.
func (c *TapConfig) Memory(scale int) int64 { return int64(c.Shards) * dns.ReaderMemory(scale) }

// Tap is a place that is observed. It has a front half for each shard. Its methods may be called from any goroutine.
type Tap struct {
	cfg      TapConfig
	fronts   []*front
	policies list[*Policy]
	plans    plans            // of the policies' filters
	sources  []capture.Source // until the tap starts; guarded by Agent.changing, as job is
	job      *job             // nil before the tap is started
	hosts    atomic.Pointer[analyze.Hosts]
	seed     *seedhash.Seed
	made     time.Time
	live     atomic.Bool               // packets count when they arrive
	dealing  atomic.Pointer[deal.Deal] // how a file is dealt; without frames until it is read
	share    atomic.Uint32             // the metric.Share that the tap was told
	scarce   atomic.Bool               // whatever it was told, it takes its least share
	governor *adapt.Governor           // of the share
	spreader *adapt.Spreader           // nil if all shards have frames
	pace     *pace                     // of files that count in the same policies; nil if the tap is not among them
	moves    atomic.Uint32             // counts when pairs of addresses begin to move between shards, and when they have moved
	running  shards                    // of live sources
	start    func(n int)               // starts shards until n have been started
}

// Hosts returns the host subnets.
func (t *Tap) Hosts() analyze.Hosts { return *t.hosts.Load() }

// SetHosts changes the host subnets for the packets from now on.
func (t *Tap) SetHosts(h analyze.Hosts) { t.hosts.Store(&h) }

// LastPacket returns the time of the newest packet as of the end of the last second, or the zero time before the first. If the
// clock was set back since then, so is that time: the packet keeps its age.
func (t *Tap) LastPacket() time.Time {
	newest := int64(0)
	for _, f := range t.fronts {
		newest = max(newest, f.state.newest.Load())
	}
	if newest == 0 {
		return time.Time{}
	}
	return time.Unix(0, newest)
}

// Frames returns the number of frames of a file that were read so far.
func (t *Tap) Frames() int64 { return t.dealing.Load().Frames() }

// TimeStep is a place in a file where a frame's time is far from that of the frames before it.
type TimeStep = deal.TimeStep

// TimeSteps returns the first places where the time of a file's frames went back by more than a minute, or forward by more
// than a policy's window keeps, and the number of all such places. Call it after [Agent.Run].
func (t *Tap) TimeSteps() (first []TimeStep, n int) { return t.dealing.Load().TimeSteps() }

// wall returns the wall clock's Unix time, by which the window decides when to seal the minute before the live one. For a
// file it is always 0, so that this minute stays open.
func (t *Tap) wall() int64 {
	if t.live.Load() {
		return time.Now().Unix()
	}
	return 0
}

// runFile deals a file among the shards. It returns the error of [capture.Source.ReadBatch] or of ctx. Everything that was
// read before is in the windows.
func (t *Tap) runFile(ctx context.Context, src capture.Source) error {
	cfg := deal.Config{Source: &msduSource{Source: src}, Shards: len(t.fronts), Decap: t.cfg.Decap, Far: minute.MaxSeconds}
	for _, p := range t.policies.all() {
		cfg.Far = min(cfg.Far, p.far())
	}
	cfg.KeysDue = func(second, next int64) bool {
		return slices.ContainsFunc(t.policies.all(), func(p *Policy) bool { return p.keysDue(second, next) })
	}
	defer t.pace.start(ctx, t)()
	d := deal.New(cfg)
	t.dealing.Store(d)
	var running sync.WaitGroup
	for _, f := range t.fronts {
		running.Go(func() {
			for w, ok := d.Next(ctx, f.id); ok; w, ok = d.Next(ctx, f.id) {
				f.mu.Lock()
				f.work(w)
				f.mu.Unlock()
				d.Done(f.id, w)
			}
		})
	}
	running.Wait()
	if err := d.Close(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// run analyses the frames of a file, or of a live source for each shard, until they end or ctx is done. If a live source
// fails, the other shards continue. At the end, everything is in the windows. run does not close the sources.
func (t *Tap) run(ctx context.Context, sources []capture.Source) error {
	if len(sources) == 1 && sources[0].Clock() == capture.OwnTime {
		return t.runFile(ctx, sources[0])
	}
	if err := t.cfg.check(sources); err != nil {
		return err
	}
	t.live.Store(true)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(sources))
	t.running.done = make(chan struct{})
	t.start = func(n int) {
		t.running.start(n, func(i int) { errs[i] = t.runShard(ctx, t.fronts[i], sources[i]) })
	}
	if t.spreader == nil {
		t.start(len(sources))
	} else {
		t.start(1)
	}
	var ticking sync.WaitGroup
	ticking.Go(func() { t.tick(ctx) })
	ticking.Go(func() { t.governor.Run(ctx) })
	if t.spreader != nil {
		ticking.Go(func() { t.spreader.Run(ctx) })
	}
	<-t.running.done
	stop()
	ticking.Wait()
	return errors.Join(errs...)
}

// tick rotates the windows by the wall clock, also while no packets arrive.
func (t *Tap) tick(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, p := range t.policies.all() {
				p.window.Advance(now.Add(-minute.Settle).Unix(), now.Unix())
			}
		}
	}
}

// runLive analyses the frames of a source until ctx is done or the source ends.
func (f *front) runLive(ctx context.Context, src capture.Source) error {
	f.mu.Lock()
	f.source, f.hosts, f.over = src, f.tap.hosts.Load(), false
	f.clock.Enter(time.Now().Unix())
	f.mu.Unlock()
	frames := msduSource{Source: src}
	filling, _ := src.(capture.Filling)
	var b capture.Batch
	var err error
	for err == nil && ctx.Err() == nil {
		f.state.began.Store(0)
		err = frames.ReadBatch(&b)
		began := time.Since(f.tap.made)
		f.state.began.Store(int64(began) | 1)
		f.liveBatch(filling, &b)
		f.state.busy.Add(int64(time.Since(f.tap.made) - began))
	}
	f.mu.Lock()
	f.end()
	f.over = true
	f.mu.Unlock()
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// liveBatch analyses a batch of a live source. If it is empty, time passes by the wall clock.
func (f *front) liveBatch(filling capture.Filling, b *capture.Batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follow(filling, b)
	f.batch(b)
	if n := len(b.Frames); n > 0 {
		f.state.link.Store(int32(b.Frames[n-1].Link) + 1)
	} else if second := time.Now().Add(-minute.Settle).Unix(); second > f.clock.Second || !f.clock.Late(second) {
		f.step(second) // the wall clock's
	}
}

// LinkFrames is a link type, and the number of frames that have it.
type LinkFrames struct {
	Link   linktype.Type
	Frames int64
}

// Undecoded returns the link types of the frames that could not be decoded, those with most frames first. Call it after
// [Agent.Run].
func (t *Tap) Undecoded() []LinkFrames {
	sum := map[linktype.Type]int64{}
	for _, f := range t.fronts {
		for link, n := range f.undecoded {
			sum[link] += n
		}
	}
	var all []LinkFrames
	for link, n := range sum {
		all = append(all, LinkFrames{link, n})
	}
	slices.SortFunc(all, func(a, b LinkFrames) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(a.Link, b.Link))
	})
	return all
}
