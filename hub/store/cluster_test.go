package store

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/natstest"
)

// connect returns JetStream of a NATS server.
func connect(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestSingleServerNeedsOneReplica(t *testing.T) {
	url := natstest.Server(t)
	if _, err := Open(t.Context(), Config{URL: url, Log: quiet}); err == nil || !strings.Contains(err.Error(), "--nats-replicas 1") {
		t.Errorf("three replicas on one server: %v", err)
	}
	s := open(t, Config{URL: url, Log: quiet, Replicas: 1, RawBytes: 1 << 30})
	if st := s.Status(); st.Embedded || st.Server != "single" {
		t.Errorf("%+v", st)
	}
}

// TestForeignStreams opens a store where streams exist that are not as they should be.
func TestForeignStreams(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := natstest.Server(t)
	js := connect(t, url)
	c := Config{URL: url, Log: quiet, Replicas: 1, RawBytes: 1 << 30, Prefix: "x.y"}
	open(t, c).Close()
	good := func() jetstream.StreamConfig {
		info, err := js.Stream(ctx, "X_Y_RAW")
		if err != nil {
			t.Fatal(err)
		}
		return info.CachedInfo().Config
	}()
	for want, edit := range map[string]func(*jetstream.StreamConfig){
		"subjects": func(c *jetstream.StreamConfig) { c.Subjects = []string{"other.>"} },
		"storage":  func(c *jetstream.StreamConfig) { c.Storage, c.MaxBytes = jetstream.MemoryStorage, 1<<20 },
		"persist_mode": func(c *jetstream.StreamConfig) {
			c.PersistMode, c.AllowAtomicPublish = jetstream.AsyncPersistMode, false
		},
		"retention":    func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy },
		"discard":      func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew },
		"per subject":  func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 },
		"max messages": func(c *jetstream.StreamConfig) { c.MaxMsgs = 5 },
		"no_ack":       func(c *jetstream.StreamConfig) { c.NoAck = true },
	} {
		bad := good
		edit(&bad)
		if err := js.DeleteStream(ctx, good.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateStream(ctx, bad); err != nil {
			t.Fatal(want, err)
		}
		if _, err := Open(ctx, c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "X_Y_RAW") {
			t.Errorf("%s: %v", want, err)
		}
	}
	// Limits are updated.
	if err := js.DeleteStream(ctx, good.Name); err != nil {
		t.Fatal(err)
	}
	old := good
	old.MaxAge, old.MaxBytes, old.MaxMsgSize, old.AllowDirect, old.Duplicates = time.Hour, 1<<20, 1000, false, time.Minute
	if _, err := js.CreateStream(ctx, old); err != nil {
		t.Fatal(err)
	}
	c.RawBytes, c.RawAge = 2<<30, 3*time.Hour
	open(t, c)
	stream, err := js.Stream(ctx, good.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream.CachedInfo().Config; got.MaxAge != 3*time.Hour || got.MaxBytes != 2<<30 || got.MaxMsgSize != 1<<20 || !got.AllowDirect || got.Duplicates != window {
		t.Errorf("%+v", got)
	}
}

// TestTwoHubs shares one server between two stores.
func TestTwoHubs(t *testing.T) {
	ctx := t.Context()
	stores := cluster(t, 2)
	a, b := stores[0], stores[1]
	changes := b.Changes(ctx)
	k := Key{rollup.Minute1, "default", all, 60}
	r, err := a.Put(ctx, k, []byte("a"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-changes; got != k {
		t.Errorf("changed: %v", got)
	}
	if _, err := b.Put(ctx, k, []byte("b"), 0); !errors.Is(err, ErrConflict) {
		t.Errorf("both create: %v", err)
	}
	if _, err := b.Put(ctx, k, []byte("b"), r); err != nil {
		t.Error(err)
	}
	if data, _, err := a.Get(ctx, k); string(data) != "b" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	// Each snapshot goes to one of them.
	for i := range uint64(10) {
		if err := a.PutRaw(ctx, snapshot(identity("ns1", i+1), lastMinute()), ""); err != nil {
			t.Fatal(err)
		}
	}
	var got []uint64
	for _, d := range append(consume(t, a, 5), consume(t, b, 5)...) {
		got = append(got, d.Info.Identity.Seq)
		d.Ack()
	}
	slices.Sort(got)
	if !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("taken: %v", got)
	}
}

// TestHubDies checks that what one hub holds comes to another after AckWait if the first is dead, and does not if it only
// takes its time.
func TestHubDies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := natstest.Server(t)
	c := Config{URL: url, Log: quiet, Replicas: 1, RawBytes: 1 << 30, AckWait: time.Second}
	slow, dies, other := open(t, c), open(t, c), open(t, c)
	for i := range uint64(2) {
		if err := other.PutRaw(ctx, snapshot(identity("ns1", i+1), lastMinute()), ""); err != nil {
			t.Fatal(err)
		}
	}
	held := consume(t, slow, 1)[0]
	lost := consume(t, dies, 1)[0]
	dies.nc.Close()
	if got := consume(t, other, 1)[0]; got.Sequence != lost.Sequence || !got.Redelivered {
		t.Errorf("%+v", got)
	} else {
		got.Ack()
	}
	if more, err := other.Consume(ctx, 5); len(more) > 0 || err != nil {
		t.Errorf("%d more, %v", len(more), err)
	}
	held.Ack()
	testkit.Eventually(t, "acknowledged", func() bool { other.look(ctx); return other.Status().Unacknowledged == 0 })
}

// TestRestartRedelivers checks that the only hub gets what it held before its restart at once.
func TestRestartRedelivers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := testConfig(t)
	s := open(t, c)
	for i := range uint64(3) {
		if err := s.PutRaw(ctx, snapshot(identity("ns1", i+1), lastMinute()), ""); err != nil {
			t.Fatal(err)
		}
	}
	consume(t, s, 3)[0].Ack()
	s.Close()
	s = open(t, c)
	began := time.Now()
	got := consume(t, s, 2)
	if got[0].Info.Identity.Seq != 2 || got[1].Info.Identity.Seq != 3 {
		t.Errorf("%+v", got)
	}
	if took := time.Since(began); took > c.AckWait+defaultAckWait/2 {
		t.Errorf("after %v", took)
	}
}

// TestCluster kills the leader of the streams while two hubs write.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	t.Parallel()
	c := natstest.NewCluster(t, 3)
	config := Config{URL: c.URL(), Log: quiet, RawBytes: 1 << 30}
	a, b := open(t, config), open(t, config)
	ctx := t.Context()
	a.look(ctx)
	if st := a.Status(); st.Streams[0].Replicas != 3 || st.Streams[4].Replicas != 3 {
		t.Errorf("%+v", st)
	}
	k := Key{rollup.Minute1, "default", all, 60}
	add := func(s *Store, member byte) error { // adds a member, as a hub merges: once, because it is there after a lost answer
		for {
			data, revision, err := s.Get(ctx, k)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if slices.Contains(data, member) {
				return nil
			}
			_, err = s.Put(ctx, k, append(data, member), revision)
			if !errors.Is(err, ErrConflict) {
				return err
			}
		}
	}
	const each = 50
	done := make(chan []byte)
	for i, s := range []*Store{a, b} {
		go func() {
			var sure []byte
			for n := range each {
				member := byte(1 + i*each + n)
				if err := add(s, member); err == nil {
					sure = append(sure, member)
				} else if !errors.Is(err, ErrUnavailable) {
					t.Error(err)
				}
			}
			done <- sure
		}()
	}
	testkit.Eventually(t, "some writes", func() bool { data, _, _ := a.Get(ctx, k); return len(data) > 10 })
	leader := c.Leader("PV_ROLL_1M")
	c.Stop(leader)
	sure := append(<-done, <-done...)
	c.Start(leader)
	data, _, err := b.Get(ctx, k)
	// A write without an answer may have happened. One with an answer has. None has happened twice.
	times := map[byte]int{}
	for _, member := range data {
		times[member]++
	}
	for member, n := range times {
		if n != 1 {
			t.Errorf("member %d is there %d times", member, n)
		}
	}
	for _, member := range sure {
		if times[member] == 0 {
			t.Errorf("member %d was acknowledged, and is not there", member)
		}
	}
	if err != nil || len(sure) == 0 {
		t.Errorf("%d writes were acknowledged, %d are there: %v", len(sure), len(data), err)
	}
}

// TestWholeClusterRestarts stops all servers and starts them again. The stores and their leases come back.
func TestWholeClusterRestarts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 20 s")
	}
	t.Parallel()
	c := natstest.NewCluster(t, 3)
	config := Config{URL: c.URL(), Log: quiet, RawBytes: 1 << 30, lease: quickLease}
	a, b := open(t, config), open(t, config)
	ctx := t.Context()
	la, lb := a.Leases(), b.Leases()
	go la.Run(ctx)
	go lb.Run(ctx)
	settled := func() bool { by, fair := holders(la, lb); return fair && oneEach(by) }
	testkit.Eventually(t, "leases", settled)
	k := Key{rollup.Minute1, "default", all, 60}
	revision, err := a.Put(ctx, k, []byte("x"), 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		c.Stop(i)
	}
	testkit.Eventually(t, "no lease is held without a server", func() bool { return len(la.All())+len(lb.All()) == 0 })
	if _, _, err := b.Get(ctx, k); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	for i := range 3 {
		c.Start(i)
	}
	testkit.Eventually(t, "a write", func() bool { _, err = b.Put(ctx, k, []byte("y"), revision); return !errors.Is(err, ErrUnavailable) })
	if data, _, err2 := a.Get(ctx, k); string(data) != "y" || err2 != nil || err != nil {
		t.Errorf("%q, %v, %v", data, err, err2)
	}
	testkit.Eventually(t, "leases again", settled)
	changes := a.Changes(ctx)
	if _, err := b.Put(ctx, Key{rollup.Minute1, "default", all, 120}, []byte("y"), 0); err != nil {
		t.Error(err)
	}
	for got := range changes { // the earlier one may be announced late
		if got.Start == 120 {
			break
		}
	}
}
