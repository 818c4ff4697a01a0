package timeline

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"sync"
	"time"
	"weak"

	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// Window is the source of an agent: the minutes of a policy's window, and those that are not sealed yet. The latter are copied
// at most once a second, whatever is asked.
type Window struct {
	window live
	tables []*metric.Table
	policy string
	now    func() time.Time

	mu     sync.Mutex
	open   []weak.Pointer[metric.Bucket] // copies, which do not stay in memory for us
	copied time.Time
}

// live is a window with minutes that are not sealed yet.
type live interface {
	window.Views
	Unsealed() []*metric.Bucket
}

// sealed is a window whose minutes are all sealed.
type sealed struct{ window.Views }

// Unsealed returns nothing.
func (sealed) Unsealed() []*metric.Bucket { return nil }

var (
	_ Source = (*Window)(nil)
	_ live   = (*window.Window)(nil)
)

// NewWindow makes a source of the window of a policy. Now is the clock of its minutes.
func NewWindow(w *window.Window, tables []*metric.Table, policy string, now func() time.Time) *Window {
	return &Window{window: w, tables: tables, policy: policy, now: now}
}

// End implements [Source].
func (w *Window) End() int64 { return minute.Next(w.now().Unix()) }

// Length implements [Source]: a range has the whole window by default.
func (w *Window) Length() int64 { return int64(w.window.Periods()) * minute.Seconds }

// Select implements [Source].
func (w *Window) Select(_ context.Context, q url.Values) (Selection, error) {
	for _, name := range []string{"host", "tag", "by"} {
		if q.Has(name) {
			return nil, Bad("this is an agent, which has only its own packets: %s is a parameter of a hub", name)
		}
	}
	if policy, err := One(q, "policy"); err != nil {
		return nil, err
	} else if policy != "" && policy != w.policy {
		return nil, Bad("policy %.100q: this agent has %s", policy, w.policy)
	}
	return &minutes{w, w.list()}, nil
}

// Base implements [Source].
func (w *Window) Base(_ context.Context, q url.Values) (Selection, error) {
	for _, name := range []string{"base_host", "base_tag"} {
		if q.Has(name) {
			return nil, Bad("this is an agent, which has only its own packets: %s is a parameter of a hub", name)
		}
	}
	return nil, nil
}

// list returns all minutes, oldest first.
func (w *Window) list() []window.Minute {
	open := w.unsealed()
	list := w.window.Minutes() // after the others, so that a minute that is sealed in between is not missing
	for _, b := range open {
		if n := len(list); n == 0 || b.Start >= list[n-1].End {
			list = append(list, window.Minute{Start: b.Start, End: b.End, Bucket: func() *metric.Bucket { return b }})
		}
	}
	return list
}

func (w *Window) unsealed() (list []*metric.Bucket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.open {
		if b := p.Value(); b != nil {
			list = append(list, b)
		}
	}
	now := w.now()
	if age := now.Sub(w.copied); len(list) > 0 && len(list) == len(w.open) && age >= 0 && age < time.Second {
		return list
	}
	list, w.open, w.copied = w.window.Unsealed(), nil, now
	for _, b := range list {
		w.open = append(w.open, weak.Make(b))
	}
	return list
}

// minutes are those of a window, for one request.
type minutes struct {
	*Window
	list []window.Minute
}

// Policy implements [Selection].
func (m *minutes) Policy() string { return m.policy }

// Groups implements [Selection]. An agent has no groups.
func (m *minutes) Groups(context.Context, string) ([]string, error) { return nil, nil }

// Part implements [Selection].
func (m *minutes) Part([]string) Selection { return m }

// Steps implements [Selection].
func (m *minutes) Steps(_ context.Context, tables []*metric.Table, from, to, step int64, _ bool) ([]*metric.Bucket, Extent, error) {
	buckets := make([][]*metric.Bucket, (to-from)/step) // of each step, oldest first
	extent := m.visit(from, to, func(b *metric.Bucket) {
		i := (minute.Of(b.Start) - from) / step
		buckets[i] = append(buckets[i], b)
	})
	out := make([]*metric.Bucket, len(buckets))
	for i, list := range buckets {
		if len(list) > 0 {
			out[i] = merged(tables, list)
		}
	}
	return out, extent, nil
}

// Merge implements [Selection].
func (m *minutes) Merge(_ context.Context, tables []*metric.Table, from, to int64) (*metric.Bucket, Extent, error) {
	if tables == nil {
		tables = m.tables
	}
	var list []*metric.Bucket
	extent := m.visit(from, to, func(b *metric.Bucket) { list = append(list, b) })
	return merged(tables, list), extent, nil
}

// visit calls do for the minutes of a range in the order of their time, and returns what they are.
func (m *minutes) visit(from, to int64, do func(b *metric.Bucket)) Extent {
	var list []*metric.Bucket
	for _, one := range m.list {
		if start := minute.Of(one.Start); start < from || start >= to || one.End <= one.Start {
			continue
		}
		if b := one.Bucket(); b != nil {
			list = append(list, b)
		}
	}
	// If the clock was set back, some minutes are in the window twice.
	slices.SortStableFunc(list, func(a, b *metric.Bucket) int { return cmp.Compare(a.Start, b.Start) })
	about := &api.Selected{Policy: m.policy, From: from, To: to, Count: 1, Rollups: map[string]int{}, Rates: true}
	last := int64(-1)
	for _, b := range list {
		if start := minute.Of(b.Start); start != last {
			about.Minutes++
			last = start
		}
		about.CoveredS += uint64(b.End - b.Start)
		do(b)
	}
	about.HostMinutes = uint64(about.Minutes)
	about.MissingMinutes = int((to-from)/minute.Seconds) - about.Minutes
	return Extent{Minutes: about.Minutes, Missing: about.MissingMinutes, Seconds: float64(about.CoveredS), About: about}
}

// merged returns the merge of minutes, oldest first. Minutes that are missing between them keep their place.
func merged(tables []*metric.Table, list []*metric.Bucket) *metric.Bucket {
	all := metric.NewBucket(tables)
	for i, b := range slices.Backward(list) {
		if i == len(list)-1 {
			all.DeepSamplePercent = b.DeepSamplePercent
			all.Identity = b.Identity
			all.Merge(b)
			continue
		}
		all.Cover(b.End, all.End)
		all.Precede([]*metric.Bucket{b})
	}
	return all
}
