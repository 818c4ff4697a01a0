package dns

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pktvisor/analyze"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// sifting hands messages to an analyzer with the verdicts of a test. It decides by latency.
type sifting struct {
	*lab
	verdict Verdict
	most    int64 // the greatest latency that passes
	decided []string
}

func newSifting(t testing.TB, change func(*Config)) *sifting {
	s := &sifting{lab: newLab(t, change)}
	s.reader = NewReader(ReaderConfig{Seed: s.cfg.Seed, Ports: []uint16{53}, Timeout: s.cfg.Timeout, Take: s})
	s.Follow(s.reader)
	return s
}

// Messages implements [Messages].
func (s *sifting) Messages(group []Message) {
	choices := make([]Choice, len(group))
	for i := range choices {
		choices[i] = Choice{uint8(i), s.verdict}
	}
	s.Sift(group, choices, s)
	s.Offered(uint64(len(group)))
}

// Decide implements [Decider].
func (s *sifting) Decide(m *Message, paired bool, latency int64) bool {
	s.decided = append(s.decided, fmt.Sprint(paired, latency/ms))
	return !paired || latency <= s.most
}

// TestSift: which transactions, timeouts and orphans count, by what passes and what comes first. A step is q or r for a query or its
// response, + if it passes, - if it is rejected, ? if its transaction decides: more than 30 ms do not pass. s stands for six seconds,
// everything else takes 10 ms; . takes only time.
func TestSift(t *testing.T) {
	for steps, want := range map[string]string{
		"q+ r+": "xacts 1", "q+ r- s": "", "q- r+": "xacts 1", "q- r- s": "", "q+ s": "timeouts 1", "q- s": "", "r+ s": "orphans 1", "r- s": "",
		"q+": "open 1", "q-": "",
		// A response that comes before its query.
		"r+ q+": "xacts 1", "r- q+ s": "", "r+ q- s": "xacts 1", "r- q- s": "",
		// Too late.
		"q+ s r+ s": "timeouts 1, orphans 1", "q- s r+ s": "orphans 1", "q+ s r- s": "timeouts 1",
		// Sent again.
		"q+ q+ r+": "xacts 1, repeats 1", "q- q- r+": "xacts 1", "q+ r+ r+": "xacts 1, response_repeats 1", "q+ r- r+": "response_repeats 1", "q+ r- r-": "",
		"q+ r+ r-": "xacts 1", "r- r- q+ s": "", "r- r+ q+ s": "response_repeats 1", "r- r+ s": "orphans 1", "r+ r- s": "orphans 1", "r+ r+ s": "orphans 2",
		"q+ r- q+ s": "timeouts 1", "q- q+ s": "repeats 1",
		// By latency.
		"q+ r?": "xacts 1", "q+ . . . r? s": "", "q- . r?": "xacts 1", "r? s": "orphans 1", "q+ . . . r? r? s": "response_repeats 1", "q+ s r? s": "timeouts 1, orphans 1",
	} {
		for _, round := range []bool{false, true} {
			s := newSifting(t, nil)
			s.most = 30 * ms
			s.at(second)
			var now int64
			sent := [2]uint64{}
			for step := range strings.FieldsSeq(steps) {
				if step != "r+" && step != "r-" || now > 0 {
					now += 10 * ms
				}
				if step == "q+" || step == "q-" { // a response before its query must be close to it
					now -= 5 * ms * int64(min(sent[1], 1))
				}
				switch {
				case step == "s":
					now += 6 * second
					s.at(second + now)
				case step != ".":
					s.at(second + now)
					s.verdict = Verdict(strings.IndexByte("+-?", step[1]))
					if step[0] == 'q' {
						sent[0]++
						s.frame(udp(farClient, hostServer, query(7, "a.example")))
					} else {
						sent[1]++
						s.frame(udp(hostServer, farClient, response(7, 3, "a.example")))
					}
					if round {
						s.flush() // between any two messages
					}
				}
			}
			open := s.Open()
			m := s.flush()
			var got []string
			for _, c := range []struct {
				name string
				n    metric.Counter
			}{{"xacts", m.Xacts}, {"timeouts", m.Timeouts}, {"orphans", m.Orphans}, {"repeats", m.Repeats}, {"response_repeats", m.ResponseRepeats}, {"evicted", m.Evicted}, {"open", metric.Counter(open)}} {
				if c.n != 0 {
					got = append(got, fmt.Sprintf("%s %d", c.name, c.n))
				}
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("%s: %s, want %s", steps, text, want)
			}
			if total := uint64(m.Total + m.Filtered); total != sent[0]+sent[1] || m.Replies > metric.Counter(sent[1]) || m.InTotal != m.Xacts || m.InTimeouts != m.Timeouts {
				t.Errorf("%s: %d messages and %d filtered of %v", steps, m.Total, m.Filtered, sent)
			}
			if names := rows(&m.TopNXDomain)["a.example"]; names != uint64(m.NXDomain) {
				t.Errorf("%s: %d NXDOMAIN at the name, want %d", steps, names, m.NXDomain)
			}
			if bytes, each := rows(&m.TopResponseBytes)["a.example"], uint64(len(response(7, 3, "a.example"))); bytes != each*uint64(m.Replies) {
				t.Errorf("%s: %d bytes at the name, want %d responses of %d", steps, bytes, m.Replies, each)
			}
			if timeouts := rows(&m.TopTimeout)["a.example"]; timeouts != uint64(m.Timeouts) {
				t.Errorf("%s: %d timeouts at the name, want %d", steps, timeouts, m.Timeouts)
			}
		}
	}
}

// TestSiftClients: a client of a rejected query counts by what passes: its responses, and not its query.
func TestSiftClients(t *testing.T) {
	s := newSifting(t, nil)
	s.at(second)
	s.verdict = Rejected
	s.frame(udp(farClient, hostServer, query(1, "a.example"))).frame(udp(endpoint("198.51.100.9:4000"), hostServer, query(1, "a.example")))
	s.verdict = Passes
	s.frame(udp(hostServer, farClient, response(1, 3, "a.example")))
	m := s.flush()
	s.wantRows("top_clients", &m.TopClients, values{})
	s.wantRows("top_clients_nxdomain", &m.TopClientsNXDomain, values{"198.51.100.7": 1})
	if m.Qnames.Estimate() > 1.1 || m.Queries != 0 || m.Replies != 1 || m.Filtered != 2 {
		t.Errorf("%v names, %d queries, %d responses, %d filtered", m.Qnames.Estimate(), m.Queries, m.Replies, m.Filtered)
	}
	s.at(8 * second)
	if m = s.flush(); m.Timeouts != 0 || s.Analyzer.xacts.n != 0 {
		t.Errorf("%d timeouts, and %d queries wait", m.Timeouts, s.Analyzer.xacts.n)
	}
}

// TestSiftSample: what is outside the deep sample is counted as a message, but takes no part in pairing. Its latency is not known, so
// it is rejected where that decides.
func TestSiftSample(t *testing.T) {
	s := newSifting(t, func(c *Config) { c.Sampler = analyze.NewSampler(0) })
	s.at(second)
	for _, v := range []Verdict{Passes, Rejected} {
		s.verdict = v
		s.frame(udp(farClient, hostServer, query(1, "a.example"))).frame(udp(hostServer, farClient, response(1, 0, "a.example")))
	}
	s.verdict = ByTransaction
	s.frame(udp(hostServer, farClient, response(1, 0, "a.example")))
	s.at(9 * second)
	if m := s.flush(); m.Total != 2 || m.DeepSamples != 0 || m.Filtered != 3 || m.Xacts+m.Timeouts+m.Orphans != 0 || len(s.decided) != 0 {
		t.Errorf("%d messages, %d in the sample, %d filtered, %d transactions; decided %v", m.Total, m.DeepSamples, m.Filtered, m.Xacts, s.decided)
	}
}

// TestSiftModel compares long random series with a model that remembers everything.
func TestSiftModel(t *testing.T) {
	r := rand.New(rand.NewPCG(47, 1))
	for range 20 {
		s := newSifting(t, nil)
		s.at(second)
		type state struct {
			at     int64
			passes bool
		}
		waiting := map[uint16]state{}
		var xacts, timeouts, orphans, messages metric.Counter
		for range 2000 {
			now := s.now + int64(r.IntN(20))*ms
			s.at(now)
			for id, q := range waiting {
				if now/second*second-q.at > 5*second {
					delete(waiting, id)
					timeouts += one(q.passes)
				}
			}
			passes := r.IntN(2) == 0
			s.verdict = Rejected
			if passes {
				s.verdict = Passes
				messages++
			}
			id := uint16(r.IntN(4000))
			q, waits := waiting[id]
			name := fmt.Sprintf("n%d.example", id)
			switch {
			case !waits && r.IntN(3) > 0:
				waiting[id] = state{now, passes}
				s.frame(udp(farClient, hostServer, query(id, name)))
			case waits && now-q.at <= 5*second:
				delete(waiting, id)
				xacts += one(passes)
				s.frame(udp(hostServer, farClient, response(id, 0, name)))
			default:
				messages -= one(passes)
			}
			if r.IntN(50) == 0 {
				s.flush()
			}
		}
		open := 0
		for _, q := range waiting {
			if q.passes {
				open++
			}
		}
		if m := s.flush(); m.Xacts != xacts || m.Timeouts != timeouts || m.Orphans != orphans || m.Total != messages || s.Open() != open {
			t.Fatalf("%d transactions, %d timeouts, %d orphans, %d messages, %d open, want %d, %d, %d, %d, %d", m.Xacts, m.Timeouts, m.Orphans, m.Total, s.Open(), xacts, timeouts, orphans, messages, open)
		}
	}
}

// TestSignatures: only an RRSIG in the answer section makes a response signed, and only for a reader that looks for signatures.
func TestSignatures(t *testing.T) {
	rr := func(typ uint16) []byte { return []byte{0xc0, 12, byte(typ >> 8), byte(typ), 0, 1, 0, 0, 0, 1, 0, 0} }
	build := func(answers, authority int, types ...uint16) []byte {
		b := withCount(withCount(testkit.AppendDNS(nil, 1, testkit.DNSResponse, "a.example", 1), 1, uint16(answers)), 2, uint16(authority))
		for _, typ := range types {
			b = append(b, rr(typ)...)
		}
		return b
	}
	for i, c := range []struct {
		b    []byte
		want bool
	}{
		{build(2, 0, 1, typeRRSIG), true}, {build(1, 1, 1, typeRRSIG), false}, {build(3, 0, 1, typeRRSIG), true}, {build(0, 1, typeRRSIG), false},
		{build(2, 0, 1, 1), false}, {build(65535, 0, typeRRSIG), true}, {build(2, 0, 1, typeRRSIG)[:45], false}, {query(1, "a.example"), false},
	} {
		for _, look := range []bool{true, false} {
			l := newLab(t, nil)
			var got []bool
			l.reader = NewReader(ReaderConfig{Seed: l.cfg.Seed, Ports: []uint16{53}, Timeout: second, Take: takeFunc(func(group []Message) {
				got = append(got, group[0].Signed)
			})})
			l.reader.LookForSignatures(look)
			l.frame(udp(hostServer, farClient, c.b))
			if !slices.Equal(got, []bool{c.want && look}) {
				t.Errorf("message %d, look %t: %v, want %t", i, look, got, c.want)
			}
		}
	}
}

type takeFunc func(group []Message)

// Messages implements [Messages].
func (f takeFunc) Messages(group []Message) { f(group) }
