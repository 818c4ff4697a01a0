package metric

import (
	"encoding/binary"

	"pktvisor/sketch"
)

// Merger merges snapshots into buckets, straight from their bytes. It reads a snapshot once for any number of buckets, and
// reuses its memory for the next one: it allocates little more than the texts of the header. It may be used by one
// goroutine at a time.
//
//	m := metric.NewMerger(tables)
//	info, err := m.Open(data) // checks all of it
//	m.AddTo(all)
//	m.AddTo(pop)
//
// The result is that of [ReadSnapshot] and [Bucket.Merge].
type Merger struct {
	expander expander
	in       *directory
	scratch  sketch.Scratch
	bucket   *Bucket // its values refer to the body
	open     bool
}

// NewMerger makes a merger for buckets with the given tables.
func NewMerger(tables []*Table) *Merger {
	return &Merger{in: newDirectory(tables), bucket: NewBucket(tables)}
}

// Open reads and checks the snapshot in data, which must not change until the next call. It returns a [*SnapshotError]
// like [ReadSnapshot], and then nothing is open. The content of all metrics is checked, so that [Merger.AddTo] cannot fail.
func (m *Merger) Open(data []byte) (SnapshotInfo, error) {
	m.open = false
	info, stored, err := openSnapshot(data)
	if err != nil {
		return info, err
	}
	body, err := m.expander.expand(stored, binary.LittleEndian.Uint32(data[16:]), data[9])
	if err != nil {
		return info, &SnapshotError{Err: err}
	}
	if err := m.in.read(body); err != nil {
		return info, err
	}
	for _, s := range m.bucket.Sections {
		s.mixed, s.percent = false, 0
	}
	m.bucket.setInfo(&info)
	for i, s := range m.bucket.Sections {
		for k, e := range m.in.values[i] {
			d := &s.Table.Descs[k]
			if err := s.values[k].borrow(e, d, info.Start, info.End, &m.scratch); err != nil {
				return info, s.Table.metricError(d.Path, err)
			}
		}
		if err := m.bucket.readSampling(s, m.in.values[i]); err != nil {
			return info, err
		}
	}
	m.open = true
	return info, nil
}

// AddTo adds the open snapshot to b, as [Bucket.Merge] adds a bucket of another host. It panics if nothing is open.
func (m *Merger) AddTo(b *Bucket) { b.Merge(m.opened()) }

// Precede adds the open snapshot to b, as [Bucket.Precede] adds an older bucket. To merge several, add the newest first.
// It panics if nothing is open.
func (m *Merger) Precede(b *Bucket) { b.Precede([]*Bucket{m.opened()}) }

func (m *Merger) opened() *Bucket {
	if !m.open {
		panic("metric: Merger: no snapshot is open")
	}
	return m.bucket
}
