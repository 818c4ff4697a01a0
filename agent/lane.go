package agent

import (
	"slices"
	"sync"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/filter"
	"pktvisor/linktype"
)

// lane is the policies of a shard whose filters have the same BPF expressions, or none. It has the frames that match these, and
// evaluates the other conditions of the filters together: see package filter.
//
// BPF comes before everything else. A frame that does not match does not exist for the lane: it has its own reader, which finds
// and reassembles only the messages in its frames. The lane without BPF takes the messages of the shard's reader, which also
// serves policies without a filter.
type lane struct {
	name    string
	frames  *filter.Frames // nil for all frames
	reader  *dns.Reader    // its own; nil for all frames
	sieve   *filter.Sieve  // nil until the first packets after a change of policies while the shard did not run
	members []member       // in the order of the filters in the sieve

	group [analyze.GroupSize]analyze.Packet // the packets that match
	links [analyze.GroupSize]linktype.Type

	// packets and messages count what was offered to the filters since the start.
	packets, messages uint64
}

// member is a filter of a policy with the analyzers that get what passes.
type member struct {
	filter  *filter.Filter
	back    *back
	packets []analyze.Packets
	sifters []sifter
	decider dns.Decider
}

// sifter is implemented by analyzers of messages that a filter can choose for.
type sifter interface {
	Sift(group []dns.Message, choices []dns.Choice, by dns.Decider)
}

// laneChange is what becomes of a lane when policies change.
type laneChange struct {
	lane    *lane
	sieve   *filter.Sieve
	members []member
}

// planLanes prepares the lanes for other back halves than the present ones. It does not change the shard. Lanes that stay keep their
// readers and counts. If the shard does not run yet, the filters are joined when the first packets come: so an agent that starts with many
// policies joins their filters once.
func (f *front) planLanes(backs []*back, runs bool) (changes []laneChange) {
	members := map[string][]member{}
	var names []string
	for _, b := range backs {
		for _, m := range b.members() {
			name := m.filter.Frames()
			if members[name] == nil {
				names = append(names, name)
			}
			members[name] = append(members[name], m)
		}
	}
	for _, name := range names {
		l := f.lane(name)
		if l == nil {
			l = f.newLane(name, members[name][0].filter)
		}
		c := laneChange{lane: l, members: members[name]}
		if runs {
			c.join(f.tap)
		}
		changes = append(changes, c)
	}
	return changes
}

// join joins the filters.
func (c *laneChange) join(t *Tap) {
	filters := make([]*filter.Filter, len(c.members))
	for i := range filters {
		filters[i] = c.members[i].filter
	}
	c.sieve = t.plans.of(t, c.lane.name, filters).NewSieve()
	for i := range c.members {
		c.members[i].decider = c.sieve.Decider(i)
	}
}

// lane returns the lane with a name, or nil.
func (f *front) lane(name string) *lane {
	if i := slices.IndexFunc(f.lanes, func(l *lane) bool { return l.name == name }); i >= 0 {
		return f.lanes[i]
	}
	return nil
}

// newLane makes a lane for the BPF expressions of a filter.
func (f *front) newLane(name string, of *filter.Filter) *lane {
	l := &lane{name: name}
	if name != "" {
		l.frames = filter.NewFrames(of)
		l.reader = f.newReader(l)
	}
	return l
}

// setLanes changes the lanes to those that were prepared. The caller holds f.mu.
func (f *front) setLanes(changes []laneChange) {
	f.lanes = nil
	for _, c := range changes {
		c.lane.sieve, c.lane.members = c.sieve, c.members
		f.lanes = append(f.lanes, c.lane)
	}
	for _, l := range f.lanes {
		if r := l.readerOf(f); r != nil {
			r.LookForSignatures(slices.ContainsFunc(l.members, func(m member) bool { return m.filter.Signatures() }))
		}
	}
	if f.reader != nil && f.lane("") == nil {
		f.reader.LookForSignatures(false)
	}
}

// readerOf returns the reader of the lane's messages, or nil.
func (l *lane) readerOf(f *front) *dns.Reader {
	if l.reader != nil {
		return l.reader
	}
	return f.reader
}

// members returns the filters of a policy with its analyzers. Analyzers with the same filter share its evaluation.
func (b *back) members() (all []member) {
	for _, p := range b.parts {
		if p.filter == nil {
			continue
		}
		i := slices.IndexFunc(all, func(m member) bool { return m.filter == p.filter })
		if i < 0 {
			i = len(all)
			all = append(all, member{filter: p.filter, back: b})
		}
		if a, ok := p.Analyzer.(analyze.Packets); ok {
			all[i].packets = append(all[i].packets, a)
		}
		if a, ok := p.Analyzer.(sifter); ok {
			all[i].sifters = append(all[i].sifters, a)
		}
	}
	return all
}

// begin begins a group of packets of the shard. It returns those that match the lane's BPF expressions.
func (l *lane) begin(f *front, group []analyze.Packet) []analyze.Packet {
	if l.sieve == nil {
		c := laneChange{lane: l, members: l.members}
		c.join(f.tap)
		l.sieve = c.sieve
	}
	if l.frames == nil {
		l.sieve.Begin(f.hosts, group, f.links[:len(group)])
		return group
	}
	n := 0
	for i := range group {
		if p := &group[i]; l.frames.Match(f.links[i], p.Frame, p.WireLen) {
			l.group[n], l.links[n] = *p, f.links[i]
			n++
		}
	}
	l.sieve.Begin(f.hosts, l.group[:n], l.links[:n])
	return l.group[:n]
}

// Messages implements [dns.Messages]: it hands to each policy what passes its filter.
func (l *lane) Messages(group []dns.Message) {
	for _, i := range l.sieve.Messages(group) {
		m := &l.members[i]
		for _, a := range m.sifters {
			a.Sift(group, l.sieve.Choices(i), m.decider)
		}
		if len(m.packets) > 0 {
			l.sieve.Counted(i, group)
		}
	}
	l.messages += uint64(len(group))
}

// end ends a group of n packets of the shard, whose messages have been handed over.
func (l *lane) end(n int) {
	for i := range l.members {
		m := &l.members[i]
		if len(m.packets) == 0 {
			continue
		}
		group := l.sieve.Packets(i)
		if len(group) == 0 {
			continue
		}
		for _, a := range m.packets {
			a.Packets(group)
		}
	}
	l.packets += uint64(n)
}

// filteredEvents hands the packets of the group, and the messages in them, to the policies with a filter. The messages of the
// shard's reader come first, so the lane without BPF begins before that: see [front.events].
func (f *front) filteredEvents(group []analyze.Packet) {
	for _, l := range f.lanes {
		if l.reader != nil {
			if matching := l.begin(f, group); len(matching) > 0 {
				l.reader.Packets(matching)
			}
		}
		l.end(len(group))
	}
}

// offered counts the events that were offered to the filter of an analyzer since the last call.
func (p *part) offered() {
	if p.lane == nil || p.sifted == nil {
		return
	}
	now := p.lane.packets
	if _, ok := p.Analyzer.(dns.Messages); ok {
		now = p.lane.messages
	}
	p.sifted.Offered(now - p.lastOffered)
	p.lastOffered = now
}

// plans keeps the plans of a tap's lanes, so that its shards share them: a plan with many names is large.
type plans struct {
	mu    sync.Mutex
	plans map[string]sharedPlan // by the name of the lane
}

type sharedPlan struct {
	filters []*filter.Filter
	plan    *filter.Plan
}

// of returns the plan of filters in a lane.
func (p *plans) of(t *Tap, lane string, filters []*filter.Filter) *filter.Plan {
	p.mu.Lock()
	defer p.mu.Unlock()
	if shared := p.plans[lane]; shared.plan != nil && slices.Equal(shared.filters, filters) {
		return shared.plan
	}
	if p.plans == nil {
		p.plans = map[string]sharedPlan{}
	}
	made := filter.NewPlan(filters, t.seed)
	p.plans[lane] = sharedPlan{filters, made}
	return made
}

// forget forgets the plans. It is for when a policy is gone whose names take memory.
func (p *plans) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = nil
}
