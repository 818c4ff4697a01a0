package metric

import (
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// The binary form of a bucket. docs/snapshot.md describes it byte by byte.
const (
	snapshotMagic   = "pktvsnap"
	snapshotVersion = 1
	// The prelude: magic, version, compression, and the lengths of the header, of the stored body and of the body
	// without compression.
	snapshotPrelude = 20
	snapshotSum     = 4

	// maxSnapshotBody bounds the body that is read, in bytes. A body in full, in which every top table of 8192 slots is
	// full of the longest keys, has about 8 MiB.
	maxSnapshotBody = 16 << 20
	// maxSnapshotTime bounds the Unix times of a snapshot, so that sums of them cannot overflow. It is in the year
	// 36812.
	maxSnapshotTime = 1 << 40
	// maxIdentity is the length in bytes to which Agent and the names of an [Identity] are cut.
	maxIdentity = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DefaultTopKeys is the default number of keys that a snapshot keeps of a top table of 8192 slots. It is nearly four
// times what is shown of a fleet.
const DefaultTopKeys = 384

// SnapshotOptions controls the content of a snapshot.
type SnapshotOptions struct {
	// Agent is the program that made the bucket and its version. It is cut to 255 bytes, like the names in the bucket's
	// [Identity].
	Agent string
	// TopKeys is how many keys of a top table of 8192 slots are kept, the heaviest ones. Smaller tables keep fewer in
	// proportion, but no less than a quarter of it. 0 means [DefaultTopKeys]. A negative number keeps all keys of all
	// tables.
	//
	// Unless all keys are kept, two more groups of keys are dropped: those with no more than an 8192nd of their table's
	// weight, and the lightest if the keys have more than 32 bytes on average. The snapshot holds the resulting
	// increase of the table's error: see [sketch.Frequent.MaxError].
	TopKeys int
	// NoiseShare divides a table's weight to give the weight of a key that is not worth its bytes. 0 means 8192.
	NoiseShare uint64
	// CoarseRates keeps only the last second of each rate, and the histogram of all others. Their quantiles are then within
	// 1%. It makes the summary of an hour or more small: the seconds of a day take a megabyte.
	CoarseRates bool
	// Compression is how the body is compressed.
	Compression Compression

	mixed bool // several shares of a sample applied to the section
}

// AppendSnapshot appends the bucket in its binary form, which [ReadSnapshot] reads. It does not change the bucket, so
// other goroutines may read a sealed bucket at the same time.
func (b *Bucket) AppendSnapshot(dst []byte, o SnapshotOptions) []byte {
	start := len(dst)
	dst = append(dst, snapshotMagic...)
	dst = append(dst, snapshotVersion)
	dst = append(dst, make([]byte, snapshotPrelude-len(snapshotMagic)-1)...)

	dst = binary.AppendVarint(dst, b.Start)
	dst = binary.AppendUvarint(dst, uint64(b.End-b.Start))
	dst = binary.AppendUvarint(dst, uint64(b.DeepSamplePercent))
	dst = binary.AppendUvarint(dst, b.Lost)
	dst = appendName(dst, b.Identity.Host)
	dst = appendName(dst, o.Agent)
	dst = b.appendShares(dst)
	dst = b.appendIdentity(dst)
	header := len(dst) - start - snapshotPrelude

	w := bodyWriters.Get().(*bodyWriter)
	body := w.write(b, o)
	at := len(dst)
	dst, compression := o.appendCompressed(dst, body)
	bodyWriters.Put(w)

	prelude := dst[start:]
	prelude[9] = compression
	binary.LittleEndian.PutUint16(prelude[10:], uint16(header))
	binary.LittleEndian.PutUint32(prelude[12:], uint32(len(dst)-at))
	binary.LittleEndian.PutUint32(prelude[16:], uint32(len(body)))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// appendText appends the length of a string and the string.
func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendName appends a text, which it cuts to 255 bytes.
func appendName(dst []byte, name string) []byte {
	return appendText(dst, name[:min(len(name), maxIdentity)])
}

// appendIdentity appends what the header says about the bucket's origin, except for the host, and the seconds that it
// covers.
func (b *Bucket) appendIdentity(dst []byte) []byte {
	id := &b.Identity
	dst = appendName(dst, id.Policy)
	dst = appendName(dst, id.Tap)
	dst = binary.LittleEndian.AppendUint64(dst, id.Boot)
	dst = binary.AppendUvarint(dst, id.Seq)
	dst = binary.AppendUvarint(dst, id.Revision)
	dst = binary.AppendUvarint(dst, b.covered())
	tags := id.Tags.List()
	dst = binary.AppendUvarint(dst, uint64(len(tags)))
	for _, tag := range tags {
		dst = appendText(dst, tag)
	}
	return dst
}

// bodyWriter is the memory for writing a body.
type bodyWriter struct {
	value         encoded
	metrics, body []byte
}

var bodyWriters = sync.Pool{New: func() any { return new(bodyWriter) }}

// write returns the sections of a bucket. For each metric that is not empty, they have the path, the kind, the length of the
// value and the value. The result is valid until the next call.
func (w *bodyWriter) write(b *Bucket, o SnapshotOptions) []byte {
	w.body = binary.AppendUvarint(w.body[:0], uint64(len(b.Sections)))
	for _, s := range b.Sections {
		n := uint64(0)
		w.metrics = w.metrics[:0]
		o.mixed = s.Table.sampled() && s.sampling.least != s.sampling.most
		for i := range s.Table.Descs {
			d := &s.Table.Descs[i]
			e := &w.value
			*e = encoded{e.value[:0], e.beside[:0], e.scaled[:0], e.each[:0]}
			s.values[i].appendBinary(e, d, b.Start, o)
			if i == s.Table.taken {
				e.beside = s.sampling.appendBinary(e.beside, b.Start, o)
			}
			for _, part := range [...]struct {
				kind  byte
				value []byte
			}{{d.Kind.wire, e.value}, {d.Kind.beside, e.beside}, {d.Kind.scaled, e.scaled}, {d.Kind.each, e.each}} {
				if len(part.value) > 0 {
					n++
					w.metrics = appendMetric(w.metrics, d.Path, part.kind, part.value)
				}
			}
		}
		w.body = appendText(w.body, s.Table.Section)
		w.body = binary.AppendUvarint(w.body, n)
		w.body = append(w.body, w.metrics...)
	}
	return w.body
}

func appendMetric(dst []byte, path string, kind byte, value []byte) []byte {
	return appendText(append(appendText(dst, path), kind), value)
}
