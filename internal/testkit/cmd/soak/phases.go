package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/veth"
)

// phase is a part of the run with one kind of traffic and something that happens meanwhile.
type phase struct {
	name, preset string
	flatOut      bool // send as fast as possible
	// during runs while the traffic is sent. It returns the greatest number of frames that the agent could miss
	// through no fault of its own.
	during func(ctx context.Context, s *soak) (unseen uint64)
	once   bool // not in every round, but only in the first
}

// phases are one round. The restart comes once and early, because growth can be seen only within one process.
var phases = []phase{
	{name: "dns-heavy", preset: "dns-heavy"},
	{name: "restart", preset: "dns-heavy", during: restart, once: true},
	{name: "names flood", preset: "all-distinct-names"},
	{name: "sources flood", preset: "all-distinct-sources"},
	{name: "flaps", preset: "dns-heavy", during: flap},
	{name: "hangups", preset: "tiny-mixed", during: hangUp},
	{name: "tcp", preset: "all-tcp"},
	{name: "large answers", preset: "large-dnssec"},
	{name: "overload", preset: "dns-heavy", flatOut: true, during: stall},
}

// choose returns the phases with these names, comma separated, or all.
func choose(names string) (chosen []phase, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(phases, func(p phase) bool { return p.name == name })
		switch {
		case names == "":
			return phases, nil
		case i < 0:
			return nil, fmt.Errorf("unknown phase %q", name)
		}
		chosen = append(chosen, phases[i])
	}
	return chosen, nil
}

// rotate runs the phases in turn until the time is up.
func (s *soak) rotate(ctx context.Context) {
	ctx, stop := context.WithDeadline(ctx, s.began.Add(s.o.duration))
	defer stop()
	for round := 0; ctx.Err() == nil; round++ {
		for _, p := range s.chosen {
			switch {
			case !s.agent.running():
				s.fail("the agent is gone:\n%s", s.agent.logTail())
				return
			case ctx.Err() != nil:
				return
			case p.once && round > 0 && len(s.chosen) > 1:
			case s.o.replay:
				s.replayPhase(ctx, p)
			default:
				s.phase(ctx, p)
			}
		}
	}
}

// ledger counts what was sent and what became of it.
type ledger struct {
	sent, wire, unseen           uint64 // wire: dropped between the interfaces
	received, osDrops, ifDrops   uint64
	counted, messages, malformed uint64
	sending                      time.Duration
}

func (l *ledger) add(o ledger) {
	l.sent, l.wire, l.unseen = l.sent+o.sent, l.wire+o.wire, l.unseen+o.unseen
	l.received, l.osDrops, l.ifDrops = l.received+o.received, l.osDrops+o.osDrops, l.ifDrops+o.ifDrops
	l.counted, l.messages, l.malformed = l.counted+o.counted, l.messages+o.messages, l.malformed+o.malformed
	l.sending += o.sending
}

// counters reads the agent's side of the ledger.
func (s *soak) counters(ctx context.Context) (l ledger, ok bool) {
	m, err := s.agent.metrics(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.fail("counters: %v", err)
		}
		return l, false
	}
	return ledger{
		received: m["pktvisor_pcap_received_total"], osDrops: m["pktvisor_pcap_os_drops_total"], ifDrops: m["pktvisor_pcap_if_drops_total"],
		counted: m["pktvisor_packets_total"], messages: m["pktvisor_dns_wire_packets_total"],
		malformed: m["pktvisor_packets_malformed_total"] + m["pktvisor_dns_wire_packets_malformed_total"],
	}, true
}

// less returns the difference of the agent's side to an earlier ledger o.
func (l ledger) less(o ledger) ledger {
	l.received, l.osDrops, l.ifDrops = l.received-o.received, l.osDrops-o.osDrops, l.ifDrops-o.ifDrops
	l.counted, l.messages, l.malformed = l.counted-o.counted, l.messages-o.messages, l.malformed-o.malformed
	return l
}

// phase sends the traffic of a phase, waits until the agent has processed it, and checks the ledger.
func (s *soak) phase(ctx context.Context, p phase) {
	before, ok := s.counters(ctx)
	if !ok {
		return
	}
	wire, began := s.link.Dropped(), time.Now()
	sent := s.sent.Load()
	happened := make(chan uint64, 1)
	go func() {
		var unseen uint64
		if p.during != nil {
			unseen = p.during(ctx, s)
		}
		happened <- unseen
	}()
	enough := func() bool { return ctx.Err() != nil || time.Since(began) > s.o.phase && len(happened) == 1 }
	rate := s.o.rate
	if p.flatOut {
		rate = 0
	}
	want := s.send(ctx, p.preset, rate, enough)
	l := ledger{sent: s.sent.Load() - sent, unseen: <-happened, sending: time.Since(began)}
	if p.name == "restart" {
		s.settle(ctx) // this phase has closed its own ledger
		return
	}
	l.wire = s.link.Dropped() - wire
	var now ledger
	settled := context.WithoutCancel(ctx) // the last ledger may be closed after the time is up
	s.agent.eventually(settled, 5*time.Second, func() bool {
		now, _ = s.counters(settled)
		now = now.less(before)
		return now.received+now.osDrops+now.ifDrops+l.wire >= l.sent && now.counted >= now.received
	})
	now.sent, now.wire, now.unseen, now.sending = l.sent, l.wire, l.unseen, l.sending
	s.closeLedger(p, now, want)
}

// settle waits until the agent has counted everything that it received.
func (s *soak) settle(ctx context.Context) {
	var last ledger
	s.agent.eventually(ctx, 5*time.Second, func() bool {
		wait(ctx, time.Second)
		now, _ := s.counters(ctx)
		same := now == last && now.counted == now.received
		last = now
		return same
	})
}

// closeLedger checks that the agent's counts and the losses that it reports add up to what was sent.
func (s *soak) closeLedger(p phase, l ledger, messages uint64) {
	s.total.add(l)
	s.life.unseen += l.unseen
	s.logf("%-13s sent %d (%.0f/s), received %d, os_drops %d, if_drops %d, wire %d, unseen at most %d",
		p.name, l.sent, float64(l.sent)/l.sending.Seconds(), l.received, l.osDrops, l.ifDrops, l.wire, l.unseen)
	accounted := l.received + l.osDrops + l.ifDrops + l.wire
	switch {
	case accounted > l.sent:
		s.fail("%s: %d sent, but %d received or lost", p.name, l.sent, accounted)
	case accounted+l.unseen < l.sent:
		s.fail("%s: %d sent, only %d received or reported as lost, %d may be unseen", p.name, l.sent, accounted, l.unseen)
	}
	if l.counted != l.received {
		s.fail("%s: %d received, %d counted", p.name, l.received, l.counted)
	}
	if l.malformed != 0 {
		s.fail("%s: %d packets count as malformed, but all are well-formed", p.name, l.malformed)
	}
	// A TCP stream that is sent again counts only once. Flat out, there are fewer messages.
	if l.received == l.sent && !p.flatOut && l.messages != messages {
		s.fail("%s: %d DNS messages sent, %d counted", p.name, messages, l.messages)
	}
}

// sendBurst is how many frames are sent at once.
const sendBurst = 64

// traffic is generated traffic: a capture, and the number of DNS messages in it.
type traffic struct {
	capture  []byte
	messages uint64
}

// generate makes traffic of a preset. Each seed gives different traffic.
func generate(preset string, seed uint64, packets int, rate float64) (traffic, error) {
	cfg := testkit.Presets[preset]()
	cfg.Packets, cfg.Rate, cfg.Seed = packets, rate, seed
	var b bytes.Buffer
	truth, err := testkit.Generate(&b, cfg)
	if err != nil {
		return traffic{}, err
	}
	return traffic{b.Bytes(), truth.Total.DNSMessages}, nil
}

// send sends whole captures of a preset, each different, until enough returns true after one of them. It returns the
// number of DNS messages in them. Only the end of ctx cuts a capture short.
func (s *soak) send(ctx context.Context, preset string, rate float64, enough func() bool) (messages uint64) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	again := 1
	if rate == 0 {
		again = 10 // sending must take longer than generating
	}
	ahead := make(chan traffic, 1) // the next capture is made while one is sent
	go func() {
		defer close(ahead)
		for ctx.Err() == nil {
			s.seed++
			t, err := generate(preset, s.seed, max(int(2*s.o.rate), 1000), s.o.rate)
			if err != nil {
				s.fail("%v", err)
				return
			}
			select {
			case ahead <- t:
			case <-ctx.Done():
			}
		}
	}()
	for !enough() {
		t, ok := <-ahead
		if !ok {
			break
		}
		for range again {
			veth.Pace(t.capture, rate, sendBurst, func(records []byte, n int) {
				s.link.SendAll(records)
				s.sent.Add(uint64(n))
			})
			messages += t.messages
		}
	}
	stop()
	for range ahead { // wait until the generator has ended, because it uses the seed
	}
	return messages
}

// flap takes the agent's interface down and up a few times. Frames that are sent between the moment before it goes
// down and the moment when the agent is ready again may be lost where nothing counts them.
func flap(ctx context.Context, s *soak) (unseen uint64) {
	for range 3 {
		if !wait(ctx, s.o.phase/5) {
			return unseen
		}
		before := s.sent.Load()
		s.setUp(false)
		if !s.becomes(http.StatusServiceUnavailable) {
			s.fail("flaps: the agent does not notice that its interface is down")
		}
		s.setUp(true)
		if !s.becomes(http.StatusOK) {
			s.fail("flaps: the agent does not capture again")
		}
		unseen += s.sent.Load() - before + sendBurst // the sender counts by bursts
	}
	return unseen
}

// becomes waits until /readyz has the status, even if the time is up, because the ledger must not be closed earlier.
func (s *soak) becomes(status int) bool {
	ctx := context.Background()
	return s.agent.eventually(ctx, 5*time.Second, func() bool { return s.agent.status(ctx, "/readyz") == status })
}

func (s *soak) setUp(up bool) {
	if err := s.link.SetUp(up); err != nil {
		s.fail("flaps: %v", err)
	}
}

// stall stops the agent's process for a while, so that frames are certainly lost.
func stall(ctx context.Context, s *soak) uint64 {
	wait(ctx, s.o.phase/2)
	for _, sig := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := s.agent.signal(sig); err != nil {
			s.fail("overload: %v", err)
		}
		wait(ctx, 3*time.Second)
	}
	return 0
}

// hangUp sends a SIGHUP every second.
func hangUp(ctx context.Context, s *soak) uint64 {
	for until := time.Now().Add(s.o.phase); time.Now().Before(until) && wait(ctx, time.Second); {
		if err := s.agent.signal(syscall.SIGHUP); err != nil {
			s.fail("hangups: %v", err)
		}
	}
	return 0
}

// restart stops the agent under load, checks its last counts, and starts it again.
func restart(ctx context.Context, s *soak) uint64 {
	if !wait(ctx, s.o.phase/2) {
		return 0
	}
	s.watch.restarting()
	s.stopAgent("restart")
	if err := s.startAgent(context.WithoutCancel(ctx)); err != nil {
		s.fail("restart: %v", err)
	}
	return 0
}

// life is what is known about the frames that a run of the agent should have seen: the run began to capture when
// between from and to frames had been sent.
type life struct{ from, to, unseen, wire uint64 }

func (s *soak) startAgent(ctx context.Context) error {
	s.life = life{from: s.sent.Load(), wire: s.link.Dropped()}
	err := s.agent.start(ctx)
	s.life.to = s.sent.Load()
	return err
}

// stopAgent stops the agent and checks that its last counts match what was sent while it ran.
func (s *soak) stopAgent(when string) {
	least := s.sent.Load() - s.life.to
	took, received, lost, err := s.agent.stop()
	most := s.sent.Load() - s.life.from
	if err != nil {
		s.fail("%s: %v", when, err)
		return
	}
	s.stops = append(s.stops, took)
	s.logf("%-13s stopped after %v, %d received, %d lost", when, took.Round(time.Millisecond), received, lost)
	if took > s.o.stop {
		s.fail("%s: it took %v to stop", when, took.Round(time.Millisecond))
	}
	accounted := received + lost + s.link.Dropped() - s.life.wire
	if s.link != nil && (accounted+s.life.unseen < least || accounted > most) {
		s.fail("%s: %d received or lost; between %d and %d were sent, of them at most %d unseen", when, accounted, least, most, s.life.unseen)
	}
}

// replayPhase lets a replayed file continue, with the events that are possible without interfaces.
func (s *soak) replayPhase(ctx context.Context, p phase) {
	switch {
	case p.name == "flaps" || p.flatOut:
		return
	case p.during != nil:
		p.during(ctx, s)
	}
	began, ok := s.counters(ctx)
	if !ok || !wait(ctx, s.o.phase) {
		return
	}
	if now, ok := s.counters(ctx); ok {
		l := now.less(began)
		l.sending = s.o.phase
		s.total.add(l)
		s.logf("%-13s received %d (%.0f/s)", p.name, l.received, float64(l.received)/l.sending.Seconds())
		if l.received == 0 || l.counted == 0 {
			s.fail("%s: %d received, %d counted", p.name, l.received, l.counted)
		}
	}
}

// wait waits for d, and reports whether ctx is not done.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// writeReplay writes a capture of the traffic of all phases, one after the other, each as long as a phase.
func writeReplay(path string, rate float64, phase time.Duration) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	start := time.Now()
	for i, p := range phases {
		cfg := testkit.Presets[p.preset]()
		cfg.Rate, cfg.Packets, cfg.Seed = rate, int(rate*phase.Seconds()), uint64(i)
		cfg.Start = start.Add(time.Duration(i) * phase)
		var b bytes.Buffer
		if _, err := testkit.Generate(&b, cfg); err != nil {
			return err
		}
		if i > 0 {
			b.Next(veth.HeaderLen)
		}
		if _, err := b.WriteTo(f); err != nil {
			return err
		}
	}
	return f.Close()
}
