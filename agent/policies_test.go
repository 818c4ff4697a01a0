package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// policies returns three policies that differ in everything that can be configured.
func policies() []PolicyConfig {
	all := Topics(nil, 5*time.Second)
	return []PolicyConfig{
		{Name: "all", Topics: all, Periods: 5, DeepSamplePercent: 100},
		{Name: "sampled", Topics: all, Periods: 3, DeepSamplePercent: 20},
		{Name: "only dns, whole", Topics: all[1:], Periods: 2, Single: true, DeepSamplePercent: 100},
		{Name: "only packets", Topics: all[:1], Periods: 10, DeepSamplePercent: 50},
	}
}

// images returns the whole content of a policy's window.
func images(p *Policy) string {
	var all []string
	w := p.Window()
	for n := 0; w.Bucket(n) != nil; n++ {
		all = append(all, string(w.Bucket(n).AppendJSON(nil, metric.JSONOptions{Key: "1m", Rows: 1000})))
	}
	return strings.Join(append(all, string(w.Totals().AppendJSON(nil, metric.JSONOptions{Key: "totals"}))), "\n")
}

// agentOf makes an agent with one tap and the given policies.
func agentOf(t *testing.T, shards int, policies ...PolicyConfig) *Agent {
	t.Helper()
	hosts, err := analyze.ParseHosts(testkit.HostSpec)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{
		Taps:     []TapConfig{{Name: "tap", Shards: shards, Hosts: hosts, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second}},
		Policies: policies,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestPolicies: each of several policies on one tap has exactly the content that it would have alone, whatever the number of
// shards, for a file and for live sources.
func TestPolicies(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Start, cfg.Rate = bubbleStart.Add(20*time.Second), 40
	file, truth := traffic(t, cfg, 6000, 1)
	if len(truth.Minutes) < 3 {
		t.Fatalf("%d minutes of traffic: too few to test with", len(truth.Minutes))
	}
	ofFile := func(t *testing.T, shards int, a *Agent) {
		src, err := capture.OpenReader(bytes.NewReader(file), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		if err := a.Run(t.Context(), map[string][]capture.Source{"tap": {src}}); err != nil {
			t.Fatal(err)
		}
	}
	live := func(t *testing.T, shards int, a *Agent) {
		var sources []capture.Source
		for _, s := range dealOut(t, file, shards) {
			sources = append(sources, s)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Duration(len(truth.Minutes))*time.Minute+30*time.Second)
		defer stop()
		if err := a.Run(ctx, map[string][]capture.Source{"tap": sources}); err != nil {
			t.Fatal(err)
		}
	}
	for name, run := range map[string]func(*testing.T, int, *Agent){"file": ofFile, "live": live} {
		for _, shards := range []int{1, 3} {
			got, alone := map[string]string{}, map[string]string{}
			synctest.Test(t, func(t *testing.T) {
				a := agentOf(t, shards, policies()...)
				run(t, shards, a)
				for _, p := range a.Policies() {
					got[p.cfg.Name] = images(p)
				}
			})
			for _, c := range policies() {
				synctest.Test(t, func(t *testing.T) {
					a := agentOf(t, shards, c)
					run(t, shards, a)
					alone[c.Name] = images(a.Policy(c.Name))
				})
				if got[c.Name] != alone[c.Name] {
					t.Errorf("%s, %d shards, policy %q: with others\n%.3000s\nalone\n%.3000s", name, shards, c.Name, got[c.Name], alone[c.Name])
				}
			}
			if got["all"] == got["sampled"] || !strings.Contains(got["only dns, whole"], `"received":6000`) {
				t.Errorf("%s, %d shards: the policies do not differ, or lack what the source says: %.2000s", name, shards, got["only dns, whole"])
			}
			if n := strings.Count(got["all"], `"1m"`); n < 3 || strings.Contains(got["only packets"], `"dns"`) {
				t.Errorf("%s, %d shards: %d buckets; %.1000s", name, shards, n, got["only packets"])
			}
		}
	}
}

// reading is a source that notes when it was read last.
type reading struct {
	*fakeSource
	wait time.Duration
	last time.Time
}

// ReadBatch waits, and reads.
func (r *reading) ReadBatch(b *capture.Batch) error {
	r.last = time.Now()
	time.Sleep(r.wait)
	return r.fakeSource.ReadBatch(b)
}

// TestTwoTaps: a policy counts only the events of its own taps. The taps stop in reverse order. Then the policies finish their
// windows, also in reverse order.
func TestTwoTaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sealed []string
		policy := func(name string, taps ...string) PolicyConfig {
			return PolicyConfig{
				Name: name, Taps: taps, Topics: Topics(nil, time.Second), Periods: 2, DeepSamplePercent: 100,
				OnSeal: func(*metric.Bucket) { sealed = append(sealed, name) },
			}
		}
		a, err := New(Config{
			Taps:     []TapConfig{{Name: "first", Shards: 1}, {Name: "second", Shards: 2}},
			Policies: []PolicyConfig{policy("both"), policy("one", "second")},
		})
		if err != nil {
			t.Fatal(err)
		}
		first, slow, other := &reading{fakeSource: new(fakeSource)}, &reading{fakeSource: new(fakeSource)}, new(fakeSource)
		time.Sleep(58 * time.Second)
		for n, s := range []*fakeSource{first.fakeSource, slow.fakeSource, other} {
			for range n + 1 {
				s.put(oneQuery)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer stop()
		slow.wait = 800 * time.Millisecond
		if err = a.Run(ctx, map[string][]capture.Source{"first": {first}, "second": {slow, other}}); err != nil {
			t.Error(err)
		}
		if both, one := packetsOf(a.Policy("both").Window().Totals()), packetsOf(a.Policy("one").Window().Totals()); both != 6 || one != 5 {
			t.Errorf("%d and %d packets, want 6 and 5", both, one)
		}
		if end, _ := ctx.Deadline(); first.last.Before(end) || first.last.Before(slow.last) {
			t.Errorf("the first tap ended at %v, want a time after %v, when the second was read", first.last, slow.last)
		}
		if !slices.Equal(sealed, []string{"one", "both"}) {
			t.Errorf("windows finished: %v", sealed)
		}
	})
}

// TestNames: a configuration with the same name twice, or with the name of a tap that does not exist, is an error.
func TestNames(t *testing.T) {
	policy := PolicyConfig{Topics: Topics(nil, 0), Periods: 2}
	other := policy
	other.Taps = []string{Default, "eth1"}
	for want, cfg := range map[string]Config{
		`there are two taps "default"`:                   {Taps: []TapConfig{{Shards: 1}, {Name: Default, Shards: 1}}},
		`there are two policies "default"`:               {Taps: []TapConfig{{Shards: 1}}, Policies: []PolicyConfig{policy, policy}},
		`policy "default": tap "eth1" is not configured`: {Taps: []TapConfig{{Shards: 1}}, Policies: []PolicyConfig{other}},
		`tap default: 0 sources for 1 shards`:            {Taps: []TapConfig{{Shards: 1}}, Policies: []PolicyConfig{policy}},
	} {
		a, err := New(cfg)
		if err == nil {
			err = a.Run(t.Context(), nil)
		}
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// nonIP is an analyzer that counts frames that are not IP.
type nonIP struct{ frames metric.Counter }

type nonIPMetrics struct {
	Frames metric.Counter `metric:"frames" unit:"packets" help:"Frames that are not IP."`
}

// Packets implements [analyze.Packets].
func (a *nonIP) Packets(group []analyze.Packet) {
	for i := range group {
		if group[i].Kind == decode.KindNonIP {
			a.frames++
		}
	}
}

// FlushCounts implements [analyze.Analyzer].
func (a *nonIP) FlushCounts(s *metric.Section, _ int64) {
	metric.Of[nonIPMetrics](s).Frames += a.frames
	a.frames = 0
}

// FlushKeys implements [analyze.Analyzer].
func (a *nonIP) FlushKeys(bool, analyze.Keys) {}

// TestTopics: an analyzer that a policy adds, at any place in the list, has its own section, and the others keep theirs.
func TestTopics(t *testing.T) {
	file, truth := traffic(t, testkit.TinyMixed(), 5000, 1)
	if truth.Total.NonIP == 0 {
		t.Fatal("all frames are IP")
	}
	own := analyze.Topic{Table: metric.Define[nonIPMetrics]("arp"), New: func(analyze.Settings) func(analyze.Shard) analyze.Analyzer {
		return func(analyze.Shard) analyze.Analyzer { return new(nonIP) }
	}}
	for at := range len(Topics(nil, 0)) + 1 {
		for _, shards := range []int{1, 2} {
			a := summarise(t, file, func(c *setup) { c.Shards, c.Topics = shards, slices.Insert(Topics(nil, c.DNSTimeout), at, own) })
			json := string(a.Window().Merged(1).AppendJSON(nil, metric.JSONOptions{Key: "1m"}))
			for _, want := range []string{
				fmt.Sprintf(`"arp":{"frames":%d}`, truth.Total.NonIP), fmt.Sprintf(`"packets":{"total":%d`, truth.Total.Packets),
				fmt.Sprintf(`"pcap":{"received":%d`, truth.Total.Packets), fmt.Sprintf(`"wire_packets":{"total":%d`, truth.Total.DNSMessages),
			} {
				if !strings.Contains(json, want) {
					t.Errorf("place %d, %d shards: no %s in %s", at, shards, want, json)
				}
			}
			if len(a.Tables()) != len(Tables)+1 || a.Tables()[at] != own.Table {
				t.Errorf("place %d: %d tables", at, len(a.Tables()))
			}
		}
	}
}

// TestTwoFiles: two files that are read at once count in one policy as if they were one, minute by minute, whatever the number of
// shards and however long a file makes its readers wait.
func TestTwoFiles(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Rate = 40
	file, truth := traffic(t, cfg, 6000, 1)
	if len(truth.Minutes) < 3 {
		t.Fatalf("%d minutes of traffic: too few to test with", len(truth.Minutes))
	}
	var first string
	for _, shards := range []int{1, 3} {
		for slow := range 3 { // none, the first, the second
			synctest.Test(t, func(t *testing.T) {
				c := policies()[0]
				single := policies()[2]
				a, err := New(Config{Taps: twoTaps(t, shards), Policies: []PolicyConfig{c, single}})
				if err != nil {
					t.Fatal(err)
				}
				sources := map[string][]capture.Source{}
				for i, half := range dealOut(t, file, 2) {
					src := &recording{frames: half.frames}
					if i+1 == slow {
						src.wait = time.Second
					}
					sources[[]string{"one", "other"}[i]] = []capture.Source{src}
				}
				if err := a.Run(t.Context(), sources); err != nil {
					t.Fatal(err)
				}
				w := a.Policy("all").Window()
				for n := range truth.Minutes {
					if got, want := packetsOf(w.Bucket(n)), int(truth.Minutes[len(truth.Minutes)-1-n].Packets); got != want {
						t.Errorf("%d shards, slow %d: %d packets in bucket %d, want %d", shards, slow, got, n, want)
					}
				}
				image := images(a.Policy("all")) + images(a.Policy(single.Name))
				if first == "" {
					first = image
				}
				if image != first {
					t.Errorf("%d shards, slow %d: \n%.3000s\nat first\n%.3000s", shards, slow, image, first)
				}
			})
		}
	}
}

// TestTwoFilesInterrupted: a file that waits for another one stops when the agent does.
func TestTwoFilesInterrupted(t *testing.T) {
	cfg := testkit.TinyMixed()
	cfg.Rate = 40
	file, _ := traffic(t, cfg, 6000, 1)
	synctest.Test(t, func(t *testing.T) {
		a, err := New(Config{Taps: twoTaps(t, 2), Policies: policies()[:1]})
		if err != nil {
			t.Fatal(err)
		}
		halves := dealOut(t, file, 2)
		slow, fast := &recording{frames: halves[0].frames, wait: time.Minute}, &recording{frames: halves[1].frames}
		ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
		defer stop()
		err = a.Run(ctx, map[string][]capture.Source{"one": {slow}, "other": {fast}})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(bubbleStart) > 3*time.Minute {
			t.Errorf("%v after %v", err, time.Since(bubbleStart))
		}
		if len(slow.frames) == 0 || len(fast.frames) == 0 {
			t.Error("a file was read to its end")
		}
	})
}

// recording is a file that makes its reader wait before each batch.
type recording struct {
	recorded
	frames []capture.Frame
	wait   time.Duration
}

// ReadBatch implements [capture.Source].
func (r *recording) ReadBatch(b *capture.Batch) error {
	time.Sleep(r.wait)
	n := min(len(r.frames), 50)
	b.Frames = append(b.Frames[:0], r.frames[:n]...)
	if r.frames = r.frames[n:]; n == 0 {
		return io.EOF
	}
	return nil
}

// Stats implements [capture.Source].
func (r *recording) Stats() capture.Stats { return capture.Stats{} }

// Close implements [capture.Source].
func (r *recording) Close() error { return nil }
