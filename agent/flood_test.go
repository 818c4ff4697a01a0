package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"runtime"
	"testing"

	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

var hostAddr = netip.MustParseAddr("192.0.2.53")

// floodSource generates queries as they are read. No two have the same name, or no two the same sender.
type floodSource struct {
	recorded
	names bool // whether the names differ; otherwise the senders do
	left  int
	at    int64
	step  int64 // nanoseconds between two queries
	n     uint64
	query []byte // as a frame
}

const (
	floodName   = "0123456789abcdef.victim.example"
	nameOffset  = 14 + 20 + 8 + 12 + 1
	nameIDStart = 14 + 20 + 8
)

func newFlood(names bool, n int, step int64) *floodSource {
	query := packetOf(17, client, server, 0, 0, dnsQuery(1, floodName))
	return &floodSource{names: names, left: n, at: at("2024-03-01 12:00:00"), step: step, query: query}
}

// ReadBatch returns the next queries.
func (f *floodSource) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	for range min(f.left, 256) {
		f.left--
		f.n++
		frame, x := bytes.Clone(f.query), f.n*0x9e3779b97f4a7c15 // a permutation, so that no two are equal
		binary.BigEndian.PutUint16(frame[nameIDStart:], uint16(f.n))
		if f.names {
			for j := range 16 {
				frame[nameOffset+j] = "0123456789abcdef"[x>>(4*j)&15]
			}
		} else {
			binary.BigEndian.PutUint32(frame[14+12:], 0x0b000000+uint32(f.n))
		}
		b.Frames = append(b.Frames, capture.Frame{Data: frame, Time: f.at, WireLen: uint32(len(frame)), Link: 1})
		f.at += f.step
	}
	if len(b.Frames) == 0 {
		return io.EOF
	}
	return nil
}

// Stats returns no counters.
func (f *floodSource) Stats() capture.Stats { return capture.Stats{} }

// Close does nothing.
func (f *floodSource) Close() error { return nil }

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFlood: a flood of names or of senders that never occur twice takes no more memory than the tables have, at any rate and
// however long it lasts. The estimates stay within their bounds.
func TestFlood(t *testing.T) {
	const most, slack = 53 << 20, 3 << 20
	n := 300_000
	if testkit.RaceEnabled {
		n /= 20
	}
	for _, c := range []struct {
		name   string
		names  bool
		step   int64
		shards int
	}{
		{"names in 3 s", true, 10_000, 1}, {"names in 5 min", true, 1_000_000, 1},
		{"senders in 3 s", false, 10_000, 1}, {"senders in 5 min", false, 1_000_000, 1},
		{"names for one of two shards", true, 10_000, 2}, {"senders for two shards", false, 10_000, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			flood := func(n int) (*only, uint64) {
				before := heap()
				a := newAgent(t, func(cfg *setup) { cfg.Single, cfg.Shards = false, c.shards })
				if err := a.RunFile(context.Background(), newFlood(c.names, n, c.step)); err != nil {
					t.Fatal(err)
				}
				return a, heap() - before
			}
			_, half := flood(n / 2)
			a, whole := flood(n)
			t.Logf("%d kB after half of it, %d kB at the end", half>>10, whole>>10)
			if !testkit.RaceEnabled && (whole > most*uint64(c.shards) || c.step == 10_000 && whole > half+slack) {
				t.Errorf("the heap has %d kB after half of the flood and %d kB at the end, want at most %d kB", half>>10, whole>>10, most*c.shards>>10)
			}
			b := a.Window().Merged(6)
			p, d := packetMetrics(b), dnsMetrics(b)
			if p.Total != metric.Counter(n) || d.Queries != p.Total || d.Timeouts+d.Evicted+d.Open != p.Total {
				t.Errorf("%d packets, %d queries, %d timeouts, %d evicted, %d open", p.Total, d.Queries, d.Timeouts, d.Evicted, d.Open)
			}
			distinct, one, top := d.Qnames.Estimate(), p.SrcIPsIn.Estimate(), &d.TopQname3
			if !c.names {
				distinct, one, top = one, distinct, &p.TopIPv4
			}
			if distinct < 0.97*float64(n) || distinct > 1.03*float64(n) || one != 1 {
				t.Errorf("%.0f distinct keys of the flood and %.0f of the other kind, want %d and 1", distinct, one, n)
			}
			limit := uint64(1)
			if c.names {
				limit = uint64(n) // all names end in victim.example
			}
			for _, row := range top.Top(nil, 10) {
				if row.Lower > limit {
					t.Errorf("%s has at least %d by its row, more than it can have", row.Key, row.Lower)
				}
			}
			if row := d.TopTimeout.Top(nil, 1); c.names && len(row) > 0 && (row[0].Key != "*.victim.example" && row[0].Lower > 1 || row[0].Lower > uint64(d.Timeouts)) {
				t.Errorf("%s has at least %d timeouts by its row, of %d", row[0].Key, row[0].Lower, d.Timeouts)
			}
		})
	}
}
