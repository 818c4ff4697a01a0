package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// TestWarnsOfTimes: if the times in a file are far apart, a warning says which frames, how far, and what is missing.
func TestWarnsOfTimes(t *testing.T) {
	const start = int64(1_700_000_040)
	steady := func(n int) (seconds []int64) {
		for i := range int64(n) {
			seconds = append(seconds, start+i)
		}
		return seconds
	}
	with := func(seconds []int64, at int, second int64) []int64 {
		seconds = append([]int64(nil), seconds...)
		seconds[at] = second
		return seconds
	}
	for _, c := range []struct {
		name    string
		seconds []int64
		args    []string
		want    []string // none: no warning
		json    string
	}{
		{"steady", steady(200), nil, nil, `"length":200`},
		{"a little late", with(steady(200), 150, start+100), nil, nil, `"length":200`},
		{"a pause", append(steady(10), start+200), nil, nil, `"length":201`},
		{"one far ahead", with(steady(200), 99, start+86_400*365), nil,
			[]string{"frame 100 (2024-11-13T22:14:00Z) is 365 days ahead of the frames before it; frame 101 (2023-11-14T22:15:40Z) is 365 days behind the frames before it"}, `"length":201`},
		{"one far back", with(steady(200), 99, 0), nil,
			[]string{"frame 100 (1970-01-01T00:00:00Z) is 19676 days behind", "frame 101 (2023-11-14T22:15:40Z) is 19676 days ahead"}, `"length":201`},
		{"far ahead at the end", append(steady(200), start+86_400), nil,
			[]string{"frame 201 (2023-11-15T22:14:00Z) is 23h56m41s ahead", "with 1 of 201 packets; --summary counts all packets, editcap IN OUT 201 leaves that frame out"}, `"total":1,`},
		{"a summary", with(steady(200), 99, start+86_400*365), []string{"--summary"},
			[]string{"frame 100", "the summary spans 365 days"}, `"length":31536001`},
		{"appended", append(steady(400), steady(400)...), []string{"--shards", "3"},
			[]string{"frame 401 (2023-11-14T22:14:00Z) is 6m39s behind the frames before it", "with 280 of 800 packets"}, `"length":280`},
		{"too late", []int64{start + 3600, start, start - 1}, nil,
			[]string{"frame 2", "1 packets came after the minute of their timestamp was sealed"}, `"late":1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.pcap")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			w, err := testkit.NewPcapWriter(f, true, linktype.Ethernet)
			if err != nil {
				t.Fatal(err)
			}
			p := testkit.Packet{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("198.51.100.1"), Proto: testkit.ProtoUDP, SrcPort: 4242, DstPort: 9}
			for _, second := range c.seconds {
				if err := w.Write(second*int64(time.Second), p.AppendFrame(nil)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), append(c.args, "-H", "198.51.100.0/24", path), nil, &stdout, &stderr); code != exitOK {
				t.Fatalf("exit %d: %s", code, &stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("said %s, want %s", &stderr, want)
				}
			}
			if c.want == nil && stderr.Len() > 0 {
				t.Errorf("said %s", &stderr)
			}
			if !strings.Contains(stdout.String(), c.json) {
				t.Errorf("%s, want %s", &stdout, c.json)
			}
		})
	}
}
