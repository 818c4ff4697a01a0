package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
)

// all is the group of all hosts.
const all = "all"

// quiet drops log lines.
var quiet = slog.New(slog.DiscardHandler)

// testConfig is a configuration with a directory of its own.
func testConfig(t testing.TB) Config {
	return Config{Dir: t.TempDir(), Log: quiet, RawBytes: 1 << 30}
}

// open opens a store that is closed at the test's end.
func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// snapshot returns a snapshot without metrics.
func snapshot(id metric.Identity, start int64) []byte {
	b := metric.NewBucket(nil)
	b.Start, b.End, b.Identity = start, start+60, id
	return b.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "test"})
}

// lastMinute is a minute that has ended.
func lastMinute() int64 { return minute.Of(time.Now().Unix()) - 60 }

func identity(host string, seq uint64) metric.Identity {
	return metric.Identity{Host: host, Policy: "default", Boot: 7, Seq: seq}
}

// consume takes n deliveries.
func consume(t testing.TB, s *Store, n int) (taken []Delivery) {
	t.Helper()
	testkit.Eventually(t, fmt.Sprintf("%d deliveries", n), func() bool {
		got, err := s.Consume(t.Context(), n-len(taken))
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, got...)
		return len(taken) >= n
	})
	return taken
}

func TestRollups(t *testing.T) {
	ctx := t.Context()
	c := testConfig(t)
	s := open(t, c)
	k := Key{rollup.Minute1, "default", "pop=ams1.x/Zürich", lastMinute()}
	if _, _, err := s.Get(ctx, k); !errors.Is(err, ErrNotFound) {
		t.Fatalf("get before put: %v", err)
	}
	r1, err := s.Put(ctx, k, []byte("one"), 0)
	if err != nil || r1 == 0 {
		t.Fatal(r1, err)
	}
	if _, err := s.Put(ctx, k, []byte("other"), 0); !errors.Is(err, ErrConflict) {
		t.Errorf("second create: %v", err)
	}
	if _, err := s.Put(ctx, k, []byte("other"), r1+1); !errors.Is(err, ErrConflict) {
		t.Errorf("put with a wrong revision: %v", err)
	}
	r2, err := s.Put(ctx, k, []byte("two"), r1)
	if err != nil || r2 <= r1 {
		t.Fatal(r2, err)
	}
	if data, r, err := s.Get(ctx, k); string(data) != "two" || r != r2 || err != nil {
		t.Errorf("got %q, %d, %v", data, r, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Get(ctx, k); !errors.Is(err, ErrClosed) {
		t.Errorf("get after close: %v", err)
	}
	s = open(t, c)
	if data, r, err := s.Get(ctx, k); string(data) != "two" || r != r2 || err != nil {
		t.Errorf("after a restart: %q, %d, %v", data, r, err)
	}
	if groups, err := s.Groups(ctx); err != nil || len(groups) != 1 || !slices.Equal(groups["default"], []string{k.Group}) {
		t.Errorf("groups after a restart: %v, %v", groups, err)
	}
}

func TestRange(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	want := map[int64]uint64{}
	base := int64(1_700_000_040)
	for _, i := range []int64{70, 3, 2, 40, 0, 100_000, 5} { // out of order
		for _, group := range []string{all, "pop=a"} {
			r, err := s.Put(ctx, Key{rollup.Minute1, "default", group, base + 60*i}, fmt.Append(nil, group, i), 0)
			if err != nil {
				t.Fatal(err)
			}
			if group == all {
				want[i] = r
			}
		}
	}
	for _, c := range []struct {
		from, to int64
		want     []int64
	}{
		{base, base + 60*41, []int64{0, 2, 3, 5, 40}},
		{base + 1, base + 60*3, []int64{2}},
		{base + 60*3, base + 60*3, nil},
		{base + 60, base, nil},
		{0, 1 << 40, []int64{0, 2, 3, 5, 40, 70, 100_000}}, // too many to guess
		{-1 << 62, 1 << 62, []int64{0, 2, 3, 5, 40, 70, 100_000}},
	} {
		var got []int64
		err := s.Range(ctx, rollup.Minute1, "default", all, c.from, c.to, func(k Key, data []byte, revision uint64) error {
			i := (k.Start - base) / 60
			got = append(got, i)
			if string(data) != fmt.Sprint(all, i) || revision != want[i] || k.Group != all || k.Level != rollup.Minute1 {
				t.Errorf("%v: %q, revision %d", k, data, revision)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("from %d to %d: %v, %v; want %v", c.from, c.to, got, err, c.want)
		}
	}
	stop := errors.New("stop")
	if err := s.Range(ctx, rollup.Minute1, "default", all, 0, 1<<40, func(Key, []byte, uint64) error { return stop }); err != stop {
		t.Errorf("error of the caller: %v", err)
	}
}

func TestRangeOfLargeRollups(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, testConfig(t))
	big := make([]byte, 3<<20)
	for i := range int64(5) {
		if _, err := s.Put(ctx, Key{rollup.Day1, "default", all, i * 86400}, big[:len(big)-int(i)], 0); err != nil {
			t.Fatal(err)
		}
	}
	n := int64(0)
	if err := s.Range(ctx, rollup.Day1, "default", all, 0, 86400*5, func(k Key, data []byte, _ uint64) error {
		if k.Start != n*86400 || len(data) != len(big)-int(n) {
			t.Errorf("%v has %d bytes", k, len(data))
		}
		n++
		return nil
	}); err != nil || n != 5 {
		t.Errorf("%d of 5: %v", n, err)
	}
	if _, err := s.Put(ctx, Key{rollup.Day1, "default", all, 0}, make([]byte, maxRoll+1), 0); !errors.Is(err, ErrTooLarge) {
		t.Errorf("9 MB: %v", err)
	}
}

func TestChangesAndGroups(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	listening, cancel := context.WithCancel(ctx)
	changes := s.Changes(listening)
	want := []Key{{rollup.Minute1, "default", all, 60}, {rollup.Day1, "my policy", "pop=ü", 86400}, {rollup.Hour1, "default", "role=x", 0}}
	for _, k := range want {
		if _, err := s.Put(ctx, k, []byte("x"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range want {
		if got := <-changes; got != k {
			t.Errorf("changed: %v, want %v", got, k)
		}
	}
	groups, err := s.Groups(ctx)
	if err != nil || !maps.EqualFunc(groups, map[string][]string{"default": {"all", "role=x"}, "my policy": {"pop=ü"}}, slices.Equal) {
		t.Errorf("groups: %v, %v", groups, err)
	}
	cancel()
	if _, ok := <-changes; ok {
		t.Error("a change after the end")
	}
	last := s.Changes(ctx)
	s.Close()
	if _, ok := <-last; ok {
		t.Error("a change after close")
	}
}

func TestRaw(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	start := lastMinute()
	id := identity("ns1.example", 1)
	id.Tags = "pop=ams1,role=auth"
	data := snapshot(id, start)
	for range 2 { // the second is a duplicate
		if err := s.PutRaw(ctx, data, "country=nl,pop=ams2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutRaw(ctx, snapshot(identity("ns2.example", 1), start), ""); err != nil {
		t.Fatal(err)
	}
	got := consume(t, s, 2)
	if d := got[0]; d.Err != nil || d.Info.Identity != id || d.Tags != "country=nl,pop=ams2,role=auth" || string(d.Data) != string(data) ||
		d.Redelivered || d.Sequence != 1 || time.Since(d.Arrived) > time.Minute || d.Info.Start != start {
		t.Errorf("%+v", d)
	}
	if d := got[1]; d.Err != nil || d.Info.Identity.Host != "ns2.example" || d.Tags != "" {
		t.Errorf("%+v", d)
	}
	if more, err := s.Consume(ctx, 10); len(more) != 0 || err != nil {
		t.Errorf("%d more, %v", len(more), err)
	}
	got[0].Ack()
	got[0].Nak() // too late
	got[1].Nak()
	again := consume(t, s, 1)
	if d := again[0]; d.Info.Identity.Host != "ns2.example" || !d.Redelivered || d.Sequence != 2 {
		t.Errorf("%+v", d)
	}
	again[0].Term("test")
	testkit.Eventually(t, "everything acknowledged", func() bool {
		s.look(ctx)
		return s.Status().Unacknowledged == 0
	})
	st := s.Status()
	if st.Waiting != 0 || len(st.Streams) != 5 || st.Streams[0].Messages != 2 || !st.Embedded || !st.Connected || st.Lost != 0 || st.Full {
		t.Errorf("%+v", st)
	}
}

func TestPutRawRefuses(t *testing.T) {
	s := open(t, testConfig(t))
	start := lastMinute()
	good := snapshot(identity("ns1", 1), start)
	newer := slices.Clone(good)
	newer[8] = 2
	damaged := slices.Clone(good)
	damaged[len(damaged)-6] ^= 1
	long := metric.NewBucket(nil)
	long.Start, long.End, long.Identity = start, start+61, identity("ns1", 1)
	hours := func(h int64) int64 { return start + h*3600 }
	for _, c := range []struct {
		reason Reason
		data   []byte
	}{
		{ReasonSize, make([]byte, MaxRaw+1)},
		{ReasonDamaged, nil},
		{ReasonDamaged, make([]byte, MaxRaw)},
		{ReasonDamaged, damaged},
		{ReasonVersion, newer},
		{ReasonHost, snapshot(identity("", 1), start)},
		{ReasonHost, snapshot(identity("a\x00b", 1), start)},
		{ReasonHost, snapshot(identity("a\xffb", 1), start)},
		{ReasonHost, snapshot(identity("a\u202eb", 1), start)},
		{ReasonPolicy, snapshot(metric.Identity{Host: "ns1"}, start)},
		{ReasonPolicy, snapshot(metric.Identity{Host: "ns1", Policy: "a\nb"}, start)},
		{ReasonLength, long.AppendSnapshot(nil, metric.SnapshotOptions{})},
		{ReasonLength, snapshot(identity("ns1", 1), start+30)},
		{ReasonFuture, snapshot(identity("ns1", 1), hours(3))},
		{ReasonTooOld, snapshot(identity("ns1", 1), hours(-49))},
		{"", snapshot(identity("ns1", 1), hours(1))},
		{"", snapshot(identity("ns1", 1), hours(-47))},
		{"", snapshot(identity(strings.Repeat(".", 255), 1), start)},
		{"", good},
	} {
		err := s.PutRaw(t.Context(), c.data, "")
		var r *RefusedError
		if c.reason == "" {
			if err != nil {
				t.Errorf("refused: %v", err)
			}
		} else if !errors.As(err, &r) || r.Reason != c.reason || !errors.Is(err, ErrRefused) {
			t.Errorf("%v, want %s", err, c.reason)
		}
	}
	want := map[Reason]uint64{ReasonSize: 1, ReasonDamaged: 3, ReasonVersion: 1, ReasonHost: 4, ReasonPolicy: 2, ReasonLength: 2, ReasonFuture: 1, ReasonTooOld: 1}
	if got := s.Status().Refused; !maps.Equal(got, want) {
		t.Errorf("refused %v, want %v", got, want)
	}
}

func TestHosts(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	h := s.Hosts()
	if all, err := h.All(ctx); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	names := []string{"ns1.example.net", "a/b c%", "ü"}
	watching, cancel := context.WithCancel(ctx)
	if err := h.Put(ctx, names[0], []byte("0")); err != nil {
		t.Fatal(err)
	}
	watch, err := h.Watch(watching)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names[1:] {
		if err := h.Put(ctx, name, fmt.Append(nil, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Delete(ctx, names[1]); err != nil {
		t.Fatal(err)
	}
	for i, want := range []Host{{names[0], []byte("0"), 1}, {names[1], []byte("1"), 2}, {names[2], []byte("2"), 3}, {names[1], nil, 4}} {
		if got := <-watch; got.Name != want.Name || string(got.Value) != string(want.Value) || (got.Value == nil) != (want.Value == nil) || got.Revision != want.Revision {
			t.Errorf("change %d: %+v, want %+v", i, got, want)
		}
	}
	cancel()
	for range watch {
	}
	all, err := h.All(ctx)
	if err != nil || len(all) != 2 || string(all[names[0]].Value) != "0" || string(all[names[2]].Value) != "2" {
		t.Errorf("%v, %v", all, err)
	}
	if got, err := h.Get(ctx, names[2]); err != nil || got.Name != names[2] || string(got.Value) != "2" || got.Revision != 3 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := h.Get(ctx, names[1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted host: %v", err)
	}
}

func TestHostMinutes(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	start := lastMinute() - 60*70
	var puts []Put
	for i := range int64(70) { // more than two batches
		for _, host := range []string{"ns1", "ns2"} {
			puts = append(puts, Put{Data: snapshot(identity(host, uint64(i+1)), start+60*i)})
		}
	}
	ahead := snapshot(identity("ns1", 99), start+60*70+3600) // an hour ahead of the clock
	puts = append(puts, Put{Data: ahead})
	for i, err := range s.PutRaws(ctx, puts) {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	for _, c := range []struct {
		host     string
		from, to int64
		want     []uint64
	}{
		{"ns1", start, start + 180, []uint64{1, 2, 3}},
		{"ns1", start + 60*68, start + 60*71, []uint64{69, 70}},
		{"ns1", start + 60*71, start + 60*70 + 3601, []uint64{99}},
		{"ns2", start + 60*71, start + 60*70 + 3601, nil},
		{"ns3", start, start + 3600, nil},
	} {
		var got []uint64
		err := s.HostMinutes(ctx, "default", c.host, c.from, c.to, func(r Raw) error {
			got = append(got, r.Info.Identity.Seq)
			if r.Info.Identity.Host != c.host || r.Sequence == 0 || time.Since(r.Arrived) > time.Minute {
				t.Errorf("%+v", r)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s from %d to %d: %v, %v; want %v", c.host, c.from, c.to, got, err, c.want)
		}
	}
}

func TestOneHubPerDirectory(t *testing.T) {
	c := testConfig(t)
	s := open(t, c)
	if _, err := Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "in use by another hub") {
		t.Errorf("second hub: %v", err)
	}
	s.Close()
	open(t, c)
}

// pad makes a snapshot longer, by a body that is not compressed and that nobody reads.
func pad(data []byte, size int) []byte {
	header := int(binary.LittleEndian.Uint16(data[10:]))
	out := slices.Clone(data[:20+header])
	body := make([]byte, max(0, size-len(out)-4))
	out[9] = 0 // not compressed
	binary.LittleEndian.PutUint32(out[12:], uint32(len(body)))
	binary.LittleEndian.PutUint32(out[16:], uint32(len(body)))
	out = append(out, body...)
	return binary.LittleEndian.AppendUint32(out, crc32.Checksum(out, crc32.MakeTable(crc32.Castagnoli)))
}

// TestHostMinutesOfFastClock has a host whose clock is ten minutes ahead: its minutes arrive before they begin.
func TestHostMinutesOfFastClock(t *testing.T) {
	ctx := t.Context()
	s := open(t, testConfig(t))
	start := lastMinute() + 660
	put := func(seq uint64) {
		t.Helper()
		if err := s.PutRaw(ctx, snapshot(identity("ns1", seq), start+60*int64(seq)), ""); err != nil {
			t.Fatal(err)
		}
	}
	put(1)
	arrived := time.Now().Unix()
	testkit.Eventually(t, "the next second", func() bool { return time.Now().Unix() > arrived })
	put(2)
	var got []uint64
	err := s.HostMinutes(ctx, "default", "ns1", arrived+1, start+3600, func(r Raw) error {
		got = append(got, r.Info.Identity.Seq)
		return nil
	})
	if err != nil || !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestPutAgain: a snapshot that was stored and lost is stored again, although JetStream still knows its id.
func TestPutAgain(t *testing.T) {
	s := open(t, testConfig(t))
	data := snapshot(identity("ns1", 1), lastMinute())
	stored := func(again bool) (n uint64) {
		t.Helper()
		if errs := s.PutRaws(t.Context(), []Put{{Data: data, Again: again}}); errs[0] != nil {
			t.Fatal(errs[0])
		}
		info, err := s.streams[0].Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Msgs
	}
	if n := stored(false); n != 1 {
		t.Fatalf("%d snapshots are stored, want 1", n)
	}
	if err := s.streams[0].Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := stored(false); n != 0 {
		t.Errorf("a duplicate by its id was stored: %d snapshots", n)
	}
	if n := stored(true); n != 1 {
		t.Errorf("%d snapshots are stored again, want 1", n)
	}
}
