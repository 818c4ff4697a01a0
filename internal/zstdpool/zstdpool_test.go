package zstdpool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
)

var (
	encoders = NewEncoders(zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	decoder  = NewDecoder(zstd.WithDecodeAllCapLimit(true))
)

// text is content of n bytes that compresses well.
func text(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n+20)
	for len(b) < n {
		b = fmt.Appendf(b, "host-%d.example, ", r.IntN(1000))
	}
	return b[:n]
}

func check(t *testing.T, data []byte) {
	t.Helper()
	frame := encoders.Append([]byte("head"), data)
	if !bytes.HasPrefix(frame, []byte("head")) {
		t.Fatalf("%d bytes: Append lost what was there", len(data))
	}
	frame = frame[4:]
	other, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for name, d := range map[string]*zstd.Decoder{"own": decoder, "other": other} {
		if got, err := d.DecodeAll(frame, make([]byte, 0, len(data)+16)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %s decoder: %d bytes, error %v", len(data), name, len(got), err)
		}
	}
	var h zstd.Header
	if err := h.Decode(frame); err != nil || h.HasFCS && h.FrameContentSize != uint64(len(data)) || len(data) >= 256 && !h.HasFCS || h.HasCheckSum {
		t.Errorf("%d bytes: header %+v, error %v", len(data), h, err)
	}
	if len(data) > 1000 && len(frame) > len(data)*6/10 {
		t.Errorf("%d bytes became %d", len(data), len(frame))
	}
}

func TestAppend(t *testing.T) {
	for _, n := range []int{0, 1, 300, 128<<10 - 1, 128 << 10, 128<<10 + 1, 1 << 20} {
		check(t, text(n))
	}
}

// TestBubbles uses the encoders and the decoder in one bubble after the other, and outside of them. With a channel of a
// bubble in them, this would end the test program.
func TestBubbles(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check(t, text(300_000)) })
			check(t, text(300_000))
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	data := text(400_000)
	var dst []byte
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		dst = encoders.Append(dst[:0], data)
	}
}

func BenchmarkEncodeAll(b *testing.B) {
	data := text(400_000)
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(128<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		dst = w.EncodeAll(data, dst[:0])
	}
}
