package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/metric"
	"pktvisor/server"
)

const typeSnapshot = "application/vnd.pktvisor.snapshot"

// TestSnapshotOfBucket: a bucket's snapshot holds the same values as the bucket.
func TestSnapshotOfBucket(t *testing.T) {
	w := summary(t, testkit.TinyMixed()).Window()
	cfg := config(w)
	cfg.Host = "not the bucket's"
	h := server.New(cfg).Handler()
	check := apicheck.New(t)
	for _, accept := range []string{typeSnapshot, "application/json;q=0.5, " + typeSnapshot, "Application/VND.pktvisor.snapshot; v=1"} {
		got := get(t, h, "/api/v1/metrics/bucket/2", "Accept", accept, "Accept-Encoding", "gzip")
		if got.Code != 200 || got.Header().Get("Content-Type") != typeSnapshot || got.Header().Get("Content-Encoding") != "" {
			t.Fatalf("Accept %q: %d %v", accept, got.Code, got.Header())
		}
		check.Check(t, "/api/v1/metrics/bucket/2", got.Code, got.Header(), got.Body.Bytes())
		info, err := metric.ReadSnapshotInfo(got.Body.Bytes())
		if err != nil || info.Identity.Host != "ns1.example" || info.Agent != "pktvisord 1.2.3" {
			t.Errorf("info %+v, %v", info, err)
		}
		b, err := metric.ReadSnapshot(agent.Tables, got.Body.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		want := w.Bucket(2)
		for i, s := range b.Sections {
			for k, d := range s.Table.Descs {
				if d.Kind == metric.KindCounter && s.Counter(k) != want.Sections[i].Counter(k) {
					t.Errorf("%s %s: %d, want %d", s.Table.Section, d.Path, s.Counter(k), want.Sections[i].Counter(k))
				}
			}
		}
	}
	for accept, contentType := range map[string]string{
		"": "application/json", "*/*": "application/json", "application/*": "application/json", "text/html": "application/json",
		// RFC 9110, 12.4.2: a weight of 0 is "not acceptable"; 12.5.1: the most specific range decides.
		"application/json, " + typeSnapshot + ";q=0": "application/json", typeSnapshot + "; Q=0.000, */*": "application/json",
		"application/json, " + typeSnapshot + ";q=0.9": "application/json", "application/json;q=0.8, " + typeSnapshot + ";q=0.9": typeSnapshot,
		"*/*;q=0, " + typeSnapshot + ";q=0.1": typeSnapshot, "*/*, " + typeSnapshot: typeSnapshot, "application/json;q=0, */*": typeSnapshot,
		typeSnapshot + ";v=1;q=0": "application/json", typeSnapshot + ";q=1.5": "application/json", typeSnapshot + ";q=x": "application/json",
		typeSnapshot + ";q=0.001": typeSnapshot, typeSnapshot + ";q=0, " + typeSnapshot: typeSnapshot, "application/*;q=0, application/json": "application/json",
	} {
		if got := get(t, h, "/api/v1/metrics/bucket/2", "Accept", accept); got.Header().Get("Content-Type") != contentType {
			t.Errorf("Accept %q: %s", accept, got.Header().Get("Content-Type"))
		}
	}
	for _, accept := range []string{"*/*;q=0", "application/json;q=0", "application/json;q=0, " + typeSnapshot + ";q=0", "application/*;q=0"} {
		if got := get(t, h, "/api/v1/metrics/bucket/2", "Accept", accept); got.Code != 406 {
			t.Errorf("Accept %q: %d %s", accept, got.Code, got.Header().Get("Content-Type"))
		}
	}
	if got := get(t, h, "/api/v1/metrics/window/5", "Accept", "application/json;q=0"); got.Code != 406 {
		t.Errorf("a window without JSON: %d", got.Code)
	}
	live := get(t, h, "/api/v1/metrics/bucket/0", "Accept", typeSnapshot)
	if live.Code != 406 {
		t.Errorf("the live bucket: %d", live.Code)
	}
	check.Check(t, "/api/v1/metrics/bucket/0", live.Code, live.Header(), live.Body.Bytes())
}

// TestSnapshots: the route returns each sealed bucket since a time once, in order.
func TestSnapshots(t *testing.T) {
	w := summary(t, testkit.TinyMixed()).Window()
	h := server.New(config(w)).Handler()
	check := apicheck.New(t)
	sealed := w.Sealed()
	if len(sealed) < 2 {
		t.Fatalf("%d sealed buckets", len(sealed))
	}
	for i := range len(sealed) + 1 {
		path := "/api/v1/snapshots"
		switch {
		case i == len(sealed):
			path += fmt.Sprintf("?since=%d", sealed[i-1].End)
		case i > 0:
			path += fmt.Sprintf("?since=%d", sealed[i].Start)
		}
		got := get(t, h, path)
		check.Check(t, path, got.Code, got.Header(), got.Body.Bytes())
		rest := got.Body.Bytes()
		for _, want := range sealed[i:] {
			one, after, err := metric.NextSnapshot(rest)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			b, err := metric.ReadSnapshot(agent.Tables, one)
			if err != nil || b.Start != want.Start || b.End != want.End {
				t.Errorf("%s: %+v, %v, want the minute of %d", path, b, err, want.Start)
			}
			alone := get(t, h, fmt.Sprintf("/api/v1/snapshots?since=%d", want.Start)).Body.Bytes()
			if !bytes.HasPrefix(alone, one) {
				t.Errorf("%s: the minute of %d has other bytes", path, want.Start)
			}
			rest = after
		}
		if len(rest) != 0 {
			t.Errorf("%s: %d bytes more", path, len(rest))
		}
		etag := got.Header().Get("ETag")
		if again := get(t, h, path, "If-None-Match", etag); again.Code != 304 {
			t.Errorf("%s: %d, want 304", path, again.Code)
		}
	}
	for _, since := range []string{"x", "1.5", "99999999999999999999"} {
		if got := get(t, h, "/api/v1/snapshots?since="+since); got.Code != 400 {
			t.Errorf("since=%s: %d", since, got.Code)
		}
	}
}

// TestSnapshotBody: a request chooses the compression. Each has its own bytes and its own tag, and holds the same values.
func TestSnapshotBody(t *testing.T) {
	w := summary(t, testkit.TinyMixed()).Window()
	h := server.New(config(w)).Handler()
	check := apicheck.New(t)
	for _, route := range []string{"/api/v1/metrics/bucket/2?", "/api/v1/snapshots?limit=1&since=0&"} {
		bodies, tags := map[string]byte{"": 1, "body=deflate": 1, "body=zstd": 2}, map[string]string{}
		json := map[string]string{}
		for range 2 { // made, then from the cache
			for query, compression := range bodies {
				got := get(t, h, route+query, "Accept", typeSnapshot)
				check.Check(t, route+query, got.Code, got.Header(), got.Body.Bytes())
				one, _, err := metric.NextSnapshot(got.Body.Bytes())
				if err != nil {
					t.Fatalf("%s%s: %v", route, query, err)
				}
				b, err := metric.ReadSnapshot(agent.Tables, one)
				if err != nil || one[9] != compression {
					t.Fatalf("%s%s: compression %d, want %d; %v", route, query, one[9], compression, err)
				}
				tags[query], json[query] = got.Header().Get("ETag"), string(b.AppendJSON(nil, metric.JSONOptions{Key: "1m"}))
				if link := got.Header().Get("Link"); link != "" && strings.Contains(link, "body=zstd") != (compression == 2) {
					t.Errorf("%s%s: Link %s", route, query, link)
				}
				if again := get(t, h, route+query, "Accept", typeSnapshot, "If-None-Match", tags[query]); again.Code != 304 {
					t.Errorf("%s%s: %d, want 304", route, query, again.Code)
				}
			}
		}
		if tags[""] != tags["body=deflate"] || tags[""] == tags["body=zstd"] {
			t.Errorf("%s: tags %v", route, tags)
		}
		if json[""] != json["body=zstd"] || len(json[""]) < 100 {
			t.Errorf("%s: deflate has %s\nzstd has %s", route, json[""], json["body=zstd"])
		}
		for query, want := range map[string]string{"body=gzip": `body \"gzip\": give deflate or zstd`, "body=": "give deflate or zstd", "body=zstd&body=zstd": "body is given more than once"} {
			got := get(t, h, route+query, "Accept", typeSnapshot)
			check.Check(t, route+query, got.Code, got.Header(), got.Body.Bytes())
			if got.Code != 400 || !strings.Contains(got.Body.String(), want) {
				t.Errorf("%s%s: %d %s", route, query, got.Code, got.Body)
			}
		}
	}
}
