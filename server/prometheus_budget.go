package server

import (
	"hash/maphash"
	"slices"
	"sort"
	"sync"
	"time"
	"weak"

	"pktvisor/exposition"
	"pktvisor/metric"
)

// The rows of tables are what traffic decides about, so they are what a budget of series is about. Three rules bound them:
//
//   - An answer has at most as many series as the budget. What does not fit is the lightest rows: all tables of all policies get
//     the same number of rows, except that what a small table does not need is left to the others. If not even the numbers that
//     are always there fit, the last policies are left out.
//   - A table changes once a minute.
//   - A new row needs a token. A table that may show n rows has up to 10n tokens, and gets n/10 a minute. So it shows at most
//     16n different rows in an hour, whatever names a flood makes up. The heaviest new rows come first. A row that was shown within
//     the last hour needs none.
//
// The weight of a row that is left out is in the row "other" of its table.

// remembered is how long a row stays known after it was shown, in seconds.
const remembered = 3600

// minuteBlock is the part of an answer about the newest finished minutes of a selection. It is made anew when one of them, or
// what fits, changes.
type minuteBlock struct {
	mu         sync.Mutex
	catalog    *catalog
	targets    []target
	buckets    []weak.Pointer[metric.Bucket]
	most       int // rows of a table
	contents   []content
	admissions map[string]*admission // by the name of the target and the family

	planned bool
	room    int
	budget  budget
	bodies  map[exposition.Format]*deflated
}

// content is what a target has to say about its newest finished minute.
type content struct {
	start  int64
	always []labelled // what is always there
	tables []tableRows
	shown  []labelled // always, and the rows that fit
}

// labelled is a value of a family with its label.
type labelled struct {
	family int
	label  string
	value  float64
}

// tableRows are the rows of a table, heaviest first. Each may have a value of a second family.
type tableRows struct {
	family, second int // second is -1 if there is none
	list           []tableRow
	other          float64
}

type tableRow struct {
	label string
	value float64
	more  float64
}

// columns returns the number of series of a row.
func (r *tableRows) columns() int {
	if r.second >= 0 {
		return 2
	}
	return 1
}

// series returns the number of series of the first n rows and of the rest of a table.
func (r *tableRows) series(n int) int { return min(n, len(r.list))*r.columns() + 1 }

// budget says what an answer has and what it leaves out.
type budget struct {
	targets  int // that are in it
	leftOut  int // targets that are not
	series   int
	rows     int // that do not fit
	heldBack int // rows that were new too soon
}

func newMinuteBlock() *minuteBlock {
	return &minuteBlock{admissions: make(map[string]*admission)}
}

// read reads the newest finished minutes, unless it has read them before. A table has at most the given number of rows.
func (b *minuteBlock) read(c *catalog, targets []target, all []*gathered, most int) {
	same := b.catalog == c && slices.EqualFunc(b.targets, targets, func(x, y target) bool { return x.name == y.name })
	buckets := make([]weak.Pointer[metric.Bucket], len(all))
	for i, g := range all {
		if g.minute != nil {
			buckets[i] = weak.Make(g.minute)
		}
	}
	if same && slices.Equal(b.buckets, buckets) {
		return
	}
	b.catalog, b.targets, b.buckets, b.most, b.planned = c, slices.Clone(targets), buckets, most, false
	b.contents = make([]content, len(targets))
	for i, g := range all {
		b.targets[i].views, b.targets[i].window = nil, nil // a policy that is gone must not stay in memory
		if g.minute != nil {
			b.contents[i] = c.content(&targets[i], g.minute, most)
		}
	}
}

// forget drops everything except which rows were shown.
func (b *minuteBlock) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.catalog, b.targets, b.buckets, b.contents, b.bodies, b.planned = nil, nil, nil, nil, nil, false
}

// content reads a minute of a target.
func (c *catalog) content(t *target, minute *metric.Bucket, most int) content {
	now := content{start: minute.Start}
	tables := make(map[int]int) // by the first family of a table
	c.samples(t, minute, metric.LastMinute, metric.SampleOptions{Rows: most}, func(family int, x metric.Sample) {
		f := &c.families[family]
		if !f.desc.Kind.PerKey() {
			now.always = append(now.always, labelled{family, x.Label, x.Value})
			return
		}
		first := family - x.Family // the families of a metric follow each other
		k, known := tables[first]
		if !known {
			k = len(now.tables)
			tables[first] = k
			now.tables = append(now.tables, tableRows{family: first, second: -1})
		}
		switch r := &now.tables[k]; {
		case x.Family > 0:
			r.second = family
			r.list[len(r.list)-1].more = x.Value
		case x.Label == metric.OtherRow:
			r.other = x.Value
		default:
			r.list = append(r.list, tableRow{label: x.Label, value: x.Value})
		}
	})
	return now
}

// plan decides which targets and rows are in an answer of at most limit series, of which fixed are taken. A limit of 0 means none.
func (b *minuteBlock) plan(targets []target, all []*gathered, limit, fixed int) budget {
	p := budget{series: fixed}
	for i, g := range all {
		n := g.series + len(b.contents[i].always)
		if limit > 0 && p.series+n > limit {
			p.leftOut = len(targets) - i
			break
		}
		p.series += n
		p.targets++
	}
	room := limit - p.series
	if limit == 0 {
		room = -1
	}
	if !b.planned || b.room != room || b.budget.targets != p.targets {
		b.planned, b.room, b.bodies = true, room, make(map[exposition.Format]*deflated)
		b.budget = budget{targets: p.targets}
		b.show(room)
	}
	p.rows, p.heldBack = b.budget.rows, b.budget.heldBack
	p.series += b.budget.series
	return p
}

// show chooses the rows of all tables, for as many series as there is room. A negative room is not bounded.
func (b *minuteBlock) show(room int) {
	var tables []*tableRows
	for i := range b.contents[:b.budget.targets] {
		for k := range b.contents[i].tables {
			tables = append(tables, &b.contents[i].tables[k])
		}
	}
	limits := share(tables, b.most, room)
	admissions := make(map[string]*admission)
	for i := range b.contents {
		b.contents[i].shown = slices.Clone(b.contents[i].always)
	}
	next := 0
	for i := range b.contents[:b.budget.targets] {
		for k := range b.contents[i].tables {
			b.showTable(i, k, limits[next], admissions)
			next++
		}
	}
	b.admissions = admissions // without those of targets and tables that are gone
}

// showTable chooses up to limit rows of a table. A negative limit leaves out the table.
func (b *minuteBlock) showTable(target, table, limit int, admissions map[string]*admission) {
	c := &b.contents[target]
	r := &c.tables[table]
	key := b.targets[target].name + "\x00" + b.catalog.families[r.family].Name()
	a := b.admissions[key]
	if a == nil {
		a = newAdmission()
	}
	admissions[key] = a
	if limit < 0 {
		b.budget.rows += len(r.list)
		return
	}
	a.begin(c.start, limit)
	other := r.other
	for i, row := range r.list {
		fits := i < limit
		if !fits || !a.admit(row.label) {
			if fits {
				b.budget.heldBack++
			} else {
				b.budget.rows++
			}
			other += row.value
			continue
		}
		c.shown = append(c.shown, labelled{r.family, row.label, row.value})
		if r.second >= 0 {
			c.shown = append(c.shown, labelled{r.second, row.label, row.more})
		}
		b.budget.series += r.columns()
	}
	c.shown = append(c.shown, labelled{r.family, metric.OtherRow, other})
	b.budget.series++
}

// share divides room for series among tables: it returns how many rows of each fit, or -1 where not even the rest does. All
// tables get the same number, as long as they have so many rows. A negative room is not bounded.
func share(tables []*tableRows, most, room int) []int {
	limits := make([]int, len(tables))
	for i := range limits {
		limits[i] = most
	}
	if room < 0 {
		return limits
	}
	needs := func(n int) (sum int) {
		for _, t := range tables {
			sum += t.series(n)
		}
		return sum
	}
	if needs(0) > room {
		for i := range limits {
			limits[i] = -1
			if i < room {
				limits[i] = 0
			}
		}
		return limits
	}
	level := sort.Search(most, func(n int) bool { return needs(n+1) > room })
	left := room - needs(level)
	for i, t := range tables {
		limits[i] = level
		if more := t.series(level+1) - t.series(level); level < most && more > 0 && more <= left {
			limits[i]++
			left -= more
		}
	}
	return limits
}

// admission bounds how many new rows a table shows over time.
type admission struct {
	tokens float64
	minute int64            // the start of the newest one
	known  map[uint64]int64 // the minute in which a row was shown last, by the hash of its label
	begun  bool
}

// seed makes it impossible to choose labels whose hashes are equal.
var seed = maphash.MakeSeed()

func newAdmission() *admission { return &admission{known: make(map[uint64]int64)} }

// begin begins a minute in which the table may show so many rows. It may be called several times for one.
func (a *admission) begin(minute int64, rows int) {
	const burst, perMinute = 10, 0.1 // tokens for each row
	n := float64(rows)
	if !a.begun {
		a.begun, a.tokens, a.minute = true, burst*n, minute
	}
	if passed := float64(minute-a.minute) / 60; passed > 0 {
		a.tokens = min(a.tokens+passed*perMinute*n, burst*n)
	}
	a.minute = minute
	for hash, last := range a.known {
		if last > minute || minute-last > remembered { // or the clock was set back
			delete(a.known, hash)
		}
	}
}

// admit reports whether a row is shown in the present minute.
func (a *admission) admit(label string) bool {
	hash := maphash.String(seed, label)
	if _, known := a.known[hash]; !known {
		if a.tokens < 1 {
			return false
		}
		a.tokens--
	}
	a.known[hash] = a.minute
	return true
}

// encode writes the block, family by family.
func (b *minuteBlock) encode(e *exposition.Encoder) {
	byFamily := make([][]int, len(b.catalog.families)) // the positions of the samples of each, by target
	for i := range b.contents[:b.budget.targets] {
		for k, x := range b.contents[i].shown {
			byFamily[x.family] = append(byFamily[x.family], i, k)
		}
	}
	var labels []exposition.Label
	for family, at := range byFamily {
		f := &b.catalog.families[family]
		e.Family(f.Family)
		for ; len(at) > 0; at = at[2:] {
			t, x := &b.targets[at[0]], &b.contents[at[0]].shown[at[1]]
			labels = append(labels[:0], t.labels...)
			if f.label != "" {
				labels = append(labels, exposition.Label{Name: f.label, Value: x.label})
			}
			e.Value(x.value, time.Time{}, labels...)
		}
	}
}

// encoded returns the block in a format. It is encoded and compressed only once.
func (b *minuteBlock) encoded(format exposition.Format) *deflated {
	d := b.bodies[format]
	if d == nil {
		e := exposition.NewEncoder(nil, format, nil)
		b.encode(e)
		d = &deflated{plain: e.Bytes()}
		b.bodies[format] = d
	}
	return d
}

// budgetMetrics are the metrics about the budget, of an agent and of a hub.
var budgetMetrics = []budgetMetric{
	newBudgetMetric("series", "Series in this answer. Counters, histograms and summaries count with their time of creation, and histograms with classic buckets, as in OpenMetrics.",
		func(p *budget, _ int) int { return p.series }),
	newBudgetMetric("series_limit", "The most series in an answer (--prom-series), or 0 for any number.", func(_ *budget, limit int) int { return limit }),
	newBudgetMetric("left_out_rows", "Rows of tables that the limit of series leaves out of this answer. Their weight is in the rows other.",
		func(p *budget, _ int) int { return p.rows }),
	newBudgetMetric("held_back_rows", "Rows of tables that are not in this answer because too many rows of their table were new within an hour. Their weight is in the rows other.",
		func(p *budget, _ int) int { return p.heldBack }),
	newBudgetMetric("left_out_windows", "Windows of policies that the limit of series leaves out of this answer.", func(p *budget, _ int) int { return p.leftOut }),
}

// budgetMetric is a metric about the budget.
type budgetMetric struct {
	family *exposition.Family
	help   string
	value  func(p *budget, limit int) int
}

func newBudgetMetric(name, help string, value func(p *budget, limit int) int) budgetMetric {
	return budgetMetric{exposition.NewFamily("pktvisor_prometheus_"+name, help, exposition.Gauge), help, value}
}

// encode writes the metrics about the budget.
func (p *budget) encode(e *exposition.Encoder, limit int) {
	for _, m := range budgetMetrics {
		e.Family(m.family)
		e.Value(float64(m.value(p, limit)), time.Time{})
	}
}
