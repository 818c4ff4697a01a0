package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func newTestSoak() *soak {
	return newSoak(&options{}, phases, "", io.Discard)
}

// TestLedger: every packet that is neither counted nor reported as lost is a failure.
func TestLedger(t *testing.T) {
	good := ledger{sent: 100, received: 90, counted: 90, osDrops: 7, ifDrops: 2, wire: 1, sending: time.Second}
	for name, c := range map[string]struct {
		change   func(*ledger)
		failures int
	}{
		"good":                    {func(*ledger) {}, 0},
		"one is missing":          {func(l *ledger) { l.osDrops-- }, 1},
		"one may be unseen":       {func(l *ledger) { l.osDrops--; l.unseen = 1 }, 0},
		"one too many":            {func(l *ledger) { l.ifDrops++; l.unseen = 5 }, 1},
		"received, not counted":   {func(l *ledger) { l.counted-- }, 1},
		"malformed":               {func(l *ledger) { l.malformed++ }, 1},
		"a message is missing":    {func(l *ledger) { l.sent = 90; l.osDrops, l.ifDrops, l.wire = 0, 0, 0; l.messages = 49 }, 1},
		"all messages":            {func(l *ledger) { l.sent = 90; l.osDrops, l.ifDrops, l.wire = 0, 0, 0; l.messages = 50 }, 0},
		"drops may have had some": {func(l *ledger) { l.messages = 49 }, 0},
	} {
		s, l := newTestSoak(), good
		c.change(&l)
		s.closeLedger(phase{name: "test"}, l, 50)
		if len(s.failures) != c.failures {
			t.Errorf("%s: failures %q", name, s.failures)
		}
	}
}

// TestBuckets: minutes are whole, follow each other and do not change, except where the agent was started.
func TestBuckets(t *testing.T) {
	bucket := func(start, length int, more string) []byte {
		return fmt.Appendf(nil, `{"1m":{"period":{"start_ts":%d,"length":%d}%s}}`, start, length, more)
	}
	const at = 6000 // when the agent was started
	for name, c := range map[string]struct {
		bodies [][]byte
		want   string
	}{
		"good":             {[][]byte{bucket(6120, 60, ""), bucket(6060, 60, ""), bucket(6000, 60, "")}, ""},
		"a partial first":  {[][]byte{bucket(6060, 60, ""), bucket(6005, 55, "")}, ""},
		"a gap at a start": {[][]byte{bucket(6060, 60, ""), bucket(6003, 57, ""), bucket(5940, 50, ""), bucket(5880, 60, "")}, ""},
		"a gap":            {[][]byte{bucket(6240, 60, ""), bucket(6120, 60, "")}, "bucket/2 ends at 6180"},
		"an overlap":       {[][]byte{bucket(6120, 60, ""), bucket(6120, 60, "")}, "bucket/2 ends at 6180"},
		"not aligned":      {[][]byte{bucket(6130, 60, "")}, "not a whole minute"},
		"too short":        {[][]byte{bucket(6120, 59, "")}, "not a whole minute"},
		"no JSON":          {[][]byte{[]byte("{")}, "unexpected end"},
	} {
		w := newWatch()
		w.starts = []int64{at}
		if err := w.check(c.bodies); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWatch()
	if err := w.check([][]byte{bucket(6120, 60, "")}); err != nil {
		t.Error(err)
	}
	if err := w.check([][]byte{bucket(6120, 60, `,"packets":{}`)}); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("a bucket that changed: %v", err)
	}
}

func TestGrowth(t *testing.T) {
	rss, goroutines := resources[0], resources[2]
	for _, c := range []struct {
		second uint64 // MiB
		want   bool
	}{{100, false}, {108, false}, {110, true}, {50, false}} {
		samples := []sample{{rss: 60 << 20}, {rss: 100 << 20}, {rss: 60 << 20}, {rss: c.second << 20}}
		if first, second, grew := rss.grew(samples); grew != c.want || first != 100<<20 || second != max(c.second, 60)<<20 {
			t.Errorf("from 100 to %d MiB: %d, %d, %v", c.second, first, second, grew)
		}
	}
	var samples []sample
	for i := range uint64(100) {
		samples = append(samples, sample{goroutines: 30})
		if i%10 == 9 {
			samples[i].goroutines = i // many requests at once
		}
	}
	if first, second, grew := goroutines.grew(samples); first != 30 || second != 30 || grew {
		t.Errorf("peaks counted as growth: %d, %d", first, second)
	}
	for i := range samples {
		samples[i].goroutines += uint64(i / 5)
	}
	if first, second, grew := goroutines.grew(samples); !grew {
		t.Errorf("a slow leak did not count as growth: %d, %d", first, second)
	}
}

// TestAsk: an answer that is not good is an error.
func TestAsk(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"/metrics/good": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Header.Get("Accept-Encoding") == "gzip" {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				defer z.Close()
				io.WriteString(z, `{"a":1}`)
				return
			}
			io.WriteString(w, `{"a":1}`)
		},
		"/metrics/broken": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"a":`)
		},
		"/metrics/early": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error":"there are only 0 finished minutes yet"}`)
		},
		"/metrics/text":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"/metrics/empty": func(http.ResponseWriter, *http.Request) {},
	}
	mux := http.NewServeMux()
	for path, h := range answers {
		mux.HandleFunc(path, h)
	}
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for path, want := range map[string]string{
		"/metrics/good": "", "/metrics/early": "", "/metrics/broken": "no valid JSON", "/metrics/text": "no JSON but text/plain",
		"/metrics/empty": "empty", "/metrics/none": "404",
	} {
		for _, compressed := range []bool{false, true} {
			c := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			body, err := ask(context.Background(), c, srv.URL+path, compressed)
			switch {
			case (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want):
				t.Errorf("%s: %q, %v", path, body, err)
			case path == "/metrics/good" && string(body) != `{"a":1}`:
				t.Errorf("compressed %v: %q", compressed, body)
			}
			c.CloseIdleConnections()
		}
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(phases) {
		t.Errorf("%d phases, %v", len(all), err)
	}
	if two, err := choose("tcp,names flood"); err != nil || len(two) != 2 || two[1].preset != "all-distinct-names" {
		t.Errorf("%v, %v", two, err)
	}
	if _, err := choose("tcp,xyz"); err == nil {
		t.Error("an unknown name was accepted")
	}
}
