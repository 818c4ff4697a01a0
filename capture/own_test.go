package capture

import (
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// TestOwnCaptures reads the project's own captures, of every file format: as many frames and bytes as tshark finds.
func TestOwnCaptures(t *testing.T) {
	for _, c := range testkit.OwnCaptures(t) {
		s, err := OpenFile(c.Path)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		var got totals
		if err := readAll(s, got.add); err != nil || got.packets != c.Answers.Packets || got.wire != c.Answers.Bytes {
			t.Errorf("%s: %v, %d frames of %d bytes, tshark says %d of %d", c.Name, err, got.packets, got.wire, c.Answers.Packets, c.Answers.Bytes)
		}
		if st := s.Stats(); st.Received != got.packets || st.Bytes != st.Size || st.Size == 0 {
			t.Errorf("%s: stats %+v of %d frames", c.Name, st, got.packets)
		}
		s.Close()
	}
}

// TestFormatsAgree reads the same frames from every file format. Bytes, lengths and times agree, except for the unit of time.
func TestFormatsAgree(t *testing.T) {
	read := func(name string) []plain {
		s, err := OpenFile(filepath.Join(testkit.RepoRoot(t), "testdata", "synthetic", name))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		frames, err := readPlain(s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return frames
	}
	want := read("format-nano.pcap")
	if len(want) != 14 || want[0].Time != 1_700_000_000_123_456_789 || want[13].Time != want[0].Time+13e6 {
		t.Fatalf("%d frames from %d on", len(want), want[0].Time)
	}
	for name, exact := range map[string]func(i int) bool{ // which frames have times in nanoseconds
		"format-big-endian.pcap":      func(int) bool { return false },
		"format-big-endian-nano.pcap": func(int) bool { return true },
		"format-snaplen.pcap":         func(int) bool { return false },
		"format.snoop":                func(int) bool { return false },
		"format-options.pcapng":       func(i int) bool { return i%3 == 2 },
		"format-sections.pcapng":      func(i int) bool { return i%3 == 2 },
	} {
		got := read(name)
		if len(got) != len(want) {
			t.Errorf("%s: %d frames, want %d", name, len(got), len(want))
			continue
		}
		for i, w := range want {
			g := got[i]
			if !exact(i) {
				w.Time -= w.Time % 1000
			}
			if g.Link == linktype.Raw { // of the second interface
				w.Link, w.Data, w.Wire = linktype.Raw, w.Data[14:], w.Wire-14
			}
			if name == "format-snaplen.pcap" {
				w.Data = w.Data[:min(len(w.Data), 58)]
			}
			if strings.HasSuffix(name, "options.pcapng") && i%4 == 1 {
				w.Dir = DirIn
			}
			if g != w {
				t.Errorf("%s, frame %d: got %+v, want %+v", name, i, g, w)
			}
		}
	}
}
