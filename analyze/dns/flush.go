package dns

import (
	"math"

	"pktvisor/analyze"
	"pktvisor/dnswire"
	"pktvisor/metric"
	"pktvisor/sketch"
)

// EndSecond keeps the number of messages since the end of the previous second for the rate.
func (a *Analyzer) EndSecond(second int64) {
	total := uint64(0)
	for _, n := range a.cells {
		total += n
	}
	a.seconds.Add(second, messages{total - a.rated, uint64(a.counters.DeepSamples - a.deep)})
	a.rated, a.deep = total, a.counters.DeepSamples
}

// FlushCounts adds the counters, the rate and the histograms to the bucket's section.
func (a *Analyzer) FlushCounts(s *metric.Section, second int64) {
	a.EndSecond(second)
	m := metric.Of[Metrics](s)
	a.seconds.Take(func(second int64, n messages) {
		if s := a.cfg.Open.Section(s, second); s != nil {
			metric.Of[Metrics](s).Rate.Add(second, n.all)
			s.CountSample(second, n.all, n.deep)
		}
	})
	a.sumCells()
	a.counters.Filtered = a.offered.Filtered(a.counters.Total)
	a.rated, a.deep = 0, 0
	before, seen, taken := m.ResponseSize.Sum(), uint64(a.counters.Total), uint64(a.counters.DeepSamples)
	a.countUnread()
	metric.AddCounters(&m.Counters, &a.counters)
	m.Waiting += metric.Gauge(a.Open() - a.flushed)
	a.flushed = a.Open()
	for i := range a.micros {
		m.latencies(analyze.Direction(i)).AddDense(&a.micros[i])
		a.micros[i].Reset()
	}
	m.Ratio.AddDense(&a.ratio)
	a.ratio.Reset()
	m.ResponseSize.AddDense(&a.responseSize)
	a.responseSize.Reset()
	a.addSample(s, before, seen, taken)
}

// addSample counts the messages since the last flush. before is the sum of the sizes of responses at that flush.
func (a *Analyzer) addSample(s *metric.Section, before, seen, taken uint64) {
	n := metric.SampleCounts{Share: a.cfg.Sampler.Share(), Seen: seen, Taken: taken, TakenBytes: a.takenBytes, Load: &a.load}
	n.SeenBytes = metric.Of[Metrics](s).ResponseSize.Sum() - before
	if n.Share == metric.Whole {
		n.TakenBytes = n.SeenBytes
	}
	s.AddSample(n)
	a.takenBytes = 0
}

// countUnread adds what the feed could not read since the last flush to the counters.
func (a *Analyzer) countUnread() {
	if a.feed == nil {
		return
	}
	c, now, last := &a.counters, a.feed.Unread(), a.unread
	c.NotDNS += metric.Counter(now.NotDNS - last.NotDNS)
	c.HeaderCut += metric.Counter(now.HeaderCut - last.HeaderCut)
	c.Gaps += metric.Counter(now.Gaps - last.Gaps)
	c.TCPIncomplete += metric.Counter(now.TCPIncomplete - last.TCPIncomplete)
	c.TCPEvicted += metric.Counter(now.TCPEvicted - last.TCPEvicted)
	c.FragIncomplete += metric.Counter(now.FragIncomplete - last.FragIncomplete)
	c.FragHeadless += metric.Counter(now.FragHeadless - last.FragHeadless)
	c.FragEvicted += metric.Counter(now.FragEvicted - last.FragEvicted)
	a.unread = now
}

// ReadCounts finds out from the section's latencies which transactions were slow.
func (a *Analyzer) ReadCounts(s *metric.Section) {
	if a.answered == nil {
		return
	}
	a.markSlow(a.cfg.Slow.thresholds(metric.Of[Metrics](s)))
}

// When one tally is full, the others are flushed too if they have space for fewer than spareGroups groups.
const spareGroups = 4

// FlushKeys adds the tallies to the bucket's section.
func (a *Analyzer) FlushKeys(all bool, keys analyze.Keys) {
	flushSampled := all || a.sample.due()
	flushNames := !a.names.shared() && (all || a.names.full(spareGroups))
	flushClients := a.clients.Tally != nil && (flushSampled || a.clients.full(spareGroups))
	if flushNames {
		a.flushNames(keys)
	}
	if a.amounts.names != nil && (flushNames || flushSampled) {
		a.flushAmpQname(keys)
	}
	if all {
		a.flushPairs(keys)
	}
	if flushNames {
		a.saveNames()
		a.pairs.resetNames(len(a.names.tally.Entries()))
		a.names.reset()
	}
	if a.clients.Tally != nil && (flushClients || a.clients.seen.full(spareGroups)) {
		a.flushAskers(keys)
	}
	if flushClients {
		a.flushClients(keys)
		a.saveClients()
		a.clients.Reset()
	}
	if a.ecs != nil && (all || a.ecs.Full(spareGroups*analyze.GroupSize)) {
		a.flushECS(keys)
	}
	if a.amounts.types != nil && flushSampled {
		a.flushAmpQtype(keys)
	}
	if all {
		a.flushSmall(keys)
	}
	if flushSampled {
		a.flushedSample()
	}
}

// flushedSample decides which messages count from now on, after a flush of those that have counted.
func (a *Analyzer) flushedSample() {
	before := a.sample.lg
	a.sample.flushed(a.now)
	if before == 0 && a.sample.lg > 0 {
		a.clients.seen.start()
	}
	a.pairs.resize(a.sample.all())
}

// markSlow counts the slow transactions since the last flush at their names.
func (a *Analyzer) markSlow(limits [analyze.NumDirections]uint64) {
	entries := a.names.tally.Entries()
	for _, x := range a.answered {
		if x.micros() < limits[x.direction()] {
			continue
		}
		if x.direction() == analyze.Ingress {
			entries[x.entry()].slowIn++
		} else {
			entries[x.entry()].slowOut++
		}
	}
	a.answered = a.answered[:0]
}

// batchSize is the number of names that are added to the sketches together.
const (
	batchSize = 256
	maxText   = 4 * dnswire.MaxName // the maximum length of a name as text, in bytes
)

// The top tables of whole names.
const (
	columnNXDomain = iota
	columnServFail
	columnRefused
	columnNoData
	columnNoError
	columnTimeout
	columnSlowIn
	columnSlowOut
	columnBytes
	numColumns
)

// columns are the tables of whole names: the path of the metric, the table, and the weight of a name in it.
var columns = [numColumns]struct {
	path   string
	top    func(m *Metrics) *metric.Top
	weight func(e *nameEntry) uint64
}{
	columnNXDomain: {"top_nxdomain", func(m *Metrics) *metric.Top { return &m.TopNXDomain }, func(e *nameEntry) uint64 { return uint64(e.outcomes[nxDomain]) }},
	columnServFail: {"top_srvfail", func(m *Metrics) *metric.Top { return &m.TopServFail }, func(e *nameEntry) uint64 { return uint64(e.outcomes[servFail]) }},
	columnRefused:  {"top_refused", func(m *Metrics) *metric.Top { return &m.TopRefused }, func(e *nameEntry) uint64 { return uint64(e.outcomes[refused]) }},
	columnNoData:   {"top_nodata", func(m *Metrics) *metric.Top { return &m.TopNoData }, func(e *nameEntry) uint64 { return uint64(e.outcomes[noData]) }},
	columnNoError:  {"top_noerror", func(m *Metrics) *metric.Top { return &m.TopNoError }, (*nameEntry).noErrors},
	columnTimeout:  {"top_timeout", func(m *Metrics) *metric.Top { return &m.TopTimeout }, func(e *nameEntry) uint64 { return uint64(e.timeouts) }},
	columnSlowIn:   {"xact.in.top_slow", func(m *Metrics) *metric.Top { return &m.SlowIn }, func(e *nameEntry) uint64 { return uint64(e.slowIn) }},
	columnSlowOut:  {"xact.out.top_slow", func(m *Metrics) *metric.Top { return &m.SlowOut }, func(e *nameEntry) uint64 { return uint64(e.slowOut) }},
	columnBytes:    {"top_response_bytes", func(m *Metrics) *metric.Top { return &m.TopResponseBytes }, func(e *nameEntry) uint64 { return e.bytes }},
}

// noErrors returns the number of responses with NOERROR, with or without data.
func (e *nameEntry) noErrors() uint64 {
	return uint64(e.outcomes[noError]) + uint64(e.outcomes[noData]) + uint64(e.outcomes[referral])
}

// batch holds names that are being added to the sketches. All of them are added to one sketch before the next, so that only
// one sketch at a time needs the CPU's cache.
type batch struct {
	wanted     wanted
	allColumns bool
	questions  bool // a metric needs the names of questions, whatever the outcome

	text     []byte
	names    [batchSize]sketch.Prepared
	distinct []sketch.Hashed // names in questions
	rows     [numColumns][batchSize]sketch.Weighted
	ends     [numColumns]uint32 // the number of rows
	sieve    [numColumns]sketch.Sieve

	// The counts of the names' last two and three labels during a flush.
	qname2, qname3 suffixes
	weights        []uint64 // the weights of the keys that are being flushed
	bytes          []uint64 // the bytes of the names' responses
	positions      []uint16 // of the keys that are being flushed
	asked          [batchSize]sketch.Asked
}

func newBatch(s sizes, w wanted) batch {
	b := batch{
		wanted: w, allColumns: w.allColumns(), questions: w.questions(),
	}
	if w == (wanted{}) {
		return b // nothing is flushed
	}
	b.text = make([]byte, 0, batchSize*maxText) // the text must not move; slices.Grow would write to all of it
	b.weights, b.positions = make([]uint64, 0, max(s.names, maxValues)), make([]uint16, 0, max(s.names, maxValues))
	if w.suffix2() {
		b.qname2 = newSuffixes(s.names)
	}
	if w.suffix3() {
		b.qname3 = newSuffixes(s.names)
	}
	if w.anyColumn() {
		b.bytes = make([]uint64, 0, s.names)
	}
	return b
}

// flushNames adds the counts of the names to the sketches. First it counts each name of a question as a distinct name, and at its
// suffixes and zones. Then it adds the names to the tables for which they are not too light. Most names of a flood are too light
// for every table, and cost no look-up.
func (a *Analyzer) flushNames(keys analyze.Keys) {
	entries, b := a.names.tally.Entries(), &a.batch
	if b.questions {
		a.countNames(keys, entries)
	}
	a.foldNames(keys, entries)
	b.shed(keys, entries)
	for first := 0; first < len(entries); first += batchSize {
		a.fillBatch(entries[first:min(first+batchSize, len(entries))])
		b.addTo(metric.Of[Metrics](keys.Lock()))
		keys.Unlock()
	}
	if b.wanted.qname2 {
		a.flushSuffixes(keys, &b.qname2, 2)
	}
	if b.wanted.qname3 {
		a.flushSuffixes(keys, &b.qname3, 3)
	}
	b.qname2.reset()
	b.qname3.reset()
}

// shed sets up the sieves of the tables that cannot take all names.
func (b *batch) shed(keys analyze.Keys, entries []nameEntry) {
	b.sieve = [numColumns]sketch.Sieve{}
	var capacity [numColumns]int
	least := math.MaxInt
	m := metric.Of[Metrics](keys.Lock())
	for c := range columns {
		if b.wanted.columns[c] {
			capacity[c] = columns[c].top(m).Capacity()
			least = min(least, capacity[c])
		}
	}
	keys.Unlock()
	if len(entries) <= least {
		return
	}
	// Nearly all names have responses without an error, and so have bytes. The weights of these two tables are collected in
	// the same pass.
	noErrors, bytes := b.weights[:len(entries)], b.bytes[:len(entries)]
	var n [numColumns]int // names with a weight
	for i := range entries {
		e := &entries[i]
		noErrors[n[columnNoError]], bytes[n[columnBytes]] = e.noErrors(), e.bytes
		n[columnNXDomain] += hasWeight(uint64(e.outcomes[nxDomain]))
		n[columnServFail] += hasWeight(uint64(e.outcomes[servFail]))
		n[columnRefused] += hasWeight(uint64(e.outcomes[refused]))
		n[columnNoData] += hasWeight(uint64(e.outcomes[noData]))
		n[columnNoError] += hasWeight(e.noErrors())
		n[columnTimeout] += hasWeight(uint64(e.timeouts))
		n[columnSlowIn] += hasWeight(uint64(e.slowIn))
		n[columnSlowOut] += hasWeight(uint64(e.slowOut))
		n[columnBytes] += hasWeight(e.bytes)
	}
	b.shedColumn(keys, columnNoError, noErrors[:n[columnNoError]])
	b.shedColumn(keys, columnBytes, bytes[:n[columnBytes]])
	for c, column := range columns {
		if !b.wanted.columns[c] || n[c] <= capacity[c] || c == columnNoError || c == columnBytes {
			continue
		}
		weights, end := b.weights[:len(entries)], 0
		for i := range entries {
			w := column.weight(&entries[i])
			weights[end] = w
			end += hasWeight(w)
		}
		b.shedColumn(keys, c, weights[:end])
	}
}

// shedColumn sets up the sieve of a table for names with the given weights.
func (b *batch) shedColumn(keys analyze.Keys, column int, weights []uint64) {
	if !b.wanted.columns[column] {
		return
	}
	b.sieve[column] = columns[column].top(metric.Of[Metrics](keys.Lock())).Shed(weights)
	keys.Unlock()
}

// hasWeight returns 0 if w is 0, and 1 otherwise. It compiles to no branch. w must be less than 2^63.
func hasWeight(w uint64) int { return int(-w >> 63) }

// fillBatch makes rows of at most batchSize names that are not too light for the tables, and converts these names to text.
func (a *Analyzer) fillBatch(entries []nameEntry) {
	b := &a.batch
	b.text = b.text[:0]
	b.ends = [numColumns]uint32{}
	for i := range entries {
		e := &entries[i]
		if !b.choose(uint32(i), e) {
			continue
		}
		at := len(b.text)
		b.text = appendKey(b.text, a.names.name(e))
		b.names[i] = sketch.Prepare(b.text[at:])
	}
}

// addTo adds the names to the sketches.
func (b *batch) addTo(m *Metrics) {
	for c := range columns {
		columns[c].top(m).AddBatch(b.names[:], b.rows[c][:b.ends[c]])
	}
}

// choose makes a row for the name in each table for which it is not too light, and reports whether it made any.
func (b *batch) choose(name uint32, e *nameEntry) bool {
	if !b.allColumns {
		return b.chooseWanted(name, e)
	}
	rows := b.choose1(columnNXDomain, name, uint64(e.outcomes[nxDomain])) |
		b.choose1(columnServFail, name, uint64(e.outcomes[servFail])) |
		b.choose1(columnRefused, name, uint64(e.outcomes[refused])) |
		b.choose1(columnNoData, name, uint64(e.outcomes[noData])) |
		b.choose1(columnNoError, name, e.noErrors()) |
		b.choose1(columnTimeout, name, uint64(e.timeouts)) |
		b.choose1(columnSlowIn, name, uint64(e.slowIn)) |
		b.choose1(columnSlowOut, name, uint64(e.slowOut)) |
		b.choose1(columnBytes, name, e.bytes)
	return rows != 0
}

// chooseWanted does the same as choose for an analyzer that lacks some of the tables.
func (b *batch) chooseWanted(name uint32, e *nameEntry) bool {
	rows := 0
	for c, wanted := range b.wanted.columns {
		if wanted {
			rows |= b.choose1(c, name, columns[c].weight(e))
		}
	}
	return rows != 0
}

// choose1 makes the row of a name in one column and returns 1. If the name is too light, it returns 0.
func (b *batch) choose1(column int, name uint32, weight uint64) int {
	if !b.sieve[column].Passes(weight) {
		return 0
	}
	end := b.ends[column]
	b.rows[column][end%batchSize] = sketch.Weighted{Weight: weight, Key: name}
	b.ends[column] = end + 1
	return 1
}

// addWeighted adds keys with the given weights to a table, in parts. by says whether these are of a sample. It calls name for each key that is not too light, and
// locks the section only after that. name appends text to dst, and returns how many bytes of it come before the key.
func (b *batch) addWeighted(keys analyze.Keys, top func(m *Metrics) *metric.Top, weights []uint64, by sketch.Thinning, name func(dst []byte, i int) (text []byte, key int)) {
	t := top(metric.Of[Metrics](keys.Lock()))
	t.Sampled(by)
	sieve := t.Shed(weights)
	keys.Unlock()
	for i := 0; i < len(weights); {
		b.text = b.text[:0]
		rows := b.rows[0][:0]
		for ; i < len(weights) && len(rows) < batchSize; i++ {
			if !sieve.Passes(weights[i]) {
				continue
			}
			text, key := name(b.text, i)
			b.names[len(rows)] = sketch.Prepare(text[len(b.text)+key:])
			b.text = text
			rows = append(rows, sketch.Weighted{Weight: weights[i], Key: uint32(len(rows))})
		}
		top(metric.Of[Metrics](keys.Lock())).AddBatch(b.names[:], rows)
		keys.Unlock()
	}
}
