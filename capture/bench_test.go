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

// benchFrames is how many frames the benchmarks' captures have.
const benchFrames = 400_000

// benchCapture makes a pcap file with frames of DNS-like lengths, 118 bytes on average, and
// returns its bytes. (bytesAFrame is what to multiply to have another mean.)
func benchCapture(factor int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	out := pcapHeader(binary.LittleEndian, pcapMicros, 2, 4, 1)
	body := make([]byte, 400*factor)
	for i := range benchFrames {
		n := (70 + int(rng.ExpFloat64()*48)) * factor
		n = min(n, len(body))
		out = appendRecord(out, binary.LittleEndian, uint32(i/1000), uint32(i%1000), body[:n], uint32(n))
	}
	return out
}

func pcapHeader(order binary.AppendByteOrder, magic uint32, major, minor uint16, link uint32) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, major)
	b = order.AppendUint16(b, minor)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = order.AppendUint32(b, 262144)
	return order.AppendUint32(b, link)
}

func appendRecord(b []byte, order binary.AppendByteOrder, sec, frac uint32, data []byte, wire uint32) []byte {
	for _, v := range []uint32{sec, frac, uint32(len(data)), wire} {
		b = order.AppendUint32(b, v)
	}
	return append(b, data...)
}

func benchFile(b *testing.B, content []byte) string {
	path := filepath.Join(b.TempDir(), "bench.pcap")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkRead reads a file of the page cache to its end: this package against gopacket's
// reader, in its plain and its zero-copy form.
func BenchmarkRead(b *testing.B) {
	content := benchCapture(1)
	path := benchFile(b, content)
	run := func(name string, read func() int) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if n := read(); n != benchFrames {
					b.Fatalf("%d frames", n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchFrames, "ns/frame")
		})
	}
	run("pktvisor", func() int {
		s, err := OpenFile(path)
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		return countFrames(b, s)
	})
	run("read-only", func() int {
		f, _ := os.Open(path)
		defer f.Close()
		var buf [batchBytes]byte
		for {
			if n, _ := f.Read(buf[:]); n == 0 {
				return benchFrames
			}
		}
	})
	gopacketRead := func(next func(*pcapgo.Reader) error) func() int {
		return func() (n int) {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			r, err := pcapgo.NewReader(f)
			if err != nil {
				b.Fatal(err)
			}
			for next(r) == nil {
				n++
			}
			return n
		}
	}
	run("gopacket-zerocopy", gopacketRead(func(r *pcapgo.Reader) error { _, _, err := r.ZeroCopyReadPacketData(); return err }))
	run("gopacket", gopacketRead(func(r *pcapgo.Reader) error { _, _, err := r.ReadPacketData(); return err }))
}

func countFrames(tb testing.TB, s Source) (n int) {
	var b Batch
	for {
		if err := s.ReadBatch(&b); err == io.EOF {
			return n
		} else if err != nil {
			tb.Fatal(err)
		}
		n += len(b.Frames)
	}
}

var _ = bytes.NewReader
