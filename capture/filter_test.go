package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"pktvisor/linktype"
)

// firstByte matches frames by their first byte.
type firstByte byte

func (m firstByte) Match(frame []byte, _ uint32) bool { return len(frame) > 0 && frame[0] == byte(m) }

// TestFilterOfLinks: a filter makes sense for some link types of a file, and matches nothing of the others. A filter
// that makes sense for none is an error, before anything is read if the file has said which link types it has.
func TestFilterOfLinks(t *testing.T) {
	order := binary.LittleEndian
	mixed := ngIface(ngIface(section(nil, order), order, 228, 0, nil), order, 1, 0, nil)
	for i := range uint64(4) {
		mixed = enhanced(mixed, order, uint32(i%2), i, 1, "x", nil)
	}
	pcap := func(link uint32, n int) []byte {
		b := pcapHeader(order, pcapMicros, 2, 4, link)
		for range n {
			b = record(b, order, 1, 1, 1, 1, "x")
		}
		return b
	}
	wrong := errors.New("this makes no sense here")
	for _, c := range []struct {
		name    string
		content []byte
		sense   linktype.Type
		want    int // frames; -1 is the error
	}{
		{"the second of two interfaces", mixed, linktype.Ethernet, 2},
		{"the first of two interfaces", mixed, linktype.IPv4, 2},
		{"no interface", mixed, linktype.Raw, -1},
		{"the link type", pcap(1, 3), linktype.Ethernet, 3},
		{"another link type", pcap(1, 3), linktype.Raw, -1},
		{"another link type, no frames", pcap(1, 0), linktype.Raw, -1},
		{"no frames", pcap(1, 0), linktype.Ethernet, 0},
		{"another link type, pcapng without frames", ngIface(section(nil, order), order, 1, 0, nil), linktype.Raw, -1},
		{"pcapng without interfaces", section(nil, order), linktype.Raw, 0},
		{"the first of two files", slices.Concat(pcap(1, 3), pcap(101, 2)), linktype.Ethernet, 3},
		{"the second of two files", slices.Concat(mixed, pcap(101, 2), pcap(1, 1)), linktype.Ethernet, 3},
	} {
		compiled := map[linktype.Type]int{}
		src := Filter(openBytes(t, c.content), func(link linktype.Type) (Matcher, error) {
			if compiled[link]++; link != c.sense {
				return nil, wrong
			}
			return firstByte('x'), nil
		})
		got, err := readPlain(src)
		if c.want < 0 {
			if !errors.Is(err, wrong) || len(got) > 0 {
				t.Errorf("%s: %v, %d frames", c.name, err, len(got))
			}
			continue
		}
		if st := src.Stats(); err != nil || len(got) != c.want || st.Received != uint64(c.want) {
			t.Errorf("%s: %v, %d frames, %+v, want %d", c.name, err, len(got), st, c.want)
		}
		for _, f := range got {
			if f.Link != c.sense {
				t.Errorf("%s: a frame of %v", c.name, f.Link)
			}
		}
		for link, n := range compiled {
			if n != 1 {
				t.Errorf("%s: compiled %d times for %v", c.name, n, link)
			}
		}
	}
}

// between calls f after a batch is read and before it is filtered.
type between struct {
	Source
	f func()
}

func (s between) ReadBatch(b *Batch) error {
	err := s.Source.ReadBatch(b)
	s.f()
	return err
}

// TestFilterCountsGrow reads the counts while a batch is filtered: no count decreases.
func TestFilterCountsGrow(t *testing.T) {
	content := pcapHeader(binary.LittleEndian, pcapMicros, 2, 4, 1)
	for i := range 3 * batchFrames {
		content = record(content, binary.LittleEndian, 1, 1, 1, 1, "xyz"[i%3:][:1])
	}
	var last Stats
	var src Source
	check := func() {
		st := src.Stats()
		if st.Received < last.Received || st.Discarded < last.Discarded {
			t.Errorf("%+v after %+v", st, last)
		}
		last = st
	}
	src = Filter(between{openBytes(t, content), func() { check() }}, func(linktype.Type) (Matcher, error) { return firstByte('x'), nil })
	var b Batch
	for src.ReadBatch(&b) != io.EOF {
		check()
	}
	if last.Received != batchFrames || last.Discarded != 2*batchFrames {
		t.Errorf("%+v at the end", last)
	}
}

// FuzzFilter filters files of several interfaces and several files: the frames that match pass, and the counts are
// right.
func FuzzFilter(f *testing.F) {
	for _, a := range smallCaptures() {
		f.Add(append(a.content, mixedNG()[:500]...), byte('h'), uint16(1))
	}
	f.Fuzz(func(t *testing.T, content []byte, first byte, sense uint16) {
		plainSource, err := OpenReader(bytes.NewReader(content), 0)
		if err != nil {
			return
		}
		all, _ := readPlain(plainSource)
		inner, err := OpenReader(bytes.NewReader(content), 0)
		if err != nil {
			t.Fatal(err)
		}
		wrong := errors.New("this makes no sense here")
		src := Filter(inner, func(link linktype.Type) (Matcher, error) {
			if link&1 != linktype.Type(sense)&1 {
				return nil, wrong
			}
			return firstByte(first), nil
		})
		got, err := readPlain(src)
		var want []plain
		for _, p := range all {
			if p.Link&1 == linktype.Type(sense)&1 && len(p.Data) > 0 && p.Data[0] == first {
				want = append(want, p)
			}
		}
		if errors.Is(err, wrong) {
			want = want[:min(len(got), len(want))]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d frames, want %d, %v", len(got), len(want), err)
		}
		if st := src.Stats(); st.Received != uint64(len(got)) {
			t.Errorf("%+v, %d frames", st, len(got))
		}
	})
}

// TestFilterStatsRace is for the race detector.
func TestFilterStatsRace(t *testing.T) {
	src := Filter(openBytes(t, mixedPcap()), func(linktype.Type) (Matcher, error) { return firstByte(1), nil })
	var asking sync.WaitGroup
	asking.Go(func() {
		for range 100 {
			src.Stats()
		}
	})
	if _, err := readPlain(src); err != nil {
		t.Error(err)
	}
	asking.Wait()
}
