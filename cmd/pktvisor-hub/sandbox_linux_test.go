package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pktvisor/sandbox"
)

// TestSandbox: a hub that root starts keeps its data as another user, accepts pushed minutes, and starts again. It stays root, without
// capabilities, if its directory belongs to root.
func TestSandbox(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this test needs root")
	}
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil {
		t.Fatal(err)
	}
	data, old := filepath.Join(top, "new", "data"), filepath.Join(top, "old")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(dir string) (s sandbox.State) {
		t.Helper()
		p := start(t, hubCommand(t, "-l", "127.0.0.1", "-p", "0", "--data", dir, "--nats-listen", "127.0.0.1:0"))
		status, body := p.get(t, "/api/v1/metrics/app")
		var app struct {
			App struct{ Sandbox sandbox.State }
		}
		if err := json.Unmarshal(body, &app); err != nil || status != 200 {
			t.Fatalf("%d %v: %s", status, err, body)
		}
		if status, body := p.get(t, "/readyz"); status != 200 {
			t.Errorf("%d %s", status, body)
		}
		if _, code := p.Stop(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
		return app.App.Sandbox
	}
	for range 2 {
		if s := run(data); s.User != "nobody" || len(s.Capabilities) != 0 || !s.NoNewPrivs {
			t.Errorf("%+v", s)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(data, &st); err != nil || st.Uid == 0 {
		t.Errorf("the data belongs to user %d: %v", st.Uid, err)
	}
	if s := run(old); s.User != "root" || len(s.Capabilities) != 0 || len(s.Missing) == 0 {
		t.Errorf("%+v", s)
	}
}
