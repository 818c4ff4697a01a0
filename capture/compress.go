package capture

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	// compressedBuffer is how much of a compressed file is read at once, in bytes.
	compressedBuffer = 64 << 10
	// maxZstdWindow bounds the memory that a zstd file can ask for, in bytes. It is the default limit of the zstd
	// command.
	maxZstdWindow = 128 << 20
)

// compression is a compression format of capture files.
type compression struct {
	name string
	open func(io.Reader) (io.Reader, func(), error)
}

// compressionOf recognises a compressed file by its first 4 bytes.
func compressionOf(head []byte) (compression, bool) {
	switch magic := [4]byte(head); {
	case magic[0] == 0x1f && magic[1] == 0x8b:
		return compression{"gzip", openGzip}, true
	case magic == [4]byte{0x28, 0xb5, 0x2f, 0xfd},
		// A skippable frame, which parallel compressors write first.
		magic[0]&0xf0 == 0x50 && magic[1] == 0x2a && magic[2] == 0x4d && magic[3] == 0x18:
		return compression{"zstd", openZstd}, true
	case magic == [4]byte{0x04, 0x22, 0x4d, 0x18}, magic == [4]byte{0x02, 0x21, 0x4c, 0x18}:
		return compression{"lz4", openLZ4}, true
	}
	return compression{}, false
}

// Each of these decompresses as a stream. Its memory is bounded by the format's window, whatever the size of the
// output. The returned function, if any, ends the decompressor.

func openGzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(r, compressedBuffer))
	return z, nil, err
}

func openZstd(r io.Reader) (io.Reader, func(), error) {
	// With concurrency 1, it decodes in the caller's goroutine and starts none.
	z, err := zstd.NewReader(bufio.NewReaderSize(r, compressedBuffer),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, nil, err
	}
	return z, z.Close, nil
}

func openLZ4(r io.Reader) (io.Reader, func(), error) {
	return lz4.NewReader(bufio.NewReaderSize(r, compressedBuffer)), nil, nil
}
