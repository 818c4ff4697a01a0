package metric

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"sync"
)

// The binary form of a bucket: docs/snapshot.md describes it byte by byte.
const (
	snapshotMagic   = "pktvsnap"
	snapshotVersion = 1
	// The prelude: magic, version, compression, and the lengths of the header, of the body as it is
	// stored and of the body as it was.
	snapshotPrelude = 20
	snapshotSum     = 4

	bodyStored   = 0
	bodyDeflated = 1

	// maxSnapshotBody is the length in bytes of the longest body that is read. With every top table
	// of 8192 slots full of the longest keys, one written in full has about 8 MiB.
	maxSnapshotBody = 16 << 20
	// maxSnapshotTime bounds the Unix times of a snapshot, so that sums of them cannot overflow: it
	// is the year 36812.
	maxSnapshotTime = 1 << 40
	// maxIdentity is the length in bytes at which Host and Agent are cut.
	maxIdentity = 255
)

// The kinds of metric in a snapshot. They are part of the format: [Kind] is not.
const (
	wireCounter     = 1
	wireRate        = 2
	wireHistogram   = 3
	wireCardinality = 4
	wireTop         = 5
)

var wireKinds = [...]byte{
	KindCounter: wireCounter, KindRate: wireRate, KindHistogram: wireHistogram,
	KindCardinality: wireCardinality, KindTop: wireTop,
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// DefaultTopKeys is how many keys of a top table of 8192 slots a snapshot keeps unless told
// otherwise: nearly four times what is shown of a fleet.
const DefaultTopKeys = 384

const (
	// noiseShare is the divisor of a table's weight that gives the weight of a key that is not worth its
	// bytes: a flood of keys seen once each does not grow what a fleet sends.
	noiseShare = 8192
	// meanKeyLen is how many bytes the keys of a table may have on the average, of as many as
	// it may keep; if they have more, fewer are kept.
	meanKeyLen = 32
)

// SnapshotOptions say what a snapshot holds.
type SnapshotOptions struct {
	// Host is who made the bucket: the name by which a hub tells agents apart. Agent is what it was
	// made with: the program and its version. Both are cut to 255 bytes.
	Host, Agent string
	// TopKeys is how many keys are kept of a top table of 8192 slots, the heaviest; smaller tables
	// keep fewer in proportion, but no less than a quarter of it. 0 means [DefaultTopKeys], a
	// negative number all keys of all tables.
	//
	// Unless all are kept, keys that have no more than an 8192nd of their table's weight are dropped
	// as well, and the lightest where keys have more than 32 bytes on the average. What that adds to a
	// table's error is in the snapshot: see [sketch.Frequent.MaxError].
	TopKeys int
}

// AppendSnapshot appends the bucket in its binary form, which [ReadSnapshot] reads. It does not
// change the bucket: one that is sealed may be read by others at the same time.
func (b *Bucket) AppendSnapshot(dst []byte, o SnapshotOptions) []byte {
	return b.appendSnapshot(dst, o, bodyDeflated)
}

func (b *Bucket) appendSnapshot(dst []byte, o SnapshotOptions, compression byte) []byte {
	start := len(dst)
	dst = append(dst, snapshotMagic...)
	dst = append(dst, snapshotVersion, compression)
	dst = append(dst, make([]byte, snapshotPrelude-len(snapshotMagic)-2)...)

	dst = binary.AppendVarint(dst, b.Start)
	dst = binary.AppendUvarint(dst, uint64(b.End-b.Start))
	dst = binary.AppendUvarint(dst, uint64(b.DeepSamplePercent))
	dst = binary.AppendUvarint(dst, b.Lost)
	dst = appendText(dst, o.Host[:min(len(o.Host), maxIdentity)])
	dst = appendText(dst, o.Agent[:min(len(o.Agent), maxIdentity)])
	dst = b.appendShares(dst)
	header := len(dst) - start - snapshotPrelude

	body := b.appendBody(nil, o)
	at := len(dst)
	if compression == bodyDeflated {
		dst = appendDeflated(dst, body, o)
	} else {
		dst = append(dst, body...)
	}

	prelude := dst[start:]
	binary.LittleEndian.PutUint16(prelude[10:], uint16(header))
	binary.LittleEndian.PutUint32(prelude[12:], uint32(len(dst)-at))
	binary.LittleEndian.PutUint32(prelude[16:], uint32(len(body)))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// appendDeflated compresses a body: as fast as possible where all keys are kept, for that is
// not sent anywhere.
func appendDeflated(dst, body []byte, o SnapshotOptions) []byte {
	pool := &deflaters
	if o.TopKeys < 0 {
		pool = &fastDeflaters
	}
	out := bytes.NewBuffer(dst)
	w := pool.Get().(*flate.Writer)
	w.Reset(out)
	w.Write(body) // a buffer takes all
	w.Close()
	pool.Put(w)
	return out.Bytes()
}

// A compressor takes 650 kB, many times what it is given: it is used again.
var (
	deflaters     = sync.Pool{New: func() any { return newDeflater(flate.DefaultCompression) }}
	fastDeflaters = sync.Pool{New: func() any { return newDeflater(flate.BestSpeed) }}
)

func newDeflater(level int) *flate.Writer {
	w, _ := flate.NewWriter(nil, level) // the levels are valid
	return w
}

// appendText appends a string after its length.
func appendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// appendBody appends the sections: of each metric that has anything to say its path, its kind, and
// its value after its length.
func (b *Bucket) appendBody(dst []byte, o SnapshotOptions) []byte {
	var value, metrics []byte
	dst = binary.AppendUvarint(dst, uint64(len(b.Sections)))
	for _, s := range b.Sections {
		n := uint64(0)
		metrics = metrics[:0]
		for i := range s.Table.Descs {
			d := &s.Table.Descs[i]
			value = s.appendValue(value[:0], i, b.Start, o)
			if len(value) == 0 {
				continue
			}
			n++
			metrics = appendText(metrics, d.Path)
			metrics = append(metrics, wireKinds[d.Kind])
			metrics = appendText(metrics, value)
		}
		dst = appendText(dst, s.Table.Section)
		dst = binary.AppendUvarint(dst, n)
		dst = append(dst, metrics...)
	}
	return dst
}

// appendValue appends the value of metric i of the section, or nothing where it is empty. start is
// the bucket's.
func (s *Section) appendValue(dst []byte, i int, start int64, o SnapshotOptions) []byte {
	d := &s.Table.Descs[i]
	switch d.Kind {
	case KindCounter:
		if n := s.Counter(i); n > 0 {
			return binary.AppendUvarint(dst, n)
		}
	case KindRate:
		return s.Rate(i).appendBinary(dst, start)
	case KindHistogram:
		if h := s.Histogram(i); h.Count() > 0 {
			return h.AppendBinary(dst)
		}
	case KindCardinality:
		if c := s.Cardinality(i); c.Estimate() > 0 {
			return c.AppendBinary(dst)
		}
	case KindTop:
		if t := s.Top(i); t.Total() > 0 {
			return t.trimmed(d.Slots, o.TopKeys).AppendBinary(dst)
		}
	}
	return dst
}

// trimmed returns the table with no more than the keys that a snapshot keeps: itself, or a copy.
func (t *Top) trimmed(slots, keys int) *Top {
	if keys < 0 {
		return t
	}
	if keys == 0 {
		keys = DefaultTopKeys
	}
	keys = max(min(keys*slots/defaultSlots, keys), keys/4)
	noise := t.Total() / noiseShare
	n, size := 0, 0
	for key, weight := range t.All() {
		if weight > noise {
			n++
			size += len(key)
		}
	}
	if n = min(n, keys); n == t.Len() && size <= keys*meanKeyLen {
		return t
	}
	trimmed := &Top{t.Clone()}
	trimmed.Trim(n)
	for size = trimmed.keyBytes(); size > keys*meanKeyLen; size = trimmed.keyBytes() {
		n = min(n-1, n*keys*meanKeyLen/size)
		trimmed.Trim(n)
	}
	return trimmed
}

func (t *Top) keyBytes() int {
	n := 0
	for key := range t.All() {
		n += len(key)
	}
	return n
}

// appendBinary appends the rate, or nothing where it spans no second: its first second, from
// start on, the number of seconds, what changed from each second to the next, and the histogram of
// the seconds before where there are any.
func (r *Rate) appendBinary(dst []byte, start int64) []byte {
	if r.from == r.end {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(r.from-start))
	dst = binary.AppendUvarint(dst, uint64(r.end-r.from))
	last := uint64(0)
	for second := r.from; second < r.end; second++ {
		v := r.At(second)
		dst = binary.AppendVarint(dst, int64(v-last)) // modulo 2^64: any two values have a difference
		last = v
	}
	if r.older != nil {
		dst = r.older.AppendBinary(dst)
	}
	return dst
}
