package push

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/hub/store"
)

// TestHub pushes to the store of a hub, with the rights that it gives to agents.
func TestHub(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write(t, file, "s3cret\n")
	hub, err := store.Open(t.Context(), store.Config{
		Dir: t.TempDir(), Listen: "127.0.0.1:0", TokenFile: file, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Unix(noon+600, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	p, logged := start(t, Config{Servers: []string{"nats://" + hub.Addr().String()}, TokenFile: file}, bucket(1), bucket(2))
	part := bucket(3)
	part.Identity.Seq = 0
	acknowledged(t, p, 2)
	p.Close(part)
	want := []uint64{1, 2, 0}
	for len(want) > 0 {
		list, err := hub.Consume(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			t.Fatalf("%d minutes are missing", len(want))
		}
		for _, d := range list {
			id := bucket(1).Identity
			id.Seq = want[0]
			if d.Err != nil || d.Info.Identity != id || d.Tags != "pop=ams1" || d.Info.Agent != "pktvisord 1.2.3" {
				t.Errorf("%+v of %s, %v; want %+v", d.Info.Identity, d.Info.Agent, d.Err, id)
			}
			want = want[1:]
			d.Ack()
		}
	}
	if strings.Contains(logged.String(), "iolation") {
		t.Errorf("a right is missing: %s", logged)
	}
}
