package filter

import (
	"math/bits"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/decode"
	"pktvisor/linktype"
)

// Sieve evaluates the filters of a plan on one shard, group by group. Filters have the numbers of their places in the plan.
//
// For each group of packets, call [Sieve.Begin]; then, for each group of messages in them, [Sieve.Messages] and, after the analyzers
// have counted the choices of a filter, [Sieve.Counted]; then [Sieve.Packets].
type Sieve struct {
	plan    *Plan
	hosts   *analyze.Hosts
	packets []analyze.Packet
	links   []linktype.Type
	choices [][]dns.Choice // of each filter
	carried [][2]uint64    // of each filter, the packets that completed a message that passed, as bits
	touched []int          // the filters with choices
	known   []knownName    // by the hash of the name
	located []located      // by the hash of the address; nil if no filter needs it
	second  uint32         // how often Tick was called
	scratch [analyze.GroupSize]analyze.Packet
}

// knownName is a name with the number of its set of lists.
type knownName struct {
	hash uint64
	set  uint32
}

// numKnown is the number of places for known names.
const numKnown = 1 << 9

// NewSieve returns a sieve, without any group.
func (p *Plan) NewSieve() *Sieve {
	s := &Sieve{plan: p, choices: make([][]dns.Choice, len(p.filters)), carried: make([][2]uint64, len(p.filters))}
	if len(p.owner) > 0 {
		s.known = make([]knownName, numKnown)
	}
	if p.geo {
		s.located = make([]located, numLocated)
	}
	return s
}

// Tick tells the sieve that a second has passed. Places and networks of addresses are looked up again then.
func (s *Sieve) Tick() { s.second++ }

// Begin begins a group of packets. hosts are the host subnets, and links the link types of the packets' frames. They must not
// change until the next group.
func (s *Sieve) Begin(hosts *analyze.Hosts, group []analyze.Packet, links []linktype.Type) {
	s.hosts, s.packets, s.links = hosts, group, links
	clear(s.carried)
}

// Messages chooses from a group of messages for every filter. It returns the filters that have chosen any. The result and the
// choices are valid until the next call.
func (s *Sieve) Messages(group []dns.Message) []int {
	for _, i := range s.touched {
		s.choices[i] = s.choices[i][:0]
	}
	s.touched = s.touched[:0]
	x := event{sieve: s}
	for i := range group {
		x.ofMessage(&group[i])
		if !x.message.HasQuestion {
			s.withoutQuestion(&x, uint8(i))
			continue
		}
		for _, list := range x.lists {
			if f := s.plan.owner[list]; f >= 0 {
				s.choose(&x, f, uint8(i))
			}
		}
		for _, f := range s.plan.others {
			s.choose(&x, f, uint8(i))
		}
	}
	return s.touched
}

// withoutQuestion chooses a message whose question could not be read. No list of names has chosen filters for it.
func (s *Sieve) withoutQuestion(x *event, at uint8) {
	for f := range s.plan.filters {
		s.choose(x, int32(f), at)
	}
}

// choose adds a message to the choices of a filter, if the message or its counterpart may pass.
func (s *Sieve) choose(x *event, f int32, at uint8) {
	verdict, ok := s.plan.filters[f].verdict(x)
	if !ok {
		return
	}
	if len(s.choices[f]) == 0 {
		s.touched = append(s.touched, int(f))
	}
	s.choices[f] = append(s.choices[f], dns.Choice{Message: at, Verdict: verdict})
}

// verdict returns what the filter says about a message. ok is false if neither the message nor its counterpart can pass.
func (m *member) verdict(x *event) (v dns.Verdict, ok bool) {
	both := yes
	for i := range m.parts {
		if both = min(both, m.parts[i].evalBoth(x)); both == no {
			return 0, false
		}
	}
	all := both
	for i := range m.parts {
		if all = min(all, m.parts[i].evalRest(x)); all == no {
			return dns.Rejected, true
		}
	}
	if all == unknown && x.message.Response() && (m.given&keySlower != 0 || m.given&ofQuestion != 0 && !x.message.HasQuestion) {
		return dns.ByTransaction, true
	}
	return dns.Passes, true
}

// Choices returns the messages that a filter has chosen.
func (s *Sieve) Choices(filter int) []dns.Choice { return s.choices[filter] }

// Counted notes what became of the choices of a filter, so that the packets that completed the messages can pass.
func (s *Sieve) Counted(filter int, group []dns.Message) {
	for _, c := range s.choices[filter] {
		if p := group[c.Message].Packet; c.Verdict == dns.Passes && p < analyze.GroupSize {
			s.carried[filter][p/64] |= 1 << (p % 64)
		}
	}
}

// Decider returns what decides for a filter by transactions.
func (s *Sieve) Decider(filter int) dns.Decider { return &decider{s, filter} }

type decider struct {
	sieve  *Sieve
	filter int
}

// Decide implements [dns.Decider]. Without its question, a response passes with its query.
func (d *decider) Decide(m *dns.Message, paired bool, latency int64) bool {
	f := &d.sieve.plan.filters[d.filter]
	if !m.HasQuestion && f.given&ofQuestion != 0 && !paired {
		return false
	}
	x := event{sieve: d.sieve, paired: paired, latency: latency}
	x.ofMessage(m)
	for i := range f.parts {
		if n := &f.parts[i]; n.evalBoth(&x) == no || n.evalRest(&x) == no {
			return false
		}
	}
	return true
}

// Packets returns the packets of the group that pass a filter, in their order. They are valid until the next call.
func (s *Sieve) Packets(filter int) []analyze.Packet {
	f := &s.plan.filters[filter]
	if f.given == 0 {
		return s.packets
	}
	n := 0
	if f.OfMessages() {
		for w, carried := range s.carried[filter] {
			for ; carried != 0; carried &= carried - 1 {
				s.scratch[n] = s.packets[64*w+bits.TrailingZeros64(carried)]
				n++
			}
		}
		return s.scratch[:n]
	}
	x := event{sieve: s}
	for i := range s.packets {
		if x.ofPacket(i); f.passesPacket(&x) {
			s.scratch[n] = s.packets[i]
			n++
		}
	}
	return s.scratch[:n]
}

func (m *member) passesPacket(x *event) bool {
	for i := range m.parts {
		if n := &m.parts[i]; n.evalBoth(x) == no || n.evalRest(x) == no {
			return false
		}
	}
	return true
}

// listsOf returns the lists of names that the name of a message matches.
func (s *Sieve) listsOf(m *dns.Message) []int32 {
	if s.known == nil {
		return nil
	}
	k := &s.known[m.NameHash%numKnown]
	if k.hash != m.NameHash || m.NameHash == 0 {
		*k = knownName{m.NameHash, s.plan.names.lookUp(m.Name())}
	}
	return s.plan.names.sets[k.set]
}

// located is what is known of an address since a second.
type located struct {
	addr    decode.Addr
	second  uint32 // plus 1
	place   string
	network string
}

// numLocated is the number of places for addresses.
const numLocated = 1 << 10

// locate returns the place and the network of an address.
func (s *Sieve) locate(locate Locator, a decode.Addr) *located {
	l := &s.located[(a.Hi^a.Lo*0x9e3779b97f4a7c15)>>54%numLocated]
	if l.addr != a || l.second != s.second+1 {
		ip := a.Netip()
		*l = located{a, s.second + 1, locate.City(ip), locate.ASN(ip)}
	}
	return l
}
