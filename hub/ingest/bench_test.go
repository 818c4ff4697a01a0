package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
)

const (
	benchHosts    = 1000
	benchPOPs     = 20
	benchCaptures = 100 // of different traffic; each is that of ten hosts
	benchPackets  = 20_000
)

// benchSnapshots makes a busy minute of 1,000 hosts of 20 POPs in 5 countries that share names and clients, as agents send it to
// a hub. Host and policy have names of a fixed length, so that rename can change them.
func benchSnapshots(b *testing.B) [][]byte {
	buckets := make([]*metric.Bucket, benchCaptures)
	for i := range buckets {
		cfg := testkit.DNSHeavy()
		cfg.Packets, cfg.Rate, cfg.RateSwing, cfg.Seed, cfg.World = benchPackets, benchPackets/50, 0, uint64(i+1), 1
		cfg.Start = time.Unix(noon, 0)
		var file bytes.Buffer
		if _, err := testkit.Generate(&file, cfg); err != nil {
			b.Fatal(err)
		}
		_, buckets[i] = minutes(b, file.Bytes(), metric.Identity{Policy: "bench"})
	}
	list := make([][]byte, benchHosts)
	size := 0
	for i := range list {
		pop := i / (benchHosts / benchPOPs)
		o := buckets[i%benchCaptures]
		o.Identity = metric.Identity{
			Host: fmt.Sprintf("host%04d", i), Policy: "policy00", Boot: uint64(i)*0x9e3779b97f4a7c15 + 1, Seq: 7,
			Tags: metric.Tags(fmt.Sprintf("country=c%d,pop=pop%02d", pop/4, pop)),
		}
		list[i] = o.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "pktvisord bench", Compression: metric.Zstd})
		size += len(list[i])
	}
	b.Logf("%d snapshots of %d bytes on average", len(list), size/len(list))
	return list
}

// rename changes the policy of a snapshot, in place.
func rename(data []byte, n int) {
	header := data[:20+int(binary.LittleEndian.Uint16(data[10:]))]
	at := bytes.Index(header, []byte("policy"))
	copy(header[at+6:], fmt.Sprintf("%02d", n))
	body := data[:len(data)-4]
	binary.LittleEndian.PutUint32(data[len(body):], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// cpu returns the processor time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident returns the memory of this process in bytes.
func resident(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.ParseInt(strings.TrimSpace(rest[:strings.Index(rest, "kB")]), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb << 10
}

// BenchmarkMinute measures what one minute of 1,000 busy hosts in 26 groups costs, with the embedded store that syncs each write:
// processor time of storing the raw snapshots, and of consuming, merging and writing. The share is that of one core over a minute.
// The store takes the snapshots of a whole minute at once, so rate is also that of catching up. Levels is the processor time of
// computing 26 rollups of each longer level. Floor is the time to merge the 1,000 snapshots once, into one bucket: compare with it,
// because absolute times depend on what else the machine does.
func BenchmarkMinute(b *testing.B) {
	list := benchSnapshots(b)
	runtime.GC()
	debug.FreeOSMemory()
	var raw, ingest, levels, floor time.Duration
	var memory int64
	n := 0
	for b.Loop() {
		puts := make([]store.Put, len(list))
		for i, data := range list {
			rename(data, n%100)
			puts[i].Data = data
		}
		n++
		before := resident(b)
		c := &clock{t: time.Unix(noon+62, 0)}
		v := &view{Store: shared, policy: fmt.Sprintf("policy%02d", (n-1)%100)}
		g := newIngester(v, c, func(c *Config) { c.Tables = agent.Tables })

		began := cpu(b)
		for i, err := range shared.PutRaws(context.Background(), puts) {
			if err != nil {
				b.Fatal(i, err)
			}
		}
		raw += cpu(b) - began
		began = cpu(b)
		for got := 0; got < len(list); {
			deliveries, err := shared.Consume(context.Background(), batch)
			if err != nil {
				b.Fatal(err)
			}
			for i := range deliveries {
				g.accept(&deliveries[i])
			}
			if got += len(deliveries); g.bytes >= g.cfg.PendingBytes {
				g.flushDue(context.Background())
			}
		}
		c.pass(5 * time.Second)
		g.flushDue(context.Background())
		ingest += cpu(b) - began
		memory = max(memory, resident(b)-before)
		if st := g.Status(); st.Stored != benchHosts || st.Rollups < 26 {
			b.Fatalf("%+v", st)
		}
		began = cpu(b)
		c.pass(48 * time.Hour)
		for g.levels.size() > 0 {
			g.levels.swept = c.now()
			g.levels.step(context.Background())
			c.pass(minute.Seconds * time.Second)
		}
		levels += cpu(b) - began
	}
	began := cpu(b)
	m := rollup.NewMerger(agent.Tables, "")
	sum := m.NewSum()
	for _, data := range list {
		if err := m.Open(data); err != nil {
			b.Fatal(err)
		}
		m.Add(sum, rollup.Member{})
	}
	floor = cpu(b) - began
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }
	b.ReportMetric(per(raw), "raw-ms/min")
	b.ReportMetric(per(ingest), "ingest-ms/min")
	b.ReportMetric(per(levels), "levels-ms")
	b.ReportMetric(float64(floor.Microseconds())/1000, "floor-ms")
	b.ReportMetric((per(raw)+per(ingest))/600, "%core")
	b.ReportMetric(benchHosts/per(ingest)*1000, "hostmin/s/core")
	b.ReportMetric(float64(memory)/(1<<20), "MB")
	b.ReportMetric(0, "ns/op")
}
