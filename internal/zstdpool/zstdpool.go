// Package zstdpool reuses the encoders and decoders of zstd. They take many times the memory of what they work on.
//
// Package zstd hands encoders and decoders around in channels. A channel of a test's bubble ([testing/synctest]) ends the
// program if a goroutine outside of the bubble uses it. So nothing that is kept here has a channel that was made later than
// at the start of the program: encoders work as streams, which need none, and a decoder is made by a package's variable.
package zstdpool

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Encoders compress with constant options. They may be used by many goroutines.
type Encoders struct{ pool sync.Pool }

// NewEncoders returns encoders with the given options. It panics if they are not valid.
func NewEncoders(options ...zstd.EOption) *Encoders {
	options = append(options, zstd.WithEncoderConcurrency(1)) // with more, a stream starts goroutines
	return &Encoders{pool: sync.Pool{New: func() any {
		w, err := zstd.NewWriter(nil, options...)
		if err != nil {
			panic(err)
		}
		return w
	}}}
}

// Append appends the compressed form of data, as one frame that states the length of data.
func (e *Encoders) Append(dst, data []byte) []byte {
	out := bytes.NewBuffer(dst)
	w := e.pool.Get().(*zstd.Encoder)
	w.ResetContentSize(out, int64(len(data)))
	w.Write(data) // writing to a buffer does not fail
	w.Close()
	w.Reset(nil) // do not keep the buffer
	e.pool.Put(w)
	return out.Bytes()
}

// NewDecoder returns a decoder with the given options, for [zstd.Decoder.DecodeAll] by as many goroutines as run at once.
// It is for variables of packages. It panics if the options are not valid.
func NewDecoder(options ...zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, append(options, zstd.WithDecoderConcurrency(0))...)
	if err != nil {
		panic(err)
	}
	return d
}
