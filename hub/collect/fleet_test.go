package collect

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pktvisor/hub/simulate"
	"pktvisor/hub/store"
	"pktvisor/metric"
)

// tally is a sink that adds up what it gets, each identity once.
type tally struct {
	shelf
	lost map[int64]uint64
	seen map[arrival]bool
}

func (s *tally) PutRaws(ctx context.Context, puts []store.Put) (errs []error) {
	for _, p := range puts {
		errs = append(errs, s.putRaw(ctx, p.Data, p.Extra))
	}
	return errs
}

func (s *tally) putRaw(_ context.Context, data []byte, _ metric.Tags) error {
	info, err := metric.ReadSnapshotInfo(data)
	if err != nil {
		return err
	}
	id := info.Identity
	key := arrival{host: id.Host, policy: id.Policy, boot: id.Boot, seq: id.Seq, start: info.Start}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.seen[key] {
		s.seen[key] = true
		s.lost[info.Start] += info.Lost
	}
	return nil
}

func (s *tally) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// TestFleet: everything that a simulated fleet has is fetched over real connections, and nothing else.
func TestFleet(t *testing.T) {
	fleet := simulate.New(simulate.Config{Hosts: 60, Pops: 1, Countries: 1, Chaos: simulate.Chaos{Duplicate: 0.1, Restart: 0.1}})
	const minutes = 130
	begin := time.Now().Unix()/60*60 - (minutes+1)*60 // so that the last minute was sealed long ago
	agents := &simulate.Server{Fleet: fleet, Clock: simulate.Clock{Begin: begin}, Minutes: minutes}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: agents}
	go s.Serve(l)
	defer s.Close()
	var targets Static
	for host := range fleet.Hosts() {
		targets = append(targets, Target{URL: "http://" + l.Addr().String() + agents.Path(host)})
	}
	sums := fleet.Sums(begin, minutes)
	want := 0
	for _, m := range sums {
		want += int(m.All.Snapshots)
	}
	sink := &tally{lost: map[int64]uint64{}, seen: map[arrival]bool{}}
	c := New(Config{Sink: sink, Sources: []Source{targets}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	for sink.count() < want && t.Context().Err() == nil {
		time.Sleep(time.Millisecond) // until all is there; the test's own time limit ends it
	}
	cancel()
	<-done
	for _, m := range sums {
		if got := sink.lost[m.Start]; got != m.All.Lost {
			t.Errorf("minute %d: sum %d, want %d", m.Start, got, m.All.Lost)
		}
	}
	if len(sink.lost) != len(sums) || sink.count() != want {
		t.Errorf("%d snapshots of %d minutes, want %d of %d", sink.count(), len(sink.lost), want, len(sums))
	}
}

// BenchmarkPull measures the CPU of a round in which each of 1,000 agents delivers one minute. The agents are another
// process. Store also stores the minutes, with an embedded JetStream in this process.
func BenchmarkPull(b *testing.B) {
	b.Run("alone", func(b *testing.B) { benchmarkPull(b, &tally{lost: map[int64]uint64{}, seen: map[arrival]bool{}}) })
	b.Run("store", func(b *testing.B) {
		s, err := store.Open(b.Context(), store.Config{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		benchmarkPull(b, s)
	})
}

func benchmarkPull(b *testing.B, sink Sink) {
	const hosts = 1000
	agents := exec.Command(os.Args[0], "-test.run", "^TestServeFleet$")
	agents.Env = append(os.Environ(), "PKTVISOR_SERVE_FLEET=1")
	out, err := agents.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := agents.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		agents.Process.Kill()
		agents.Wait()
	}()
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		b.Fatal(err)
	}
	c := New(Config{Sink: sink})
	var list []*agent
	for host := range hosts {
		a, err := newAgent(Target{URL: fmt.Sprintf("http://%s/a/%05d", address, host)}, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		list = append(list, a)
	}
	cpu := func() time.Duration {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	limit := make(chan struct{}, defaultConcurrency)
	began, stored, size := cpu(), uint64(0), int64(0)
	for round := int64(0); b.Loop(); round++ {
		since := time.Now().Unix() - 7100 + 60*(round%100)
		outcomes := make(chan outcome, hosts)
		for _, a := range list {
			limit <- struct{}{}
			go func() {
				outcomes <- c.puller.run(b.Context(), job{url: a.base, since: since, limit: 1}, a.progress)
				<-limit
			}()
		}
		for range hosts {
			o := <-outcomes
			if o.err != nil || o.storeErr != nil || o.stored != 1 {
				b.Fatalf("%+v", o)
			}
			stored += o.stored
			size += o.bytes
		}
	}
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(stored), "cpu-µs/pull")
	b.ReportMetric(float64(size)/float64(stored), "B/pull")
}

// TestServeFleet is the other process of the benchmark.
func TestServeFleet(t *testing.T) {
	if os.Getenv("PKTVISOR_SERVE_FLEET") == "" {
		t.Skip("only for the benchmark")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fleet := simulate.New(simulate.Config{Hosts: 1000, Pops: 2, Countries: 1})
	fmt.Println(strings.TrimSpace(l.Addr().String()))
	http.Serve(l, &simulate.Server{Fleet: fleet, Clock: simulate.Clock{Begin: time.Now().Unix()/60*60 - 7200}, Minutes: 120})
}
