package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/hub/store"
	"pktvisor/metric"
)

// TestServe: an agent of the fleet answers as a real one: all minutes since a time in pages of 120, unchanged lists, errors.
func TestServe(t *testing.T) {
	f := New(Config{Hosts: 3, Pops: 1, Countries: 1, Chaos: Chaos{Duplicate: 0.1, Restart: 0.1}})
	begin := time.Now().Unix()/60*60 - 301*60 // so that the last minute was sealed long ago
	s := httptest.NewServer(&Server{Fleet: f, Clock: Clock{Begin: begin}, Minutes: 300})
	defer s.Close()
	get := func(path string, header ...string) (*http.Response, []byte) {
		t.Helper()
		r, _ := http.NewRequest("GET", s.URL+path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res, b
	}
	at := fmt.Sprintf("/a/00002/api/v1/snapshots?since=%d", begin+60)
	count := map[string]int{}
	pages := 0
	for path := at; path != ""; pages++ {
		res, b := get(path)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != typeSnapshot {
			t.Fatal(path, res.Status)
		}
		for len(b) > 0 {
			one, rest, err := metric.NextSnapshot(b)
			if err != nil {
				t.Fatal(err)
			}
			info, err := metric.ReadSnapshotInfo(one)
			if err != nil || info.Identity.Host != f.Name(2) {
				t.Fatal(info, err)
			}
			count[fmt.Sprint(info.Start, info.Identity.Boot, info.Identity.Seq)]++
			b = rest
		}
		if again, _ := get(path, "If-None-Match", res.Header.Get("ETag")); again.StatusCode != 304 {
			t.Errorf("%s: %d, want 304", path, again.StatusCode)
		}
		path = ""
		if link := res.Header.Get("Link"); link != "" {
			path = "/a/00002/api/v1/snapshots" + strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
	}
	want := map[string]int{}
	for min := 1; min < 300; min++ {
		for _, s := range f.Of(2, min) {
			id := f.Identity(s)
			want[fmt.Sprint(begin+int64(min)*60, id.Boot, id.Seq)] = 1
			if f.Duplicate(2, min) {
				want[fmt.Sprint(begin+int64(min)*60, id.Boot, id.Seq)] = 2
			}
		}
	}
	if !maps.Equal(count, want) || pages != 3 || len(want) < 310 {
		t.Errorf("%d snapshots in %d pages, want %d in 3", len(count), pages, len(want))
	}
	for path, code := range map[string]int{
		"/": 404, "/a/3/api/v1/snapshots": 404, "/a/x/api/v1/snapshots": 404, "/a/-1/api/v1/snapshots": 404, "/a/1/api/v1/metrics": 404,
		"/a/1/api/v1/snapshots?since=x": 400, "/a/1/api/v1/snapshots?since=9999999999": 200, "/a/1/api/v1/snapshots?limit=1": 200,
	} {
		if res, _ := get(path); res.StatusCode != code {
			t.Errorf("%s: %d, want %d", path, res.StatusCode, code)
		}
	}
}

// TestClock: an agent has a minute two seconds after its end by its own clock, and is away while a minute is late.
func TestClock(t *testing.T) {
	f := &Fleet{cfg: Config{Hosts: 200, Pops: 1, Countries: 1, Chaos: Chaos{Late: 0.1, Skew: time.Hour}}}
	const begin = 1_700_000_040
	s := &Server{Fleet: f, Clock: Clock{Begin: begin, Speed: 1}, Minutes: 30}
	for host := range f.Hosts() {
		first := f.Start(host, begin, 0)
		for min := range 30 {
			end := time.Unix(first+int64(min+1)*60+2, 0).Add(-f.Clock(host))
			if n := s.sealed(host, end); n != min+1 {
				t.Fatalf("host %d has %d minutes, want %d", host, n, min+1)
			}
			if n := s.sealed(host, end.Add(-time.Second)); n != min {
				t.Fatalf("host %d has %d minutes a second earlier, want %d", host, n, min)
			}
		}
	}
	for _, speed := range []float64{1, 60} {
		c := Clock{Began: time.Now().Add(-time.Minute), Begin: begin, Speed: speed}
		if got := c.Now().Sub(time.Unix(begin, 0)); got < time.Duration(60*speed)*time.Second || got > time.Duration(120*speed)*time.Second {
			t.Errorf("speed %v: %v passed in a minute", speed, got)
		}
		if got := c.When(begin + 60*speed).Sub(c.Began); got != time.Minute {
			t.Errorf("speed %v: a minute is at %v", speed, got)
		}
	}
}

// TestPush: all that a fleet pushes is stored, and the sums of what is stored, each identity once, are those that the
// simulation prints.
func TestPush(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	s, err := store.Open(ctx, store.Config{Dir: filepath.Join(dir, "data"), Listen: "127.0.0.1:0", TokenFile: token, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out bytes.Buffer
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	o := Flags(set)
	err = set.Parse([]string{
		"--hosts=12", "--pops=2", "--minutes=6", "--speed=0", "--duplicate=0.2", "--late=0.2", "--restart=0.2", "--skew=10m",
		"--push", "nats://" + s.Addr().String(), "--push-token-file", token,
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Out, o.Log = &out, quiet
	if err := Run(ctx, *o); err != nil {
		t.Fatal(err)
	}
	got := map[int64]*Sum{}
	seen := map[string]bool{}
	delivered := 0
	for {
		list, err := s.Consume(ctx, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, d := range list {
			delivered++
			id := d.Raw.Info.Identity
			key := fmt.Sprint(id.Host, id.Boot, id.Seq, d.Raw.Info.Start)
			if !seen[key] {
				seen[key] = true
				if got[d.Raw.Info.Start] == nil {
					got[d.Raw.Info.Start] = &Sum{}
				}
				got[d.Raw.Info.Start].Snapshots++
				got[d.Raw.Info.Start].Lost += d.Raw.Info.Lost
			}
			d.Ack()
		}
	}
	minutes, snapshots := 0, uint64(0)
	for d := json.NewDecoder(&out); d.More(); minutes++ {
		var want Sums
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		sum := got[want.Start]
		if sum == nil || sum.Snapshots != want.All.Snapshots || sum.Lost != want.All.Lost {
			t.Errorf("minute %d: %+v, want %d snapshots and %d lost", want.Start, sum, want.All.Snapshots, want.All.Lost)
		}
		snapshots += want.All.Snapshots
	}
	if minutes < 6 || minutes != len(got) || snapshots <= 12*6 || delivered <= int(snapshots) {
		t.Errorf("%d minutes, %d stored; %d snapshots, %d delivered", minutes, len(got), snapshots, delivered)
	}
}

// TestOptions: every mistake is reported.
func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      "give either --listen or --push",
		"--listen=:0 --push=nats://x":           "give either --listen or --push",
		"--push=x --hosts=0":                    "--hosts 0",
		"--push=x --pops=0":                     "--pops 0",
		"--push=x --countries=-1":               "--countries -1",
		"--push=x --minutes=1441":               "--minutes 1441",
		"--push=x --speed=-1":                   "--speed -1",
		"--push=x --speed=NaN":                  "--speed NaN",
		"--push=x --late=1.1":                   "--late 1.1",
		"--push=x --duplicate=-0.1":             "--duplicate -0.1",
		"--push=x --restart=NaN":                "--restart NaN",
		"--push=x --push-prefix=a..b":           "prefix",
		"--push=x --push-token-file=/none/such": "no such file",
	} {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		o := Flags(set)
		if err := set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(want, "no such file") {
			o.Hosts = 1
		}
		o.Out, o.Log = io.Discard, slog.New(slog.DiscardHandler)
		ctx, cancel := context.WithCancel(t.Context())
		err := Run(ctx, *o)
		cancel()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
