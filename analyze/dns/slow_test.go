package dns

import (
	"fmt"
	"slices"
	"testing"

	"pktvisor/analyze"
	"pktvisor/metric"
	"pktvisor/sketch"
)

const us = ms / 1000

// transaction counts a query from or to the host, and its response after the given number of nanoseconds.
func (l *lab) transaction(out bool, name string, took int64) {
	client, server := farClient, hostServer
	if out {
		client, server = hostClient, farServer
	}
	l.frame(udp(client, server, query(1, name)))
	l.now += took
	l.frame(udp(server, client, response(1, 0, name)))
}

// TestSlow: of a hundred transactions that take 1 to 100 us, those that take 90 us or more count as slow, at their names and by
// direction. Quantiles are exact up to 101 us.
func TestSlow(t *testing.T) {
	for _, out := range []bool{false, true} {
		l := newLab(t, nil)
		for i := range int64(100) {
			l.transaction(out, fmt.Sprintf("n%d.example", i+1), (i+1)*us)
		}
		m := l.flush()
		want := values{}
		for i := 90; i <= 100; i++ {
			want[fmt.Sprintf("n%d.example", i)] = 1
		}
		in, other := &m.SlowIn, &m.SlowOut
		if out {
			in, other = other, in
		}
		l.wantRows("top_slow", in, want)
		l.wantRows("top_slow of the other direction", other, values{})
	}
}

// TestSlowNeedsTen: none of nine transactions is slow. With ten, there is a p90.
func TestSlowNeedsTen(t *testing.T) {
	l := newLab(t, nil)
	for range 9 {
		l.transaction(false, "a.example", 5*ms)
	}
	m := l.flush()
	l.wantRows("top_slow of nine", &m.SlowIn, values{})
	l.transaction(false, "b.example", 50*ms)
	m = l.flush()
	l.wantRows("top_slow of ten", &m.SlowIn, values{"b.example": 1})
}

// TestSlowSoFar: the p90 is that of the window so far, including the earlier minutes that the window still has.
func TestSlowSoFar(t *testing.T) {
	l := newLab(t, func(c *Config) { c.Slow = NewSlow(3) })
	minute := func(name string, n int, took int64) *Metrics {
		l.section = Table.New()
		for range n {
			l.transaction(false, name, took)
		}
		return l.flush()
	}
	minute("slow.example", 100, 1000*ms)
	// There are 100 transactions of 1000 ms and 100 of 10 ms, so the p90 is still 1000 ms.
	m := minute("fast.example", 100, 10*ms)
	l.wantRows("second minute", &m.SlowIn, values{})
	m = minute("fast.example", 100, 10*ms)
	l.wantRows("third minute", &m.SlowIn, values{})
	// The window of three minutes no longer has the first minute.
	m = minute("fast.example", 100, 10*ms)
	l.wantRows("fourth minute", &m.SlowIn, values{"fast.example": 100})
}

// TestSlowLate: a shard that flushes into the closing minute does not make it the live one again.
func TestSlowLate(t *testing.T) {
	s := NewSlow(5)
	live := func(b *metric.Section) *Metrics { return metric.Of[Metrics](b) }
	first, second := live(Table.New()), live(Table.New())
	for range 20 {
		first.InMicros.Record(1000)
		second.InMicros.Record(10)
	}
	s.thresholds(first)
	s.thresholds(second)
	for range 3 {
		if got := s.thresholds(first)[1]; got < 990 || got > 1010 {
			t.Errorf("the limit of both minutes is %d us, want 1000", got)
		}
	}
	if s.live != second || len(s.past)+len(s.recent) != 1 {
		t.Errorf("there are %d minutes before the live one", len(s.past)+len(s.recent))
	}
}

// TestManyAnswered: if there are more transactions than fit between two flushes, each of them is checked for slowness.
func TestManyAnswered(t *testing.T) {
	l := newLab(t, func(c *Config) { // without a sample of messages, for which everything is flushed too
		c.Table = Table.Select(func(d *metric.Desc) bool { return d.Group != "clients" && d.Group != "amplification" })
	})
	const n = maxAnswered + 10
	for i := range int64(n) {
		l.transaction(false, "a.example", (i&1)*ms)
	}
	if m := l.flush(); m.Xacts != n || l.flushes != 1 || m.SlowIn.Total() != n/2 {
		t.Errorf("%d transactions, %d slow, %d flushes", m.Xacts, m.SlowIn.Total(), l.flushes)
	}
}

// TestSlowStepOfTheClock: a new minute reads only the newest minutes and the oldest one. The thresholds are still those of the
// whole window.
func TestSlowStepOfTheClock(t *testing.T) {
	const periods = 1440
	s := NewSlow(periods)
	minute := func(i int) *Metrics {
		m := metric.Of[Metrics](Table.New())
		m.InMicros.RecordN(uint64(1000+i), 10)
		return m
	}
	for i := range periods {
		s.rotate(minute(i))
	}
	between := s.past[100:]
	kept := slices.Clone(between)
	clear(between) // so that reading one of them panics
	for i := range 100 {
		s.rotate(minute(periods + i))
	}
	copy(s.past, kept)
	if n := len(s.past) + len(s.recent); n != periods-1 {
		t.Fatalf("%d minutes before the live one, want %d", n, periods-1)
	}
	var want sketch.Histogram
	for i := 100; i < periods+100; i++ {
		want.RecordN(uint64(1000+i), 10)
	}
	if got := s.thresholds(s.live)[analyze.Ingress]; got != want.Quantile(0.9) {
		t.Errorf("slow from %d us, want %d", got, want.Quantile(0.9))
	}
}
