package agent

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/agent/clock"
	"pktvisor/capture"
	"pktvisor/metric"
)

// perSecond returns the numbers of packets and of DNS messages in each second of a bucket that has any.
func perSecond(b *metric.Bucket) (packets, messages map[int64]uint64) {
	seconds := func(r *metric.Rate) map[int64]uint64 {
		m := map[int64]uint64{}
		first, events := r.Seconds()
		for i, n := range events {
			if n > 0 {
				m[first+int64(i)] = n
			}
		}
		return m
	}
	return seconds(&packetMetrics(b).PpsTotal), seconds(&dnsMetrics(b).Rate)
}

// TestRatesOutOfOrder: each packet of a file counts in its own second, if it is up to a minute late, in any order, across
// minutes and with any number of shards.
func TestRatesOutOfOrder(t *testing.T) {
	const hosts = 40
	start := at("2024-03-01 12:00:50")
	second := func(s float64) int64 { return start + int64(s*1e9) }
	orders := map[string][]int64{
		"two queues":             {second(.9), second(1.1), second(.95), second(1.2), second(2.5)},
		"minute's end":           {second(9.9), second(10.1), second(9.95), second(10.2)},
		"the minute before":      {second(10.1), second(9.9), second(10.2), second(9.5)},
		"skipped minute":         {second(0), second(310.1), second(309.9), second(310.2)},
		"a minute late":          {second(69.9), second(10), second(69.95), second(11)},
		"before the first":       {second(3), second(1), second(2), second(0), second(4)},
		"alternating far":        {second(0), second(3600), second(1), second(3601), second(2), second(3602)},
		"one far ahead":          {second(0), second(1e9), second(.5), second(1), second(12), second(14)},
		"set back within a file": {second(200), second(201), second(0), second(1), second(61)},
	}
	var appended, shuffled []int64
	for range 2 {
		for i := range int64(900) {
			appended = append(appended, start+i*1e8) // ten a second
		}
	}
	orders["two captures appended"] = appended
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range int64(3000) {
		shuffled = append(shuffled, start+i*5e7-rng.Int64N(59e9))
	}
	orders["shuffled"] = shuffled
	for name, times := range orders {
		s := &script{t: t}
		want := map[int64]uint64{}
		for i, at := range times {
			s.udp(at, fmt.Sprintf("198.51.100.%d:4242", i%hosts), server, dnsQuery(uint16(i), "a.example"))
			want[clock.Second(at)]++
		}
		for _, shards := range []int{1, 2, 3, 16} {
			for _, single := range []bool{false, true} {
				if single && name == "one far ahead" {
					continue // a rate has the seconds of a day
				}
				a := summarise(t, s.file(), func(c *setup) { c.Shards, c.Single, c.Periods = shards, single, 60 })
				packets, messages := map[int64]uint64{}, map[int64]uint64{}
				total, late := uint64(0), uint64(0)
				for n := 0; a.Window().Bucket(n) != nil; n++ {
					b := a.Window().Bucket(n)
					p, m := perSecond(b)
					for at, n := range p {
						packets[at] += n
					}
					for at, n := range m {
						messages[at] += n
					}
					total += uint64(packetMetrics(b).Total)
					late += uint64(packetMetrics(b).Late)
				}
				if fmt.Sprint(packets) != fmt.Sprint(want) || fmt.Sprint(messages) != fmt.Sprint(want) || total != uint64(len(times)) || late != 0 {
					t.Errorf("%s, %d shards, single %v: %d packets, %d late; %v packets and %v messages in the seconds, want %v", name, shards, single, total, late, packets, messages, want)
				}
			}
		}
	}
}

// TestRatesLate: a packet whose minute is over counts as late, and everywhere except in the rates.
func TestRatesLate(t *testing.T) {
	start := at("2024-03-01 12:00:00")
	s := &script{t: t}
	for _, second := range []int64{3600, 0, -1, 1} { // -1 is in the minute before, which is not the open one then
		s.udp(start+second*1e9, client, server, dnsQuery(1, "a.example"))
	}
	for _, shards := range []int{1, 3} {
		a := summarise(t, s.file(), func(c *setup) { c.Shards, c.Single = shards, false })
		b := a.Window().Merged(5)
		p, _ := perSecond(b)
		if m := packetMetrics(b); m.Total != 4 || m.Late != 1 || len(p) != 3 {
			t.Errorf("%d shards: %d packets, %d late, seconds %v; want 4, 1 and three seconds", shards, m.Total, m.Late, p)
		}
	}
}

// TestRatesLive: with live sources, packets that arrive out of order, and those of a clock that was set back by some seconds,
// count in their own seconds.
func TestRatesLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var frames []capture.Frame
		for i := range 160 {
			frames = append(frames, ping(time.Duration(i)*500*time.Millisecond))
		}
		skew := map[int]time.Duration{41: -time.Second, 119: 100 * time.Millisecond, 121: -700 * time.Millisecond}
		for i := 60; i < 70; i++ {
			skew[i] = -20 * time.Second
		}
		want := map[int64]uint64{}
		for i, f := range frames {
			want[clock.Second(f.Time+int64(skew[i]))]++
		}
		a, all := liveAgent(t, []*scripted{{frames: frames, skew: skew}}, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.RunLive(ctx, all) }()
		time.Sleep(32500 * time.Millisecond)
		synctest.Wait()
		if n := packetsOf(a.Window().Bucket(0)); n < 60 {
			t.Errorf("%d packets in the window while the clock is behind, want 60 or more", n)
		}
		time.Sleep(57500 * time.Millisecond)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		got := map[int64]uint64{}
		for n := range 2 {
			p, _ := perSecond(a.Window().Bucket(n))
			for at, n := range p {
				got[at] += n
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", got, want)
		}
		if late := packetMetrics(a.Window().Totals()).Late; late != 0 {
			t.Errorf("%d packets count as late, want none", late)
		}
	})
}

// TestLastPacketSetBack: after the clock was set back, the newest packet keeps its age, whether packets arrive or not.
func TestLastPacketSetBack(t *testing.T) {
	for _, after := range []int{30, 61} { // the number of packets before the clock is set back; none arrives after 60
		synctest.Test(t, func(t *testing.T) {
			var frames []capture.Frame
			skew := map[int]time.Duration{}
			for i := range 61 {
				frames = append(frames, ping(time.Duration(i)*time.Second))
				if i < after {
					skew[i] = time.Hour
				}
			}
			a, all := liveAgent(t, []*scripted{{frames: frames, skew: skew}, {}}, nil)
			ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
			defer stop()
			if err := a.RunLive(ctx, all); err != nil {
				t.Error(err)
			}
			if age := time.Since(a.LastPacket()); age < 59*time.Second || age > 62*time.Second {
				t.Errorf("%d packets ahead: the newest packet is %v old, want a minute", after, age)
			}
		})
	}
}

// TestAlternatingSeconds: packets that alternate between two seconds cause no flush of keys.
func TestAlternatingSeconds(t *testing.T) {
	s := &script{t: t}
	start := at("2024-03-01 12:00:00")
	for i := range int64(20_000) {
		s.udp(start+i%2*59e9+i, client, server, nil)
	}
	a := newAgent(t, func(c *setup) { c.Single = false })
	flushes := &counting{Analyzer: a.fronts[0].backs[0].parts[0].Analyzer}
	a.fronts[0].backs[0].parts[0].Analyzer = flushes // an analyzer that only counts flushes
	src, err := capture.OpenReader(bytes.NewReader(s.file()), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if err := a.RunFile(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	p, _ := perSecond(a.Window().Bucket(0))
	if flushes.keys != 1 || p[start/1e9] != 10_000 || p[start/1e9+59] != 10_000 || len(p) != 2 {
		t.Errorf("keys were flushed %d times; seconds %v", flushes.keys, p)
	}
}
