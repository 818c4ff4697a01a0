package metric

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// ErrSnapshotVersion is the [SnapshotError.Err] of a snapshot in a newer format than this program can read.
var ErrSnapshotVersion = errors.New("written in a newer format")

// SnapshotError says why a snapshot was rejected.
type SnapshotError struct {
	// Metric is the metric that could not be read, as section.path. It is "" if the error does not concern one metric.
	Metric string
	// Err says what is wrong: [ErrSnapshotVersion], a [*sketch.DecodeError], or another error.
	Err error
}

// Error implements error.
func (e *SnapshotError) Error() string {
	if e.Metric != "" {
		return "snapshot: " + e.Metric + ": " + e.Err.Error()
	}
	return "snapshot: " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *SnapshotError) Unwrap() error { return e.Err }

func snapshotError(reason string) error { return &SnapshotError{Err: errors.New(reason)} }

// SnapshotInfo is the header of a snapshot.
type SnapshotInfo struct {
	// Start, End, DeepSamplePercent and Lost are those of the [Bucket].
	Start, End        int64
	DeepSamplePercent int
	Lost              uint64
	// Agent is that of the [SnapshotOptions].
	Agent string
	// Identity is that of the bucket. Programs before the first preview wrote only its Host.
	Identity Identity
	// Covered is the sum of the seconds that the merged buckets cover. For the bucket of one host, it is End - Start.
	Covered uint64
	// Anonymity is that of the bucket.
	Anonymity Anonymity

	shares []shareOf
}

// NextSnapshot returns the first of the snapshots that are concatenated in data, and what follows it. It checks only
// the lengths.
func NextSnapshot(data []byte) (snapshot, rest []byte, err error) {
	if len(data) < snapshotPrelude || string(data[:len(snapshotMagic)]) != snapshotMagic {
		return nil, nil, snapshotError("not a snapshot")
	}
	if data[8] != snapshotVersion {
		return nil, nil, &SnapshotError{Err: ErrSnapshotVersion}
	}
	n := snapshotPrelude + uint64(binary.LittleEndian.Uint16(data[10:])) + uint64(binary.LittleEndian.Uint32(data[12:])) + snapshotSum
	if n > uint64(len(data)) {
		return nil, nil, snapshotError("cut short")
	}
	return data[:n], data[n:], nil
}

// ReadSnapshotInfo reads the header of the snapshot in data, without its metrics. It returns a [*SnapshotError] unless
// data is exactly one whole snapshot.
func ReadSnapshotInfo(data []byte) (SnapshotInfo, error) {
	info, _, err := openSnapshot(data)
	return info, err
}

// ReadSnapshot reads the bucket from the snapshot in data. The bucket has a section for each table. Metrics that the
// snapshot lacks are empty, and metrics that no table declares are skipped. The bucket is as compact as a sealed one,
// and may be merged into. Its times are the sender's. Before you merge the minutes of several hosts, check that they
// are the same ([ReadSnapshotInfo]).
//
// ReadSnapshot returns a [*SnapshotError] unless data is exactly one whole and consistent snapshot. Data may come from
// an attacker: memory is bounded by the length of data, by three times 16 MiB while it is read, and by what the tables
// may hold.
func ReadSnapshot(tables []*Table, data []byte) (*Bucket, error) {
	info, stored, err := openSnapshot(data)
	if err != nil {
		return nil, err
	}
	x := expanders.Get().(*expander)
	defer expanders.Put(x) // what is read from the body is copied
	body, err := x.expand(stored, binary.LittleEndian.Uint32(data[16:]), data[9])
	if err != nil {
		return nil, &SnapshotError{Err: err}
	}
	b := NewBucket(tables)
	b.setInfo(&info)
	in := newDirectory(tables)
	if err := in.read(body); err != nil {
		return nil, err
	}
	for i, s := range b.Sections {
		for k, e := range in.values[i] {
			if e.value == nil {
				continue
			}
			if err := s.values[k].readBinary(e, b.Start, b.End); err != nil {
				return nil, s.Table.metricError(s.Table.Descs[k].Path, err)
			}
		}
		if err := b.readSampling(s, in.values[i]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// setInfo sets what the header says about the bucket.
func (b *Bucket) setInfo(info *SnapshotInfo) {
	b.Start, b.End = info.Start, info.End
	b.DeepSamplePercent, b.Lost = info.DeepSamplePercent, info.Lost
	b.Identity, b.Covered, b.Anonymity = info.Identity, info.Covered, info.Anonymity
	if info.Covered == uint64(info.End-info.Start) {
		b.Covered = 0
	}
	b.setShares(info.shares)
}

// openSnapshot checks the envelope and reads the header. It returns the stored body.
func openSnapshot(data []byte) (info SnapshotInfo, body []byte, err error) {
	one, rest, err := NextSnapshot(data)
	if err != nil {
		return info, nil, err
	}
	if len(rest) > 0 {
		return info, nil, snapshotError("bytes after the end")
	}
	content, sum := one[:len(one)-snapshotSum], one[len(one)-snapshotSum:]
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return info, nil, snapshotError("damaged: the checksum does not match")
	}
	n := snapshotPrelude + int(binary.LittleEndian.Uint16(one[10:]))
	if err := info.read(headerCursor(content[snapshotPrelude:n])); err != nil {
		return SnapshotInfo{}, nil, err
	}
	return info, content[n:], nil
}

// read reads a header. A later minor version may have more at the header's end.
func (info *SnapshotInfo) read(in cursor) error {
	c := &in
	var length, percent uint64
	ok := c.varint(&info.Start) && c.uvarint(&length) && c.uvarint(&percent) && c.uvarint(&info.Lost) &&
		c.text(&info.Identity.Host) && c.text(&info.Agent)
	if !ok {
		return snapshotError("the header is cut short")
	}
	if info.Start < -maxSnapshotTime || info.Start > maxSnapshotTime || length > maxSnapshotTime || percent > 100 ||
		len(info.Identity.Host) > maxIdentity || len(info.Agent) > maxIdentity {
		return snapshotError("the header is out of range")
	}
	info.End, info.DeepSamplePercent, info.Covered = info.Start+int64(length), int(percent), length
	if len(c.b) == 0 { // as the first programs wrote it
		return nil
	}
	if info.shares, ok = readShares(c); !ok {
		return snapshotError("the shares in the header are cut short or out of range")
	}
	if len(c.b) == 0 {
		return nil
	}
	return info.readIdentity(c)
}

// readIdentity reads what appendIdentity appended.
func (info *SnapshotInfo) readIdentity(c *cursor) error {
	id := &info.Identity
	var tags uint64
	ok := c.text(&id.Policy) && c.text(&id.Tap) && c.uint64(&id.Boot) && c.uvarint(&id.Seq) && c.uvarint(&id.Revision) &&
		c.uvarint(&info.Covered) && c.uvarint(&tags)
	if !ok {
		return snapshotError("the header is cut short")
	}
	if len(id.Policy) > maxIdentity || len(id.Tap) > maxIdentity || tags > MaxTags {
		return snapshotError("the header is out of range")
	}
	var all [MaxTags]string
	list := all[:tags]
	for i := range list {
		if !c.text(&list[i]) {
			return snapshotError("the header is cut short")
		}
	}
	var err error
	if id.Tags, err = ParseTags(list); err != nil {
		return &SnapshotError{Err: err}
	}
	var anonymity string
	if len(c.b) > 0 && !c.text(&anonymity) {
		return snapshotError("the header is cut short")
	}
	if info.Anonymity, err = ParseAnonymity(anonymity); err != nil {
		return &SnapshotError{Err: err}
	}
	return nil
}

// cursor reads values from the front of a slice. Each method returns false and reads nothing if there is no whole
// value.
type cursor struct {
	b []byte
	s string // see headerCursor
}

// maxHeaderText is more than the bytes of a header that this program writes.
const maxHeaderText = 16 << 10

// headerCursor returns a cursor whose texts share one string, so that a header takes one allocation.
func headerCursor(header []byte) cursor {
	if len(header) > maxHeaderText { // what follows the known fields is not worth keeping
		return cursor{b: header}
	}
	return cursor{b: header, s: string(header)}
}

func (c *cursor) uvarint(v *uint64) bool {
	x, n := binary.Uvarint(c.b)
	if n <= 0 {
		return false
	}
	*v, c.b = x, c.b[n:]
	return true
}

func (c *cursor) varint(v *int64) bool {
	x, n := binary.Varint(c.b)
	if n <= 0 {
		return false
	}
	*v, c.b = x, c.b[n:]
	return true
}

func (c *cursor) uint64(v *uint64) bool {
	if len(c.b) < 8 {
		return false
	}
	*v, c.b = binary.LittleEndian.Uint64(c.b), c.b[8:]
	return true
}

func (c *cursor) byte(v *byte) bool {
	if len(c.b) == 0 {
		return false
	}
	*v, c.b = c.b[0], c.b[1:]
	return true
}

// bytes reads a length and as many bytes, which remain part of the slice.
func (c *cursor) bytes(v *[]byte) bool {
	n, size := binary.Uvarint(c.b)
	if size <= 0 || n > uint64(len(c.b)-size) {
		return false
	}
	*v, c.b = c.b[size:size+int(n):size+int(n)], c.b[size+int(n):]
	return true
}

func (c *cursor) text(v *string) bool {
	var b []byte
	ok := c.bytes(&b)
	if end := len(c.s) - len(c.b); ok && end > 0 {
		*v = c.s[end-len(b) : end]
	} else {
		*v = string(b)
	}
	return ok
}
