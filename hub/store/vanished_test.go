package store

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestVanished deletes all streams and buckets under a store, as a NATS does that comes back with an empty disk.
func TestVanished(t *testing.T) {
	t.Parallel()
	s := open(t, testConfig(t))
	s.stop() // no other goroutine looks
	s.work.Wait()
	k := Key{1, "default", all, 60}
	for range 3 { // so that the numbers of the new stream are lower
		_, revision, err := s.Get(t.Context(), k)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), k, []byte("old"), revision); err != nil {
			t.Fatal(err)
		}
	}
	for name := range s.js.StreamNames(t.Context()).Name() {
		if err := s.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for i := range goneFor {
		if gone := s.Status().Gone; (gone != "") != (i > 0) {
			t.Errorf("look %d: gone %q", i, gone)
		}
		s.look(t.Context())
	}
	s.look(t.Context())
	if gone := s.Status().Gone; gone != "" {
		t.Errorf("%s is still gone", gone)
	}
	if err := s.PutRaw(t.Context(), snapshot(identity("ns1", 1), lastMinute()), ""); err != nil {
		t.Error(err)
	}
	if got := len(consume(t, s, 1)); got != 1 {
		t.Errorf("%d snapshots", got)
	}
	if _, err := s.Put(t.Context(), k, []byte("new"), 0); err != nil {
		t.Error(err)
	}
	if data, _, err := s.Get(t.Context(), k); err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
	if err := s.Hosts().Put(t.Context(), "ns1", []byte("x")); err != nil {
		t.Error(err)
	}
}

// TestAway: reads fail at once when the connection has been lost for some time.
func TestAway(t *testing.T) {
	t.Parallel()
	s := open(t, testConfig(t))
	s.disconnected(nats.ErrDisconnected)
	if _, err := s.Groups(t.Context()); err != nil {
		t.Errorf("just lost: %v", err)
	}
	s.groups.forget()
	s.away.Store(time.Now().Add(-awayFor - time.Second).UnixNano())
	if _, err := s.Groups(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("groups: %v", err)
	}
	if _, _, err := s.Get(t.Context(), Key{1, "default", all, 60}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	s.reconnected(s.nc)
	if _, err := s.Groups(t.Context()); err != nil {
		t.Errorf("back: %v", err)
	}
}
