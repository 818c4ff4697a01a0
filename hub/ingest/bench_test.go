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
	benchGroups   = 26
	benchCaptures = 50 // of different traffic; each is that of one host of each POP
	benchPackets  = 20_000
)

// benchSnapshots makes a busy minute of 1,000 hosts of 20 POPs in 5 countries that share names and clients, as agents send it to
// a hub. Host and policy have names of a fixed length, so that rename can change them. Old are those of the hosts of a POP, as
// agents sent them before there was a hub.
func benchSnapshots(b *testing.B) (list, old [][]byte) {
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
	list = make([][]byte, benchHosts)
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
	for _, o := range buckets {
		old = append(old, o.AppendSnapshot(nil, metric.SnapshotOptions{Agent: "pktvisord bench"}))
	}
	return list, old
}

// oldMinute measures what the parts before the hub took for the same minute: read each snapshot, with deflate, into a bucket of
// its own, merge that into the bucket of its POP, merge the POPs into 5 countries and one for all, and write 26 snapshots. It
// leaves out the members. The store is the same and is not part of it. Read is the time to read and merge the snapshots.
func oldMinute(b *testing.B, old [][]byte) (read, total time.Duration) {
	began := cpu(b)
	o := metric.SnapshotOptions{TopKeys: 1024, NoiseShare: 65536}
	all := metric.NewBucket(agent.Tables)
	var country *metric.Bucket
	for pop := range benchPOPs {
		if pop%4 == 0 {
			country = metric.NewBucket(agent.Tables)
		}
		sum := metric.NewBucket(agent.Tables)
		first := cpu(b)
		for i := range benchHosts / benchPOPs {
			one, err := metric.ReadSnapshot(agent.Tables, old[i%len(old)])
			if err != nil {
				b.Fatal(err)
			}
			sum.Merge(one)
		}
		read += cpu(b) - first
		country.Merge(sum)
		all.Merge(sum)
		sum.AppendSnapshot(nil, o)
		if pop%4 == 3 {
			country.AppendSnapshot(nil, o)
		}
	}
	all.AppendSnapshot(nil, o)
	return read, cpu(b) - began
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

// minuteCost is the processor time that a minute of 1,000 hosts takes.
type minuteCost struct{ raw, consume, write, levels time.Duration }

// ingestMinute puts a minute into the store, and ingests it. Memory is how much the process grew meanwhile, in bytes.
func ingestMinute(b *testing.B, list [][]byte, policy string) (cost minuteCost, memory int64) {
	puts := make([]store.Put, len(list))
	for i, data := range list {
		puts[i].Data = data
	}
	before := resident(b)
	c := &clock{t: time.Unix(noon+62, 0)}
	g := newIngester(&view{Store: shared, policy: policy}, c, func(c *Config) { c.Tables = agent.Tables })
	last := cpu(b)
	lap := func(d *time.Duration) {
		now := cpu(b)
		*d += now - last
		last = now
	}
	for i, err := range shared.PutRaws(context.Background(), puts) {
		if err != nil {
			b.Fatal(i, err)
		}
	}
	lap(&cost.raw)
	for got := 0; got < len(list); {
		deliveries, err := shared.Consume(context.Background(), batch)
		if err != nil {
			b.Fatal(err)
		}
		for i := range deliveries {
			g.accept(&deliveries[i])
		}
		got += len(deliveries)
	}
	lap(&cost.consume)
	c.pass(5 * time.Second)
	g.flushDue(context.Background())
	lap(&cost.write)
	memory = resident(b) - before
	if st := g.Status(); st.Stored != benchHosts || st.Rollups < benchGroups {
		b.Fatalf("%+v", st)
	}
	c.pass(48 * time.Hour)
	for g.levels.size() > 0 {
		g.levels.swept = c.now()
		g.levels.step(context.Background())
		c.pass(minute.Seconds * time.Second)
	}
	lap(&cost.levels)
	return cost, memory
}

// BenchmarkMinute measures what one minute of 1,000 busy hosts in 26 groups costs, with the embedded store that syncs each write,
// as the share of one core over that minute: storing the raw snapshots, consuming them, merging them and writing the rollups of
// the minute, and of longer ones as many as come to be due in a minute. The store takes the snapshots of a whole minute at once,
// so hostmin/s/core is also the rate of catching up. Old/core is what the parts before the hub took for the same minute, with the
// same store; ratio is %core divided by it. Floor is the time to read the 1,000 snapshots and merge them once, into one bucket, and
// old-read what the parts before took to read them and merge them once. Compare ratios, because absolute times depend on what else
// the machine does.
func BenchmarkMinute(b *testing.B) {
	list, old := benchSnapshots(b)
	runtime.GC()
	debug.FreeOSMemory()
	var sum minuteCost
	var before, oldRead, floor time.Duration
	var memory int64
	n := 0
	for b.Loop() {
		for _, data := range list {
			rename(data, n%100)
		}
		cost, grown := ingestMinute(b, list, fmt.Sprintf("policy%02d", n%100))
		sum.raw, sum.consume, sum.write, sum.levels = sum.raw+cost.raw, sum.consume+cost.consume, sum.write+cost.write, sum.levels+cost.levels
		memory = max(memory, grown)
		began := cpu(b)
		m := rollup.NewMerger(agent.Tables, "")
		one := m.NewSum()
		for _, data := range list {
			if err := m.Open(data); err != nil {
				b.Fatal(err)
			}
			m.Add(one, rollup.Member{})
		}
		floor += cpu(b) - began
		read, total := oldMinute(b, old)
		oldRead, before = oldRead+read, before+total
		n++
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(n) }
	// A minute has one in five rollups of five minutes, and so on. Here are all three of a group.
	levels := per(sum.levels) / 3 * (1./5 + 1./60 + 1./1440)
	kept := per(sum.raw) + per(sum.consume) // what the store takes, which has not changed
	total := kept + per(sum.write) + levels
	b.ReportMetric(per(sum.raw), "raw-ms/min")
	b.ReportMetric(per(sum.consume), "consume-ms/min")
	b.ReportMetric(per(sum.write), "write-ms/min")
	b.ReportMetric(levels, "levels-ms/min")
	b.ReportMetric(per(floor), "floor-ms/min")
	b.ReportMetric(per(oldRead), "old-read-ms/min")
	b.ReportMetric(per(before), "old-ms/min")
	b.ReportMetric(total/600, "%core")
	b.ReportMetric((kept+per(before))/600, "old-%core")
	b.ReportMetric(total/(kept+per(before)), "ratio")
	b.ReportMetric((per(sum.write)+levels)/per(before), "merge-ratio")
	b.ReportMetric(benchHosts/(per(sum.consume)+per(sum.write))*1000, "hostmin/s/core")
	b.ReportMetric(float64(memory)/(1<<20), "MB")
	b.ReportMetric(0, "ns/op")
}
