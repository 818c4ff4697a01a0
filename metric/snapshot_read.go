package metric

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// ErrSnapshotVersion is the [SnapshotError.Err] of a snapshot in a format that this program is too
// old to read.
var ErrSnapshotVersion = errors.New("written in a newer format")

// SnapshotError says why a snapshot was rejected.
type SnapshotError struct {
	// Metric is what could not be read, as section.path; "" where it was not one metric.
	Metric string
	// Err says what is wrong: [ErrSnapshotVersion], a [*sketch.DecodeError], or one that has no name.
	Err error
}

// Error implements error.
func (e *SnapshotError) Error() string {
	if e.Metric != "" {
		return "snapshot: " + e.Metric + ": " + e.Err.Error()
	}
	return "snapshot: " + e.Err.Error()
}

// Unwrap returns what is wrong.
func (e *SnapshotError) Unwrap() error { return e.Err }

func snapshotError(reason string) error { return &SnapshotError{Err: errors.New(reason)} }

// SnapshotInfo is what a snapshot says of itself before its metrics.
type SnapshotInfo struct {
	// Start, End, DeepSamplePercent and Lost are those of the [Bucket].
	Start, End        int64
	DeepSamplePercent int
	Lost              uint64
	// Host and Agent are those of the [SnapshotOptions].
	Host, Agent string
}

// NextSnapshot returns the first of the snapshots that are written one after the other in data,
// and what follows it. It looks at the lengths alone.
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

// ReadSnapshotInfo reads what the snapshot that is all of data says of itself, without its metrics.
// It returns a [*SnapshotError] for anything else than a whole snapshot.
func ReadSnapshotInfo(data []byte) (SnapshotInfo, error) {
	info, _, _, err := openSnapshot(data)
	return info, err
}

// ReadSnapshot reads the bucket in the snapshot that is all of data. It has a section of each table:
// metrics that the snapshot lacks are empty, metrics that no table declares are skipped. It is as
// compact as a sealed one, and may be merged into. Its times are what the sender says: who merges the
// minutes of several hosts must see that they are the same ([ReadSnapshotInfo]).
//
// Anything else than a whole and consistent snapshot is a [*SnapshotError]. Data may come from an
// attacker: memory is bounded by what is really there, by three times 16 MiB while it is read, and by what the
// tables may hold.
func ReadSnapshot(tables []*Table, data []byte) (*Bucket, error) {
	info, shares, stored, err := openSnapshot(data)
	if err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(data[16:])
	body, err := expand(stored, size, data[9])
	if err != nil {
		return nil, err
	}
	b := NewBucket(tables)
	b.Start, b.End = info.Start, info.End
	b.DeepSamplePercent, b.Lost = info.DeepSamplePercent, info.Lost
	if err := b.readShares(shares); err != nil {
		return nil, &SnapshotError{Err: err}
	}
	if err := b.readBody(body); err != nil {
		return nil, err
	}
	return b, nil
}

// openSnapshot checks the envelope, reads the header, and returns what it has of shares and the body as it is stored.
func openSnapshot(data []byte) (info SnapshotInfo, shares, body []byte, err error) {
	one, rest, err := NextSnapshot(data)
	if err != nil {
		return info, nil, nil, err
	}
	if len(rest) > 0 {
		return info, nil, nil, snapshotError("bytes after the end")
	}
	content, sum := one[:len(one)-snapshotSum], one[len(one)-snapshotSum:]
	if crc32.Checksum(content, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return info, nil, nil, snapshotError("damaged: the checksum does not fit")
	}
	header, body := content[snapshotPrelude:], []byte(nil)
	n := binary.LittleEndian.Uint16(one[10:])
	header, body = header[:n], header[n:]
	c := cursor{header} // a later minor version may have more at the header's end
	var length, percent uint64
	ok := c.varint(&info.Start) && c.uvarint(&length) && c.uvarint(&percent) && c.uvarint(&info.Lost) &&
		c.text(&info.Host) && c.text(&info.Agent)
	if !ok {
		return SnapshotInfo{}, nil, nil, snapshotError("a header that is cut short")
	}
	if info.Start < -maxSnapshotTime || info.Start > maxSnapshotTime || length > maxSnapshotTime || percent > 100 ||
		len(info.Host) > maxIdentity || len(info.Agent) > maxIdentity {
		return SnapshotInfo{}, nil, nil, snapshotError("a header out of range")
	}
	info.End, info.DeepSamplePercent = info.Start+int64(length), int(percent)
	return info, c.b, body, nil
}

// expand undoes the compression of a body that has size bytes without it.
func expand(stored []byte, size uint32, compression byte) ([]byte, error) {
	if size > maxSnapshotBody {
		return nil, snapshotError("a body that is too long")
	}
	switch compression {
	case bodyStored:
		if len(stored) != int(size) {
			return nil, snapshotError("a body of another length than it says")
		}
		return stored, nil
	case bodyDeflated:
	default:
		return nil, snapshotError("unknown compression")
	}
	in := bytes.NewReader(stored)
	var body bytes.Buffer // grows by what comes, not by what size says
	if _, err := body.ReadFrom(io.LimitReader(flate.NewReader(in), int64(size)+1)); err != nil {
		return nil, &SnapshotError{Err: err}
	}
	if body.Len() != int(size) || in.Len() > 0 {
		return nil, snapshotError("a body of another length than it says")
	}
	return body.Bytes(), nil
}

// readBody fills an empty bucket.
func (b *Bucket) readBody(body []byte) error {
	c := cursor{body}
	var sections uint64
	ok := c.uvarint(&sections)
	read := make(map[*Section]bool, len(b.Sections))
	for ; ok && sections > 0; sections-- {
		var name []byte
		var metrics uint64
		if ok = c.bytes(&name) && c.uvarint(&metrics); !ok {
			break
		}
		s, known := b.Section(string(name))
		if known && read[s] {
			return snapshotError("a section twice")
		}
		if known {
			read[s] = true
		}
		var err error
		if ok, err = b.readMetrics(&c, s, metrics); err != nil {
			return err
		}
	}
	if !ok {
		return snapshotError("a body that is cut short")
	}
	if len(c.b) > 0 {
		return snapshotError("bytes after the body's end")
	}
	return nil
}

// readMetrics reads the n metrics of a section, or skips them where s is nil. It returns false where they
// are cut short.
func (b *Bucket) readMetrics(c *cursor, s *Section, n uint64) (whole bool, err error) {
	var read []bool
	if s != nil {
		read = make([]bool, len(s.Table.Descs))
	}
	for ; n > 0; n-- {
		var path, value []byte
		var kind byte
		if !c.bytes(&path) || !c.byte(&kind) || !c.bytes(&value) {
			return false, nil
		}
		if s == nil {
			continue
		}
		i, known := s.Table.Find(string(path))
		if !known || s.Table.Descs[i].Kind.wire != kind {
			continue // of another version, which measures it otherwise or at all
		}
		err := errors.New("twice")
		if !read[i] {
			err = s.values[i].readBinary(value, b.Start, b.End)
		}
		if err != nil {
			return true, &SnapshotError{Metric: s.Table.Section + "." + string(path), Err: err}
		}
		read[i] = true
	}
	return true, nil
}

// cursor takes values off the front of a slice. Each method returns false, and takes nothing, where
// there is no whole value.
type cursor struct{ b []byte }

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

func (c *cursor) byte(v *byte) bool {
	if len(c.b) == 0 {
		return false
	}
	*v, c.b = c.b[0], c.b[1:]
	return true
}

// bytes takes a length and as many bytes, which remain part of the slice.
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
	*v = string(b)
	return ok
}
