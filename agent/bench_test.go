package agent

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"testing"

	"pktvisor/analyze"
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

const benchPackets = 100_000

// perPacket reports the time for one packet, for a benchmark whose operation is a whole capture.
func perPacket(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchPackets, "ns/packet")
}

// BenchmarkFile summarises a capture in memory, from reading to the sketches.
func BenchmarkFile(b *testing.B) {
	for _, preset := range []string{"dns-heavy", "all-tcp", "all-distinct-names", "all-distinct-sources", "large-dnssec"} {
		file, _ := traffic(b, testkit.Presets[preset](), benchPackets, 1)
		for _, shards := range []int{1, 2} {
			b.Run(preset+"/"+strconv.Itoa(shards), func(b *testing.B) {
				a := summarise(b, file, func(c *setup) { c.Shards = shards })
				b.SetBytes(int64(len(file)))
				b.ReportAllocs()
				for b.Loop() {
					src, err := capture.OpenReader(bytes.NewReader(file), 0)
					if err != nil {
						b.Fatal(err)
					}
					if err := a.RunFile(context.Background(), src); err != nil {
						b.Fatal(err)
					}
					src.Close()
				}
				perPacket(b)
			})
		}
	}
}

// BenchmarkStages measures the stages of BenchmarkFile, each together with those before it.
func BenchmarkStages(b *testing.B) {
	file, _ := traffic(b, testkit.DNSHeavy(), benchPackets, 1)
	hosts, _ := analyze.ParseHosts(testkit.HostSpec)
	each := func(b *testing.B, do func(frames []capture.Frame), end func()) {
		b.SetBytes(int64(len(file)))
		b.ReportAllocs()
		var batch capture.Batch
		for b.Loop() {
			src, err := capture.OpenReader(bytes.NewReader(file), 0)
			for err == nil {
				err = src.ReadBatch(&batch)
				do(batch.Frames)
				end()
			}
			if err != io.EOF {
				b.Fatal(err)
			}
		}
		perPacket(b)
	}
	var d decode.Decoder
	var p decode.Packet
	var towards [analyze.NumDirections]int
	b.Run("read", func(b *testing.B) { each(b, func([]capture.Frame) {}, func() {}) })
	b.Run("decode", func(b *testing.B) {
		each(b, func(frames []capture.Frame) {
			for _, f := range frames {
				d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
			}
		}, func() {})
	})
	b.Run("direction", func(b *testing.B) {
		each(b, func(frames []capture.Frame) {
			for _, f := range frames {
				d.Decode(&p, f.Data, f.WireLen, f.Link, f.Time)
				towards[hosts.Direction(p.Src, p.Dst)]++
			}
		}, func() {})
	})
	for i, name := range []string{"packets", "dns"} {
		b.Run(name, func(b *testing.B) {
			a := summarise(b, file, func(c *setup) { c.Topics = Topics(nil, c.DNSTimeout)[i : i+1] })
			f := a.fronts[0]
			each(b, f.take, f.events)
		})
	}
}

// BenchmarkBucket measures what happens once a minute, or when the window is read.
func BenchmarkBucket(b *testing.B) {
	file, _ := traffic(b, testkit.DNSHeavy(), 1_000_000, 1)
	full := summarise(b, file, nil).Window().Merged(1)
	b.Run("merge 5", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			into := metric.NewBucket(Tables)
			for range 5 {
				into.Merge(full)
			}
		}
	})
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			one := metric.NewBucket(Tables)
			one.Merge(full)
			b.StartTimer()
			one.Seal(8192)
		}
	})
	var out []byte
	b.Run("JSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out = full.AppendJSON(out[:0], metric.JSONOptions{Key: "1m"})
		}
		b.ReportMetric(float64(len(out)), "bytes")
	})
	b.Run("snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out = full.AppendSnapshot(out[:0], metric.SnapshotOptions{Agent: "bench"})
		}
		b.ReportMetric(float64(len(out)), "bytes")
	})
}
