package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/state"
)

// windowTotal is a part of the API's answer for a window.
type windowTotal struct {
	Window struct {
		Period struct {
			Start int64 `json:"start_ts"`
		}
		Packets struct{ Total int }
	} `json:"5m"`
}

// replayWithState runs the command until its window has packets, and returns the window.
func replayWithState(t *testing.T, dir string) (w windowTotal) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	logs, stderr := io.Pipe()
	exit := make(chan int, 1)
	go func() {
		exit <- run(ctx, []string{"--replay", "--replay-speed", "20", "-p", "0", "-l", "127.0.0.1", "--state-dir", dir,
			filepath.Join(testkit.Captures(t), "demo.pcap.gz")}, strings.NewReader(""), io.Discard, stderr)
		stderr.Close()
	}()
	urls := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			t.Log(lines.Text())
			if _, url, ok := strings.Cut(lines.Text(), "msg=serving url="); ok {
				urls <- url
			}
		}
		close(urls)
	}()
	url := <-urls
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for w.Window.Packets.Total == 0 && ctx.Err() == nil && url != "" {
		<-poll.C
		res, err := http.Get(url + "api/v1/metrics/window/5")
		if err != nil {
			t.Fatal(err)
		}
		if json.NewDecoder(res.Body).Decode(&w) != nil {
			w = windowTotal{}
		}
		res.Body.Close()
	}
	stop()
	if code := <-exit; code != exitOK || w.Window.Packets.Total == 0 {
		t.Fatalf("exit %d, window %+v", code, w)
	}
	for range urls { // until everything was logged
	}
	return w
}

// TestStateDir stops an agent and starts another one on the same directory.
func TestStateDir(t *testing.T) {
	dir := t.TempDir()
	first := replayWithState(t, dir)
	second := replayWithState(t, dir)
	if second.Window.Period.Start != first.Window.Period.Start || second.Window.Packets.Total <= first.Window.Packets.Total {
		t.Errorf("window of the first %+v, of the second %+v", first, second)
	}
	s, err := state.Open(dir, agent.Tables, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(nil)
	sum := metric.NewBucket(agent.Tables)
	for _, b := range s.Load(time.Now(), 5) {
		sum.Merge(b)
	}
	i, _ := sum.Sections[0].Table.Find("total")
	if n := int(sum.Sections[0].Counter(i)); n < second.Window.Packets.Total || sum.Start != first.Window.Period.Start {
		t.Errorf("the directory has %d packets from %d on; the second agent had %+v", n, sum.Start, second)
	}
}
