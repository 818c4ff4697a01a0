package metric

// Merger merges snapshots into buckets. It reads a snapshot once for any number of buckets, and reuses its memory for the
// next one. It may be used by one goroutine at a time.
//
//	m := metric.NewMerger(tables)
//	info, err := m.Open(data) // checks all of it
//	m.AddTo(all)
//	m.AddTo(pop)
type Merger struct {
	tables []*Table
	bucket *Bucket
}

// NewMerger makes a merger for buckets with the given tables.
func NewMerger(tables []*Table) *Merger { return &Merger{tables: tables} }

// Open reads and checks the snapshot in data, which must not change until the next call. It returns a [*SnapshotError]
// like [ReadSnapshot], and then nothing is open. The content of all metrics is checked, so that [Merger.AddTo] cannot fail.
func (m *Merger) Open(data []byte) (SnapshotInfo, error) {
	m.bucket = nil
	info, err := ReadSnapshotInfo(data)
	if err != nil {
		return info, err
	}
	m.bucket, err = ReadSnapshot(m.tables, data)
	return info, err
}

// AddTo adds the open snapshot to b, as [Bucket.Merge] adds a bucket of another host. It panics if nothing is open.
func (m *Merger) AddTo(b *Bucket) { b.Merge(m.bucket) }

// Precede adds the open snapshot to b, as [Bucket.Precede] adds an older bucket. To merge several, add the newest first.
func (m *Merger) Precede(b *Bucket) { b.Precede([]*Bucket{m.bucket}) }
