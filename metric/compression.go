package metric

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"

	fastflate "github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"pktvisor/internal/zstdpool"
)

// Compression says how the body of a snapshot is compressed. Readers accept all of them.
type Compression byte

const (
	// Deflate is the default. Every language has it.
	Deflate Compression = iota
	// Zstd gives about the same size. It takes two fifths of the time to write, and a quarter to read.
	Zstd
	// ZstdFast is Zstd at a lower level, for what is written often. It takes 60% of the time to write, and gives 5% more bytes.
	ZstdFast
	// Uncompressed is for tests and examples.
	Uncompressed
)

// The compressions in the envelope of a snapshot.
const (
	bodyStored   = 0
	bodyDeflated = 1
	bodyZstd     = 2
)

// maxZstdWindow bounds how far a zstd frame may refer back, in bytes.
const maxZstdWindow = 8 << 20

// appendCompressed appends the compressed form of body and returns its code in the envelope.
func (o *SnapshotOptions) appendCompressed(dst, body []byte) ([]byte, byte) {
	switch o.Compression {
	case Zstd:
		return zstdWriters.Append(dst, body), bodyZstd
	case ZstdFast:
		return fastZstdWriters.Append(dst, body), bodyZstd
	case Uncompressed:
		return append(dst, body...), bodyStored
	}
	return appendDeflated(dst, body, o.TopKeys < 0), bodyDeflated
}

// appendDeflated compresses a body. If fast is true, it uses the fastest level. That is for snapshots with all keys,
// which are not sent over a network.
func appendDeflated(dst, body []byte, fast bool) []byte {
	pool := &deflaters
	if fast {
		pool = &fastDeflaters
	}
	out := bytes.NewBuffer(dst)
	w := pool.Get().(*flate.Writer)
	w.Reset(out)
	w.Write(body) // writing to a buffer does not fail
	w.Close()
	pool.Put(w)
	return out.Bytes()
}

// A compressor takes many times the size of its input, so it is reused: 650 kB for deflate, 5 MB for zstd, 2 MB for fast
// zstd.
var (
	deflaters       = sync.Pool{New: func() any { return newDeflater(flate.DefaultCompression) }}
	fastDeflaters   = sync.Pool{New: func() any { return newDeflater(flate.BestSpeed) }}
	zstdWriters     = newZstdWriters(zstd.SpeedBetterCompression)
	fastZstdWriters = newZstdWriters(zstd.SpeedDefault)
	zstdReader      = zstdpool.NewDecoder(zstd.WithDecoderMaxWindow(maxZstdWindow),
		zstd.WithDecoderMaxMemory(maxSnapshotBody+zstdSlack), zstd.WithDecodeAllCapLimit(true))
)

func newDeflater(level int) *flate.Writer {
	w, _ := flate.NewWriter(nil, level) // the levels are valid
	return w
}

func newZstdWriters(level zstd.EncoderLevel) *zstdpool.Encoders {
	// The snapshot has a checksum of its own. A longer window than this saves less than 0.2% and takes longer.
	return zstdpool.NewEncoders(zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(false), zstd.WithWindowSize(128<<10),
		zstd.WithLowerEncoderMem(true))
}

// expander decompresses bodies into memory that it reuses. It may be used by one goroutine at a time.
type expander struct {
	body    bytes.Buffer
	in      bytes.Reader
	limit   io.LimitedReader
	inflate io.ReadCloser
}

// expanders are for readers that do not keep one themselves.
var expanders = sync.Pool{New: func() any { return new(expander) }}

// keptBody bounds the memory that is kept for ordinary bodies after an extraordinary one, in bytes.
const keptBody = 2 << 20

var (
	errBodyLength = errors.New("the body does not have the stated length")
	errZstdFrame  = errors.New("the body is not exactly one zstd frame within the limits")
)

// expand decompresses a body that has size bytes without compression. The result is valid until the next call. Memory
// grows with the content, not with the claimed size.
func (x *expander) expand(stored []byte, size uint32, compression byte) ([]byte, error) {
	if size > maxSnapshotBody {
		return nil, errors.New("the body is too long")
	}
	if x.body.Cap() > keptBody && size < keptBody {
		x.body = bytes.Buffer{}
	}
	switch compression {
	case bodyStored:
		if len(stored) != int(size) {
			return nil, errBodyLength
		}
		return stored, nil
	case bodyDeflated:
		return x.inflated(stored, int(size))
	case bodyZstd:
		return x.unzstd(stored, int(size))
	}
	return nil, errors.New("unknown compression")
}

func (x *expander) inflated(stored []byte, size int) ([]byte, error) {
	x.in.Reset(stored)
	defer x.in.Reset(nil)
	if x.inflate == nil {
		x.inflate = fastflate.NewReader(&x.in)
	} else if err := x.inflate.(fastflate.Resetter).Reset(&x.in, nil); err != nil {
		return nil, err
	}
	x.limit = io.LimitedReader{R: x.inflate, N: int64(size) + 1}
	x.body.Reset()
	if _, err := x.body.ReadFrom(&x.limit); err != nil {
		return nil, err
	}
	if x.body.Len() != size || x.in.Len() > 0 {
		return nil, errBodyLength
	}
	return x.body.Bytes(), nil
}

func (x *expander) unzstd(stored []byte, size int) ([]byte, error) {
	if !oneZstdFrame(stored, size) {
		return nil, errZstdFrame
	}
	x.body.Reset()
	x.body.Grow(size + zstdSlack)
	// The frame may not grow beyond the capacity of the slice.
	body, err := zstdReader.DecodeAll(stored, x.body.AvailableBuffer()[:0:size+zstdSlack])
	if err != nil {
		return nil, err
	}
	if len(body) != size {
		return nil, errBodyLength
	}
	return body, nil
}

const (
	zstdBlock = 128 << 10 // a block has at most this many bytes without compression
	zstdSlack = 16        // with so many bytes beyond the end, the decoder uses its fast copies
)

// oneZstdFrame reports whether stored is exactly one zstd frame, with enough blocks to give size bytes. The decoder checks
// the rest: it has no dictionaries, and a limit for the window. The form is that of RFC 8878, section 3.1.1.
func oneZstdFrame(stored []byte, size int) bool {
	var h zstd.Header
	if h.Decode(stored) != nil || h.Skippable || h.HasFCS && h.FrameContentSize != uint64(size) {
		return false
	}
	rest := stored[h.HeaderSize:]
	for last := false; !last; {
		if len(rest) < 3 {
			return false
		}
		block := int(rest[0]) | int(rest[1])<<8 | int(rest[2])<<16
		last = block&1 != 0
		n := block >> 3
		switch block >> 1 & 3 {
		case 0: // as it is
			size -= n
		case 1: // one byte, repeated
			size -= n
			n = 1
		default:
			size -= zstdBlock
		}
		if n > len(rest)-3 {
			return false
		}
		rest = rest[3+n:]
	}
	checksum := 0
	if h.HasCheckSum {
		checksum = 4
	}
	return size <= 0 && len(rest) == checksum
}
