package successor

import (
	"strconv"
	"strings"

	"pktvisor/metric"
)

// Labels are the labels of all samples of a bucket. Those that are "" are left out.
type Labels struct {
	Policy, Handler, Tap string
	// Instance is the value of the successor's --prom-instance.
	Instance string
}

// AppendPrometheus appends a bucket as the successor prints it for a handler, in Prometheus' text format. Use [Exposition] to show
// several handlers or policies in one answer: each family must occur once.
func AppendPrometheus(dst []byte, b *metric.Bucket, h Handler, labels Labels) []byte {
	var e Exposition
	e.Add(b, h, labels)
	return e.AppendTo(dst)
}

// Exposition collects the samples of several handlers, so that those of a family come together. The zero value is empty. An
// Exposition is used by one goroutine.
type Exposition struct {
	families []family
	at       map[string]int // the position of a family, by name
	seen     map[seen]bool
}

// family are the samples of one name.
type family struct {
	name string
	item *item
	body []byte
}

// seen identifies the samples of a handler.
type seen struct {
	labels        Labels
	kind, version string
}

// Add adds a finished bucket of a handler. It adds nothing where [AppendHandler] appends nothing. It returns false, and adds nothing,
// if a handler of the same type, version and labels was added before: Prometheus refuses two samples of the same labels.
func (e *Exposition) Add(b *metric.Bucket, h Handler, labels Labels) bool {
	f := formOf(&h)
	if f == nil {
		return true
	}
	v := view{bucket: b, form: f, handler: &h, enabled: f.enabledBy(&h)}
	key := seen{labels, f.kind, f.version}
	switch {
	case !v.shown():
		return true
	case e.seen[key]:
		return false
	}
	if e.seen == nil {
		e.at, e.seen = make(map[string]int), make(map[seen]bool)
	}
	e.seen[key] = true
	s := sampler{labels: labels.append(nil)}
	v.walk(func(it *item, direction int, x value) {
		s.family = e.family(f, it)
		s.direction = direction
		s.value(it, x)
	})
	return true
}

// family returns the family of a metric.
func (e *Exposition) family(f *form, it *item) *family {
	name := it.prometheus(f)
	i, ok := e.at[name]
	if !ok {
		i = len(e.families)
		e.at[name] = i
		e.families = append(e.families, family{name: name, item: it})
	}
	return &e.families[i]
}

// prometheus returns the metric's name in Prometheus.
func (it *item) prometheus(f *form) string {
	prefix := it.prefix
	if prefix == "" {
		prefix = f.schema
	}
	return prefix + "_" + strings.ReplaceAll(it.path, ".", "_")
}

// types are the types of families, by kind.
var types = [...]string{counter: "gauge", distinct: "gauge", rate: "summary", quantiles: "summary", histogram: "histogram", table: "gauge"}

// AppendTo appends all families that have samples.
func (e *Exposition) AppendTo(dst []byte) []byte {
	for i := range e.families {
		f := &e.families[i]
		if len(f.body) == 0 {
			continue
		}
		dst = append(append(append(append(append(dst, "# HELP "...), f.name...), ' '), f.item.help...), '\n')
		dst = append(append(append(append(append(dst, "# TYPE "...), f.name...), ' '), types[f.item.kind]...), '\n')
		dst = append(dst, f.body...)
	}
	return dst
}

// append appends the labels as name="value", with a comma behind each.
func (l *Labels) append(dst []byte) []byte {
	for _, label := range [...]struct{ name, value string }{{"handler", l.Handler}, {"instance", l.Instance}, {"policy", l.Policy}, {"tap", l.Tap}} {
		if label.value != "" {
			dst = appendLabel(dst, label.name, label.value)
		}
	}
	return dst
}

// appendLabel appends a label and a comma.
func appendLabel(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), '=', '"')
	for _, r := range value { // invalid UTF-8 becomes U+FFFD
		switch r {
		case '\\', '"':
			dst = append(dst, '\\', byte(r))
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, string(r)...)
		}
	}
	return append(dst, '"', ',')
}

// sampler appends the samples of a handler to their families.
type sampler struct {
	labels    []byte // of every sample
	direction int
	*family
}

// sample starts a sample with one more label, if name is not "". The caller appends the value and a newline.
func (s *sampler) sample(suffix, name, value string) {
	s.body = append(append(append(s.body, s.name...), suffix...), '{')
	if s.direction != whole {
		s.body = appendLabel(s.body, "direction", directions[s.direction])
	}
	if name != "" {
		s.body = appendLabel(s.body, name, value)
	}
	s.body = append(s.body, s.labels...)
	if n := len(s.body) - 1; s.body[n] == ',' {
		s.body[n] = '}'
	} else {
		s.body = append(s.body, '}')
	}
	s.body = append(s.body, ' ')
}

// uint appends a sample with a whole number.
func (s *sampler) uint(suffix, name, value string, v uint64) {
	s.sample(suffix, name, value)
	s.body = append(strconv.AppendUint(s.body, v, 10), '\n')
}

// value appends the samples of a metric.
func (s *sampler) value(it *item, x value) {
	switch it.kind {
	case counter, distinct:
		s.uint("", "", "", x.n)
	case rate:
		var values [len(shares)]uint64
		for i, v := range x.rate(&values) {
			s.quantile(shares[i].label, x, v)
		}
		seconds, events := x.seconds.Sum()
		s.summary(x, seconds, events)
	case quantiles:
		for _, q := range shares {
			s.quantile(q.label, x, x.values.Quantiles().Quantile(q.q))
		}
		s.summary(x, x.values.Count(), x.values.Sum())
	case histogram:
		for bound, n := range cumulative(&x.values.Histogram) {
			s.uint("_bucket", "le", strconv.FormatUint(bound, 10), n)
		}
		s.uint("_bucket", "le", "+Inf", x.values.Count())
		s.summary(x, x.values.Count(), x.values.Sum())
	case table:
		for _, r := range x.rows {
			s.uint("", it.label, spelled(it.label, r.Key), r.Lower)
		}
	}
}

// summary appends the sum and the number of all values.
func (s *sampler) summary(x value, count, sum uint64) {
	s.sample("_sum", "", "")
	s.body = append(strconv.AppendFloat(s.body, float64(sum)*x.scale, 'g', 15, 64), '\n')
	s.uint("_count", "", "", count)
}

// quantile appends a quantile of a rate or distribution, in its unit.
func (s *sampler) quantile(share string, x value, v uint64) {
	s.sample("", "quantile", share)
	s.body = append(x.append(s.body, v), '\n')
}
