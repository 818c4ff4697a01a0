package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
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
			"--name", "ns1", "--tag", "pop=ams1", "--tag", "country=nl",
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

// kept returns the buckets in a state directory.
func kept(t *testing.T, dir string) []*metric.Bucket {
	t.Helper()
	s, err := state.Open(dir, agent.Tables, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(nil)
	return s.Load(time.Now(), 5)
}

// TestStateDir stops an agent and starts another one on the same directory. If both ran in the same minute, its bucket
// has the boot of the second agent and the packets of both. Otherwise there is a bucket of each.
func TestStateDir(t *testing.T) {
	dir := t.TempDir()
	first := replayWithState(t, dir)
	before := kept(t, dir)
	second := replayWithState(t, dir)
	boots := map[uint64]int64{}
	for _, b := range slices.Concat(before, kept(t, dir)) {
		id := b.Identity
		if boots[id.Boot] = b.Start; id.Boot == 0 || id.Host != "ns1" || id.Tags != "country=nl,pop=ams1" || id.Policy != agent.Default {
			t.Errorf("bucket of %+v", id)
		}
	}
	if len(boots) != 2 {
		t.Errorf("boots %v, want those of two agents", boots)
	}
	all, old := kept(t, dir), before[len(before)-1]
	if newest := all[len(all)-1]; minute.Of(newest.Start) == minute.Of(old.Start) {
		i, _ := old.Sections[0].Table.Find("total")
		if newest.Identity.Boot == old.Identity.Boot || newest.Start != old.Start || newest.Sections[0].Counter(i) <= old.Sections[0].Counter(i) {
			t.Errorf("the second agent did not continue the minute: %+v from %d with %d packets, before %+v from %d with %d",
				newest.Identity, newest.Start, newest.Sections[0].Counter(i), old.Identity, old.Start, old.Sections[0].Counter(i))
		}
	}
	if second.Window.Period.Start != first.Window.Period.Start || second.Window.Packets.Total <= first.Window.Packets.Total {
		t.Errorf("window of the first %+v, of the second %+v", first, second)
	}
	sum := metric.NewBucket(agent.Tables)
	for _, b := range all {
		sum.Merge(b)
	}
	i, _ := sum.Sections[0].Table.Find("total")
	if n := int(sum.Sections[0].Counter(i)); n < second.Window.Packets.Total || sum.Start != first.Window.Period.Start {
		t.Errorf("the directory has %d packets from %d on; the second agent had %+v", n, sum.Start, second)
	}
}
