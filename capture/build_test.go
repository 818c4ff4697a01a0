package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"pktvisor/linktype"
)

// byteOrder writes numbers in one of the two orders.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var byteOrders = []byteOrder{binary.LittleEndian, binary.BigEndian}

// pcapHeader builds a pcap file's header.
func pcapHeader(order byteOrder, magic uint32, major, minor uint16, link uint32) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, major)
	b = order.AppendUint16(b, minor)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	b = order.AppendUint32(b, 262144)
	return order.AppendUint32(b, link)
}

// words appends 32-bit numbers.
func words(b []byte, order byteOrder, v ...uint32) []byte {
	for _, w := range v {
		b = order.AppendUint32(b, w)
	}
	return b
}

// record appends a pcap record: seconds, fraction, and the two lengths in the given order.
func record(b []byte, order byteOrder, sec, frac, first, second uint32, data string) []byte {
	return append(words(b, order, sec, frac, first, second), data...)
}

// block appends a pcapng block with the body, which it pads.
func block(b []byte, order byteOrder, kind uint32, body []byte) []byte {
	body = append(body[:len(body):len(body)], make([]byte, -len(body)&3)...)
	n := uint32(len(body) + blockOverhead)
	return words(append(words(b, order, kind, n), body...), order, n)
}

func section(b []byte, order byteOrder) []byte {
	return block(b, order, blockSection, words(nil, order, sectionMagic,
		order.Uint32(order.AppendUint16(order.AppendUint16(nil, 1), 0)), ^uint32(0), ^uint32(0)))
}

// option appends a pcapng option, padded.
func option(b []byte, order byteOrder, code uint16, value []byte) []byte {
	b = order.AppendUint16(b, code)
	b = order.AppendUint16(b, uint16(len(value)))
	return append(append(b, value...), make([]byte, -len(value)&3)...)
}

func ngIface(b []byte, order byteOrder, link uint16, snap uint32, options []byte) []byte {
	body := order.AppendUint16(nil, link)
	body = order.AppendUint16(body, 0)
	body = order.AppendUint32(body, snap)
	return block(b, order, blockInterface, append(body, options...))
}

// enhanced appends an enhanced packet block with a time in the interface's units.
func enhanced(b []byte, order byteOrder, iface uint32, units uint64, wire uint32, data string, options []byte) []byte {
	body := words(nil, order, iface, uint32(units>>32), uint32(units), uint32(len(data)), wire)
	body = append(body, data...)
	body = append(body, make([]byte, -len(data)&3)...)
	return block(b, order, blockEnhanced, append(body, options...))
}

func simple(b []byte, order byteOrder, wire uint32, data string) []byte {
	return block(b, order, blockSimple, append(words(nil, order, wire), data...))
}

// plain is a frame with a copy of its data, for comparison.
type plain struct {
	Data string
	Time int64
	Wire uint32
	Link linktype.Type
	Dir  Direction
}

// readPlain reads a source to its end. The error is nil for io.EOF.
func readPlain(s Source) (frames []plain, err error) {
	err = readAll(s, func(f *Frame) {
		frames = append(frames, plain{string(f.Data), f.Time, f.WireLen, f.Link, f.Direction})
	})
	return frames, err
}

// openBytes opens a capture in memory.
func openBytes(t testing.TB, content []byte) Source {
	t.Helper()
	s, err := OpenReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mixedNG returns a pcapng file with one of everything: two sections, one in each byte order, several interfaces, all
// packet blocks, blocks to skip, and frames of many lengths.
func mixedNG() []byte {
	var b []byte
	for _, order := range byteOrders {
		b = section(b, order)
		b = block(b, order, 0x0bad, []byte("a custom block"))
		b = ngIface(b, order, uint16(linktype.Ethernet), 0, nil)
		b = ngIface(b, order, uint16(linktype.Raw), 96, option(nil, order, optTSResol, []byte{9}))
		for i := range 40 {
			data := string(bytes.Repeat([]byte{byte(i)}, i*37%300))
			b = enhanced(b, order, uint32(i%2), 1_700_000_000_000_000+uint64(i), uint32(len(data)), data,
				option(nil, order, optFlags, words(nil, order, uint32(i%3))))
		}
		b = simple(b, order, 60, string(make([]byte, 60)))
		b = block(b, order, 4, make([]byte, 70_000))
		b = block(b, order, blockPacket, append(words(nil, order, 0, 1, 2, 5, 5), "hello"...))
	}
	return b
}

// mixedPcap returns a pcap file with frames of many lengths, some longer than a batch's memory.
func mixedPcap() []byte {
	order := binary.LittleEndian
	b := pcapHeader(order, pcapMicros, 2, 4, 1)
	for i := range 300 {
		n := i * 37 % 300
		if i%100 == 50 {
			n = 20_000 * i / 50
		}
		data := bytes.Repeat([]byte{byte(i)}, n)
		b = record(b, order, uint32(i+1), uint32(i), uint32(n), uint32(n+i%2), string(data))
	}
	return b
}

// compressors are the ways to compress a capture.
var compressors = map[string]func([]byte) []byte{
	"gzip": func(b []byte) []byte {
		return compressed(b, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	},
	"zstd": func(b []byte) []byte {
		return compressed(b, func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
			if err != nil {
				panic(err)
			}
			return z
		})
	},
	"lz4": func(b []byte) []byte {
		return compressed(b, func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) })
	},
}

func compressed(b []byte, open func(io.Writer) io.WriteCloser) []byte {
	var out bytes.Buffer
	w := open(&out)
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// slowReaders return content in pieces that cross every boundary.
var slowReaders = map[string]func(io.Reader) io.Reader{
	"one byte": iotest.OneByteReader,
	"half":     iotest.HalfReader,
	"data err": iotest.DataErrReader,
	"empty":    func(r io.Reader) io.Reader { return &hesitant{r: r} },
}

// hesitant returns nothing on every second read.
type hesitant struct {
	r io.Reader
	n int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.n++; h.n%2 == 0 {
		return 0, nil
	}
	return h.r.Read(p[:min(len(p), 777)])
}
