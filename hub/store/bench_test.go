package store

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"pktvisor/hub/rollup"
)

// cpu returns the CPU time of the process.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPutRaws stores a minute of 1,000 busy hosts.
func BenchmarkPutRaws(b *testing.B) {
	for _, atomic := range []bool{true, false} {
		b.Run(fmt.Sprint("atomic=", atomic), func(b *testing.B) {
			s := open(b, testConfig(b))
			s.atomic = atomic
			puts := make([]Put, 1000)
			seq := uint64(0)
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				seq++
				for i := range puts {
					puts[i].Data = pad(snapshot(identity(fmt.Sprint("ns", i), seq), lastMinute()), 50_000)
				}
				b.StartTimer()
				start := cpu()
				for _, err := range s.PutRaws(b.Context(), puts) {
					if err != nil {
						b.Fatal(err)
					}
				}
				used += cpu() - start
			}
			b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// BenchmarkConsume takes and acknowledges 1,000 snapshots of 50 kB.
func BenchmarkConsume(b *testing.B) {
	s := open(b, testConfig(b))
	puts := make([]Put, 1000)
	seq := uint64(0)
	var used time.Duration
	for b.Loop() {
		b.StopTimer()
		seq++
		for i := range puts {
			puts[i].Data = pad(snapshot(identity(fmt.Sprint("ns", i), seq), lastMinute()), 50_000)
		}
		s.PutRaws(b.Context(), puts)
		b.StartTimer()
		start := cpu()
		for n := 0; n < 1000; {
			got, err := s.Consume(b.Context(), 200)
			if err != nil {
				b.Fatal(err)
			}
			for _, d := range got {
				if d.Err != nil {
					b.Fatal(d.Err)
				}
				d.Ack()
			}
			n += len(got)
		}
		used += cpu() - start
	}
	b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkRange reads a day of rollups of 75 kB.
func BenchmarkRange(b *testing.B) {
	s := open(b, testConfig(b))
	body := make([]byte, 75_000)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	for _, l := range []rollup.Level{rollup.Hour1, rollup.Minute5, rollup.Minute1} {
		n := 86400 / l.Seconds()
		for i := range n {
			for _, group := range []string{all, "pop=a", "pop=b"} {
				if _, err := s.Put(b.Context(), Key{l, "default", group, i * l.Seconds()}, body, 0); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			start := cpu()
			for b.Loop() {
				got := int64(0)
				if err := s.Range(b.Context(), l, "default", all, 0, 86400, func(Key, []byte, uint64) error { got++; return nil }); err != nil || got != n {
					b.Fatal(got, err)
				}
			}
			b.ReportMetric((cpu()-start).Seconds()/float64(b.N)*1000, "cpu-ms/op")
		})
	}
}
