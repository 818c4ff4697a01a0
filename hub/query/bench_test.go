package query_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/hub/query"
	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
)

// busy fills a bucket so that its rollup has the size of those of 1,000 real hosts: about 75 kB for a minute, and 110 kB for
// an hour.
func busy(b *metric.Bucket, rnd *rand.Rand) {
	for _, s := range b.Sections {
		for i := range s.Table.Descs {
			switch d := &s.Table.Descs[i]; d.Kind {
			case metric.KindCounter:
				*metric.At[metric.Counter](s, i) = metric.Counter(rnd.Uint64N(1e9))
			case metric.KindHistogram:
				for range 500 {
					s.Histogram(i).RecordN(rnd.Uint64N(1<<20), rnd.Uint64N(1000))
				}
			case metric.KindCardinality:
				for range 50_000 {
					s.Cardinality(i).Add(fmt.Append(nil, rnd.Uint64()))
				}
			case metric.KindTop:
				for k := range min(d.Slots, 8192) / 4 * 3 {
					s.Top(i).Add(fmt.Appendf(nil, "name%d.of.group%d.example", k, rnd.IntN(3)), 1+uint64(1e9/math.Pow(float64(k+1), 1.5)))
				}
			}
		}
	}
}

// addRates fills the rates of all seconds.
func addRates(b *metric.Bucket, rnd *rand.Rand) {
	for _, s := range b.Sections {
		for i := range s.Table.Descs {
			for second := b.Start; second < b.End && s.Table.Descs[i].Kind == metric.KindRate; second++ {
				s.Rate(i).Add(second, 1e6+rnd.Uint64N(1e4))
			}
		}
	}
}

// fillStore stores the rollups of the given number of days of a busy fleet of 1,000 hosts: all that a query of days reads. The
// rollups of a level differ in their time only. The newest hours have rollups of five minutes, the newest minutes those of
// minutes.
func fillStore(b *testing.B, s *store.Store, now int64, days int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	revisions := make(map[store.Key]uint64)
	put := func(level rollup.Level, from, to int64) {
		made := metric.NewBucket(agent.Tables)
		busy(made, rnd)
		members := make([]rollup.Member, 1000)
		for i := range members {
			members[i] = rollup.Member{
				Host: fmt.Sprintf("ns%04d.example.net", i), Boot: rnd.Uint64(), Seq: rnd.Uint64N(1e6), Tags: metric.Tags(fmt.Sprintf("pop=p%02d", i%20)), Agent: "pktvisord 1.0.0",
				Minutes: 1<<min(level.Seconds()/60, 60) - 1,
			}
			if level == rollup.Day1 {
				members[i].Minutes = 1440
			}
		}
		o := metric.SnapshotOptions{TopKeys: 1024, NoiseShare: 65536, Compression: metric.Zstd}
		if level >= rollup.Hour1 {
			o.TopKeys, o.CoarseRates = 4096, true
		}
		for start := from; start < to; start += level.Seconds() {
			for i := range members {
				members[i].Start, members[i].End, members[i].Arrived = start, start+level.Seconds(), start+level.Seconds()+2
			}
			one := metric.NewBucket(agent.Tables)
			one.Merge(made)
			one.Start, one.End = start, start+level.Seconds()
			addRates(one, rnd)
			r := rollup.Rollup{Snapshot: one.AppendSnapshot(nil, o), Members: members}
			if below := level.Below(); below.Valid() {
				for at := start; at < start+level.Seconds(); at += below.Seconds() {
					r.Sources = append(r.Sources, rollup.Source{Start: at, Revision: revisions[store.Key{Level: below, Policy: "default", Start: at}]})
				}
			}
			k := store.Key{Level: level, Policy: "default", Group: rollup.All, Start: start}
			revision, err := s.Put(b.Context(), k, r.Append(nil), 0)
			if err != nil {
				b.Fatal(err)
			}
			k.Group = ""
			revisions[k] = revision
		}
	}
	for _, l := range []rollup.Level{rollup.Minute1, rollup.Minute5, rollup.Hour1, rollup.Day1} {
		length := map[rollup.Level]int64{rollup.Day1: int64(days) * 86400, rollup.Hour1: int64(days) * 86400, rollup.Minute5: 3 * 3600, rollup.Minute1: 1800}[l]
		put(l, l.Of(now-length), l.Of(now))
	}
}

// cpu returns the processor time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRange measures the top 100 of a day and of a week of a fleet of 1,000 hosts, with an empty cache. p99 is over all
// runs, in wall time, which other programs make longer. The processor time a run includes the collection of garbage and the server.
func BenchmarkRange(b *testing.B) {
	now := minute.Of(time.Now().Unix())/3600*3600 + 7*60 + 33
	s, err := store.Open(context.Background(), store.Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler), RawBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fillStore(b, s, now, 8)
	for _, days := range []int64{1, 7} {
		b.Run(fmt.Sprintf("%dd", days), func(b *testing.B) {
			var took []time.Duration
			spent := cpu(b)
			for b.Loop() {
				r := query.New(query.Config{Store: s, Tables: agent.Tables, Now: func() time.Time { return time.Unix(now, 0) }})
				began := time.Now()
				got, info, err := r.Range(b.Context(), query.Selection{}, now-days*86400, now)
				if err != nil || info.Hosts != 1000 || info.Damaged > 0 {
					b.Fatal(info, err)
				}
				got.AppendJSON(nil, metric.JSONOptions{Key: "x", Rows: 100})
				took = append(took, time.Since(began))
			}
			b.ReportMetric(float64((cpu(b)-spent).Microseconds())/1000/float64(len(took)), "cpu-ms")
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
