package metric

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"pktvisor/internal/testkit"
)

// zstdFrame compresses with the options of a stranger.
func zstdFrame(t testing.TB, body []byte, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(body, nil)
}

// envelope is a snapshot without metrics around a stored body.
func envelope(stored []byte, size int, compression byte) []byte {
	b := NewBucket(nil)
	b.Start, b.End = testStart, testStart+60
	data := b.AppendSnapshot(nil, SnapshotOptions{Compression: Uncompressed})
	data = append(data[:len(data)-snapshotSum-1], stored...) // instead of the body, a zero
	data[9] = compression
	binary.LittleEndian.PutUint32(data[12:], uint32(len(stored)))
	binary.LittleEndian.PutUint32(data[16:], uint32(size))
	return reseal(append(data, 0, 0, 0, 0))
}

func uncompressed(b *Bucket) []byte {
	_, body, _ := openSnapshot(b.AppendSnapshot(nil, SnapshotOptions{TopKeys: -1, Compression: Uncompressed}))
	return body
}

// blocks is a zstd frame of n blocks that repeat one byte, with a window of 8 MiB.
func blocks(n, length int) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3}
	for i := range n {
		header := length<<3 | 1<<1
		if i == n-1 {
			header |= 1
		}
		frame = append(frame, byte(header), byte(header>>8), byte(header>>16), 0)
	}
	return frame
}

func TestZstdFrames(t *testing.T) {
	b := grow(3, 20_000, 5000)
	body := uncompressed(b)
	long := bytes.Repeat(body, 9<<20/len(body)+1)
	plain := zstdFrame(t, body)
	checked := append(blocks(1, 100), 1, 2, 3, 4)
	checked[4] = 4 // the flag of the checksum
	dictionary := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x03, 7 << 3, 1, 0, 0, 0}, blocks(1, 100)[6:]...)
	for _, c := range []struct {
		name   string
		stored []byte
		body   []byte // nil: must be rejected
		size   int
	}{
		{"as other programs write it", plain, body, len(body)},
		{"best", zstdFrame(t, body, zstd.WithEncoderLevel(zstd.SpeedBestCompression)), body, len(body)},
		{"fastest", zstdFrame(t, body, zstd.WithEncoderLevel(zstd.SpeedFastest)), body, len(body)},
		{"without its size", zstdFrame(t, body[:200], zstd.WithSingleSegment(false)), body[:200], 200},
		{"with a checksum", zstdFrame(t, body, zstd.WithEncoderCRC(true)), body, len(body)},
		{"one segment", zstdFrame(t, body, zstd.WithSingleSegment(true)), body, len(body)},
		{"one block", blocks(1, 100), make([]byte, 100), 100},
		{"many blocks", blocks(128, 128<<10), make([]byte, 16<<20), 16 << 20},
		{"9 MiB", zstdFrame(t, long, zstd.WithSingleSegment(false)), long, len(long)},
		{"9 MiB in one segment", zstdFrame(t, long, zstd.WithSingleSegment(true)), nil, len(long)},
		{"window of 16 MiB", zstdFrame(t, long, zstd.WithWindowSize(16<<20), zstd.WithSingleSegment(false)), nil, len(long)},
		{"a byte more than stated", blocks(1, 101), nil, 100},
		{"17 bytes more than stated", blocks(1, 117), nil, 100},
		{"a byte less than stated", blocks(1, 99), nil, 100},
		{"16 MiB and a byte", append(blocks(129, 128<<10)[:6+4*128], 1<<3|3, 0, 0, 0), nil, 16<<20 + 1},
		{"far more than stated", blocks(1000, 128<<10), nil, 100},
		{"far less than stated", blocks(1, 100), nil, 16 << 20},
		{"a block that is too long", blocks(1, 200_000), nil, 200_000},
		{"another size in the frame", zstdFrame(t, body), nil, len(body) - 1},
		{"two frames", append(zstdFrame(t, body[:1000]), zstdFrame(t, body[1000:])...), nil, len(body)},
		{"a frame that is skipped", append(bytes.Clone(plain), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), nil, len(body)},
		{"only a frame that is skipped", []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, nil, 0},
		{"a byte behind", append(bytes.Clone(plain), 0), nil, len(body)},
		{"two frames without a size", append(blocks(1, 100), blocks(1, 100)...), nil, 200},
		{"a frame that is skipped, after one without a checksum", append(blocks(1, 100), 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0), nil, 100},
		{"far less than stated, with a checksum", checked, nil, 16 << 20},
		{"cut", plain[:len(plain)-1], nil, len(body)},
		{"dictionary", dictionary, nil, 100},
		{"nothing", nil, nil, 0},
		{"a wrong checksum", append(zstdFrame(t, body, zstd.WithEncoderCRC(true))[:len(plain)-4], 1, 2, 3, 4), nil, len(body)},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x expander
			for range 2 { // with new memory, and with reused memory
				got, err := x.expand(c.stored, uint32(c.size), bodyZstd)
				if (err != nil) != (c.body == nil) || err == nil && !bytes.Equal(got, c.body) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				if err != nil && len(c.stored) < 100 && x.body.Cap() > 1<<20 {
					t.Errorf("%d bytes took %d bytes of memory", len(c.stored), x.body.Cap())
				}
			}
			if _, err := x.expand(plain, uint32(len(body)), bodyZstd); err != nil || x.body.Cap() > keptBody {
				t.Errorf("afterwards %v, %d bytes of memory", err, x.body.Cap())
			}
			if c.body != nil {
				return
			}
			var typed *SnapshotError
			if _, err := ReadSnapshot(nil, envelope(c.stored, c.size, bodyZstd)); !errors.As(err, &typed) {
				t.Errorf("ReadSnapshot: %v", err)
			}
		})
	}
	if _, err := ReadSnapshot(nil, envelope([]byte{0}, 1, 3)); err == nil {
		t.Error("an unknown compression was read")
	}
}

// TestExpandAllocates: a warm expander allocates nothing.
func TestExpandAllocates(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("pools forget what they have with the race detector")
	}
	b := grow(3, 20_000, 5000)
	for _, c := range []Compression{Deflate, Zstd, ZstdFast} {
		data := b.AppendSnapshot(nil, SnapshotOptions{Compression: c})
		_, stored, _ := openSnapshot(data)
		var x expander
		if n := testing.AllocsPerRun(20, func() {
			if _, err := x.expand(stored, binary.LittleEndian.Uint32(data[16:]), data[9]); err != nil {
				t.Fatal(err)
			}
		}); n > 1 {
			t.Errorf("compression %d: %v allocations", c, n)
		}
	}
}

// FuzzZstd expands any frame. The result must have the stated length, and be what a decoder without limits gives.
func FuzzZstd(f *testing.F) {
	body := uncompressed(grow(3, 200, 50))
	f.Add(zstdFrame(f, body), uint32(len(body)))
	f.Add(zstdFrame(f, body[:100], zstd.WithSingleSegment(true)), uint32(100))
	f.Add(zstdFrame(f, body, zstd.WithEncoderCRC(true)), uint32(len(body)))
	f.Add(blocks(3, 1000), uint32(3000))
	other, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		f.Fatal(err)
	}
	var x expander
	f.Fuzz(func(t *testing.T, stored []byte, size uint32) {
		size %= maxSnapshotBody + 2
		got, err := x.expand(stored, size, bodyZstd)
		if err != nil {
			return
		}
		want, err := other.DecodeAll(stored, nil)
		if len(got) != int(size) || err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d; another decoder: %v", len(got), size, err)
		}
	})
}

// FuzzInflate compares the inflater with that of the standard library. Both must accept the same bodies.
func FuzzInflate(f *testing.F) {
	body := uncompressed(grow(3, 200, 50))
	f.Add(appendDeflated(nil, body, false), uint16(len(body)))
	f.Add(appendDeflated(nil, body[:100], true), uint16(100))
	f.Add(appendDeflated(nil, nil, false), uint16(0))
	var x expander
	f.Fuzz(func(t *testing.T, stored []byte, size uint16) {
		got, err := x.expand(stored, uint32(size), bodyDeflated)
		in := bytes.NewReader(stored)
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(in), int64(size)+1))
		accepted := wantErr == nil && len(want) == int(size) && in.Len() == 0
		if accepted != (err == nil) || accepted && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v; the standard library: %d bytes, %v, %d left", len(got), err, len(want), wantErr, in.Len())
		}
	})
}
