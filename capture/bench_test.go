package capture

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"
)

// benchFrames is the number of frames in the benchmarks' captures.
const benchFrames = 200_000

// benchData returns frames of DNS-like lengths, 118 bytes on average.
func benchData() []string {
	rng := rand.New(rand.NewPCG(1, 2))
	body := string(make([]byte, 1500))
	data := make([]string, benchFrames)
	for i := range data {
		data[i] = body[:min(70+int(rng.ExpFloat64()*48), len(body))]
	}
	return data
}

func benchPcap() []byte {
	order := binary.LittleEndian
	out := pcapHeader(order, pcapMicros, 2, 4, 1)
	for i, d := range benchData() {
		n := uint32(len(d))
		out = record(out, order, uint32(i/1000), uint32(i%1000), n, n, d)
	}
	return out
}

func benchNG() []byte {
	order := binary.LittleEndian
	out := ngIface(section(nil, order), order, 1, 0, option(nil, order, optTSResol, []byte{9}))
	for i, d := range benchData() {
		out = enhanced(out, order, 0, uint64(i), uint32(len(d)), d, nil)
	}
	return out
}

func writeTemp(tb testing.TB, content []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "a.pcap")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// BenchmarkRead reads a file in the page cache to its end: with this package, with the bare system calls, and with
// gopacket's reader in its zero-copy and its plain form.
func BenchmarkRead(b *testing.B) {
	content := benchPcap()
	path := writeTemp(b, content)
	benchRead(b, "pcap", len(content), path, readWhole)
	benchRead(b, "syscalls", len(content), path, func(tb testing.TB, path string) int {
		f := openTemp(tb, path)
		defer f.Close()
		for buf := make([]byte, batchBytes); ; {
			if n, _ := f.Read(buf); n == 0 {
				return benchFrames
			}
		}
	})
	benchRead(b, "gopacket-zerocopy", len(content), path, func(tb testing.TB, path string) int {
		return gopacketRead(tb, path, func(r *pcapgo.Reader) error { _, _, err := r.ZeroCopyReadPacketData(); return err })
	})
	benchRead(b, "gopacket", len(content), path, func(tb testing.TB, path string) int {
		return gopacketRead(tb, path, func(r *pcapgo.Reader) error { _, _, err := r.ReadPacketData(); return err })
	})
	ng := benchNG()
	benchRead(b, "pcapng", len(ng), writeTemp(b, ng), readWhole)
	for name, compress := range compressors {
		benchRead(b, name, len(content), writeTemp(b, compress(content)), readWhole)
	}
}

func benchRead(b *testing.B, name string, size int, path string, read func(testing.TB, string) int) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if n := read(b, path); n != benchFrames {
				b.Fatalf("%d frames", n)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchFrames, "ns/frame")
	})
}

func openTemp(tb testing.TB, path string) *os.File {
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func readWhole(tb testing.TB, path string) (n int) {
	s, err := OpenFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer s.Close()
	var b Batch
	for ; ; n += len(b.Frames) {
		if err := s.ReadBatch(&b); err == io.EOF {
			return n
		} else if err != nil {
			tb.Fatal(err)
		}
	}
}

func gopacketRead(tb testing.TB, path string, next func(*pcapgo.Reader) error) (n int) {
	f := openTemp(tb, path)
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	for next(r) == nil {
		n++
	}
	return n
}

// endless repeats the records of a capture for ever.
type endless struct {
	header, records []byte
	r               bytes.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	if e.header != nil {
		e.r.Reset(e.header)
		e.header = nil
	}
	if e.r.Len() == 0 {
		e.r.Reset(e.records)
	}
	return e.r.Read(p)
}

// TestNoAllocations reads batch after batch, alternating between two batches as a pipeline does.
func TestNoAllocations(t *testing.T) {
	order := binary.LittleEndian
	long := string(make([]byte, 70_000))
	pcap := pcapHeader(order, pcapMicros, 2, 4, 1)
	ng := ngIface(section(nil, order), order, 1, 0, nil)
	for name, c := range map[string]*endless{
		"pcap":      {header: pcap, records: benchPcap()[pcapHeaderLen:]},
		"pcap long": {header: pcap, records: record(nil, order, 1, 2, 70_000, 70_000, long)},
		"pcapng":    {header: ng, records: benchNG()[len(ng)+8:]},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := OpenReader(c, 0)
			if err != nil {
				t.Fatal(err)
			}
			var batches [2]Batch
			n, frames := 0, 0
			read := func() {
				b := &batches[n%2]
				if err := s.ReadBatch(b); err != nil {
					t.Fatal(err)
				}
				n++
				frames += len(b.Frames)
			}
			for range 20 {
				read()
			}
			frames = 0
			if a := testing.AllocsPerRun(200, read); a != 0 {
				t.Errorf("%g allocations a batch", a)
			}
			if frames < 200 {
				t.Errorf("only %d frames in 200 batches", frames)
			}
		})
	}
}
