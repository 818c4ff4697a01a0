package otlp

import (
	"math"
	"slices"
	"strings"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/window"
)

// Window is one window whose metrics are sent. It is of one policy and, unless Tap is empty, of one tap.
type Window struct {
	// Policy, Tap and Handler are attributes of each point, and of the scope; an empty one is left out. Handler tells a window
	// from others of the same policy and tap. Plain leaves them out of the points: those of the default
	// policy are what an agent without policies sends.
	Policy, Tap, Handler string
	Plain                bool
	// Since is when the window began to count. It is the start of the sums.
	Since time.Time
	window.Views
	Tables []*metric.Table
}

// Own is a metric about the agent itself.
type Own struct {
	Name, Help string
	// Gauge says that it is a state. Otherwise it is a counter.
	Gauge bool
	// Labels are the names of the labels.
	Labels []string
	Points []OwnPoint
}

// OwnPoint is a value of a metric about the agent itself.
type OwnPoint struct {
	Labels []string // the values of the labels; an empty one means that the point lacks the label
	Value  float64
}

// Attribute is a key with its value.
type Attribute struct{ Key, Value string }

// schemaURL names the version of the semantic conventions that the resource follows.
const schemaURL = "https://opentelemetry.io/schemas/1.38.0"

// scopeName is the name of the instrumentation scope.
const scopeName = "pktvisor"

// cumulative is AGGREGATION_TEMPORALITY_CUMULATIVE, and noValue the flag of a point that says that a series has ended.
const (
	cumulative = 2
	noValue    = 1
)

// maxMinutes is the number of finished minutes that a push has at most, for a window whose pushes failed.
const maxMinutes = 5

// encoder makes the message of a push. It is used by one goroutine, and keeps its memory for the next push.
type encoder struct {
	cfg *Config
	out wire
	// points are the points of the window that is being written, by section, metric and family.
	points [][][]wire
	// now is the time of the push.
	now time.Time
	// attributes are the fields of the present window's attributes, for number points and for histograms.
	numbers, histograms wire
	// acked is what the receiver has of each window, and sent what it will have if it takes the present message.
	acked, sent map[windowKey]*minuteSent
	// count is the number of points.
	count int
}

type windowKey struct{ policy, tap, handler string }

// minuteSent is the newest finished minute of a window that was sent.
type minuteSent struct {
	version any
	// rows are the labels of its rows, by family. A row that the next minute lacks has ended.
	rows map[familyKey][]string
}

// familyKey is the position of a family: section, metric, family.
type familyKey [3]int

// encode returns the message with the present state of the windows. It is valid until the next call.
func (e *encoder) encode(now time.Time, windows []Window, own []Own) []byte {
	e.now, e.out, e.count = now, e.out[:0], 0
	e.sent = make(map[windowKey]*minuteSent, len(windows))
	e.out.message(1, func() {
		e.out.message(1, func() { e.attributes(1, e.cfg.Resource) })
		for i := range windows {
			e.out.message(2, func() { e.window(&windows[i]) })
		}
		if len(own) > 0 {
			e.out.message(2, func() { e.own(own) })
		}
		e.out.text(3, schemaURL)
	})
	return e.out
}

// accepted records that the receiver has what was encoded last.
func (e *encoder) accepted() { e.acked = e.sent }

// attributes appends a repeated field of attributes.
func (e *encoder) attributes(number int, list []Attribute) {
	for _, a := range list {
		e.out.attribute(number, a.Key, a.Value)
	}
}

// attribute appends a KeyValue.
func (w *wire) attribute(number int, key, value string) {
	w.message(number, func() {
		w.text(1, key)
		w.message(2, func() {
			w.tag(1, typeBytes) // also if it is empty
			w.number(uint64(len(value)))
			*w = append(*w, value...)
		})
	})
}

// scope appends the scope of a window.
func (e *encoder) scope(list []Attribute) {
	e.out.message(1, func() {
		e.out.text(1, scopeName)
		e.out.text(2, e.cfg.Version)
		e.attributes(3, list)
	})
}

// window appends a ScopeMetrics.
func (e *encoder) window(w *Window) {
	about := []Attribute{{"policy", w.Policy}}
	if w.Tap != "" {
		about = append(about, Attribute{"tap", w.Tap})
	}
	if w.Handler != "" {
		about = append(about, Attribute{"handler", w.Handler})
	}
	e.scope(about)
	if e.numbers, e.histograms = nil, nil; !w.Plain {
		for _, a := range about {
			e.numbers.attribute(numberAttributes, a.Key, a.Value)
			e.histograms.attribute(histogramAttributes, a.Key, a.Value)
		}
	}
	e.clear(w.Tables)
	since := uint64(min(w.Since.UnixNano(), e.now.UnixNano()))
	e.collect(w, w.Totals(), metric.SinceStart, pointTime{since, uint64(e.now.UnixNano())}, nil)
	second := e.now.Add(-minute.Whole).Unix() - 1
	w.Second(second, func(b *metric.Bucket) {
		if b == nil {
			b = metric.NewBucket(w.Tables)
		}
		e.collect(w, b, metric.LastSecond, pointTime{nanos(second), nanos(second + 1)}, nil)
	})
	e.minutes(w)
	e.metrics(w.Tables)
}

// nanos returns a Unix time in nanoseconds.
func nanos(second int64) uint64 { return uint64(max(second, 0)) * 1e9 }

// minutes collects the finished minutes that the receiver does not have, oldest first: the newest one at first, and
// maxMinutes at most.
func (e *encoder) minutes(w *Window) {
	key := windowKey{w.Policy, w.Tap, w.Handler}
	before := e.acked[key]
	list := w.Minutes()
	if len(list) == 0 {
		return
	}
	most := maxMinutes
	if before == nil {
		before, most = &minuteSent{}, 1
	} else if i := slices.IndexFunc(list, func(m window.Minute) bool { return m.Version == before.version }); i >= 0 {
		list = list[i+1:]
	}
	list = list[max(len(list)-most, 0):]
	last := before
	for _, m := range list {
		b := m.Bucket()
		if b == nil {
			continue // the window has dropped it meanwhile
		}
		sent := &minuteSent{version: m.Version, rows: make(map[familyKey][]string)}
		at := pointTime{nanos(m.Start), nanos(m.End)}
		e.collect(w, b, metric.LastMinute, at, sent.rows)
		e.endRows(w, last.rows, sent.rows, at)
		last = sent
	}
	e.sent[key] = last
}

// endRows appends a point without a value for each row of the minute before that the present minute does not have.
func (e *encoder) endRows(w *Window, before, now map[familyKey][]string, at pointTime) {
	for f, labels := range before {
		if f[0] >= len(w.Tables) || f[1] >= len(w.Tables[f[0]].Descs) {
			continue // the policy has other tables than before
		}
		d := &w.Tables[f[0]].Descs[f[1]]
		families := d.Families()
		if f[2] >= len(families) {
			continue
		}
		for _, label := range labels {
			if !slices.Contains(now[f], label) {
				e.number(f, at, families[f[2]].Label, label, func(p *wire) { p.varint(8, noValue) })
			}
		}
	}
}

// pointTime is the time that a point covers, in nanoseconds of Unix time.
type pointTime struct{ start, end uint64 }

// The numbers of the field with the attributes of a point.
const (
	numberAttributes    = 7
	histogramAttributes = 1
)

// clear makes room for the points of the tables.
func (e *encoder) clear(tables []*metric.Table) {
	for len(e.points) < len(tables) {
		e.points = append(e.points, nil)
	}
	for i, t := range tables {
		for len(e.points[i]) < len(t.Descs) {
			e.points[i] = append(e.points[i], nil)
		}
		for k := range e.points[i] {
			for f := range e.points[i][k] {
				e.points[i][k][f] = e.points[i][k][f][:0]
			}
		}
	}
}

// family returns the points of a family.
func (e *encoder) family(f familyKey) *wire {
	list := &e.points[f[0]][f[1]]
	for len(*list) <= f[2] {
		*list = append(*list, nil)
	}
	return &(*list)[f[2]]
}

// number adds a point of a number.
func (e *encoder) number(f familyKey, at pointTime, key, label string, value func(p *wire)) {
	e.count++
	p := e.family(f)
	p.message(1, func() {
		p.raw(e.numbers)
		if key != "" {
			p.attribute(numberAttributes, key, label)
		}
		p.fixed(2, at.start)
		p.fixed(3, at.end)
		value(p)
	})
}

// asInt and asDouble append the value of a NumberDataPoint.
func (w *wire) asInt(v int64)      { w.fixed(6, uint64(v)) }
func (w *wire) asDouble(v float64) { w.double(4, v) }

// asCount appends a counter, which is a double if no int64 can hold it.
func (w *wire) asCount(v uint64) {
	if v > math.MaxInt64 {
		w.asDouble(float64(v))
		return
	}
	w.asInt(int64(v))
}

// collect adds the points of one span from a bucket. rows, unless it is nil, gets the labels.
func (e *encoder) collect(w *Window, b *metric.Bucket, span metric.Span, at pointTime, rows map[familyKey][]string) {
	o := metric.SampleOptions{Second: int64(at.start / 1e9), Rows: e.cfg.Rows}
	for i, s := range b.Sections {
		o.Skip = func(k int) bool { return slices.Contains(e.cfg.DisableGroups, s.Table.Descs[k].Group) }
		labels := make(map[familyKey]string)
		s.Samples(span, o, func(x metric.Sample) {
			f, d := familyKey{i, x.Metric, x.Family}, &s.Table.Descs[x.Metric]
			if x.Histogram != nil {
				e.count++
				p := e.family(f)
				p.message(1, func() {
					p.raw(e.histograms)
					p.fixed(2, at.start)
					p.fixed(3, at.end)
					p.appendHistogram(x.Histogram, d.BaseScale(), d.InBase, e.cfg.Scale)
				})
				return
			}
			key, known := labels[f]
			if !known {
				key = d.Families()[x.Family].Label
				labels[f] = key
			}
			if rows != nil && key != "" {
				rows[f] = append(rows[f], x.Label)
			}
			e.number(f, at, key, x.Label, func(p *wire) {
				switch d.Kind {
				case metric.KindCounter:
					p.asCount(s.Counter(x.Metric))
				case metric.KindGauge:
					p.asInt(s.Gauge(x.Metric))
				default:
					p.asDouble(x.Value)
				}
			})
		})
	}
}

// metrics appends a Metric for each family that has points.
func (e *encoder) metrics(tables []*metric.Table) {
	for i, t := range tables {
		for k := range t.Descs {
			if !slices.ContainsFunc(e.points[i][k], func(points wire) bool { return len(points) > 0 }) {
				continue
			}
			d := &t.Descs[k]
			for f, family := range d.Families() {
				if f < len(e.points[i][k]) && len(e.points[i][k][f]) > 0 {
					e.metric(family.Name, family.Help, unitOf(d, f), family.Type, e.points[i][k][f])
				}
			}
		}
	}
}

// metric appends a Metric.
func (e *encoder) metric(name, help, unit string, typ metric.FamilyType, points wire) {
	e.out.message(2, func() {
		e.out.text(1, name)
		e.out.text(2, help)
		e.out.text(3, unit)
		switch typ {
		case metric.FamilyCounter:
			e.out.message(7, func() {
				e.out.raw(points)
				e.out.varint(2, cumulative)
				e.out.varint(3, 1) // it is monotonic
			})
		case metric.FamilyHistogram:
			e.out.message(10, func() {
				e.out.raw(points)
				e.out.varint(2, cumulative)
			})
		default:
			e.out.message(5, func() { e.out.raw(points) })
		}
	})
}

// own appends the ScopeMetrics of the agent itself.
func (e *encoder) own(list []Own) {
	e.scope([]Attribute{{"part", "agent"}})
	since, now := uint64(e.cfg.Started.UnixNano()), uint64(e.now.UnixNano())
	var points wire
	for i := range list {
		m := &list[i]
		points = points[:0]
		for _, x := range m.Points {
			e.count++
			points.message(1, func() {
				for k, name := range m.Labels {
					if x.Labels[k] == "" {
						continue
					}
					points.attribute(numberAttributes, name, strings.ToValidUTF8(x.Labels[k], "\ufffd"))
				}
				points.fixed(2, min(since, now))
				points.fixed(3, now)
				points.asDouble(x.Value)
			})
		}
		if len(points) > 0 {
			typ := metric.FamilyCounter
			if m.Gauge {
				typ = metric.FamilyGauge
			}
			e.metric(m.Name, m.Help, "", typ, points)
		}
	}
}
