package exposition

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// End returns what ends a body of the format.
func (f Format) End() string {
	if f == OpenMetrics {
		return "# EOF\n"
	}
	return ""
}

// helpText and helpOpenMetrics escape a help in the two text formats.
var (
	helpText        = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	helpOpenMetrics = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (f *Family) textHead() []byte {
	return []byte("# HELP " + f.name + " " + helpText.Replace(f.help) + "\n# TYPE " + f.name + " " + f.typ.String() + "\n")
}

func (f *Family) openMetricsHead() []byte {
	typ := f.typ.String()
	if f.unknown {
		typ = "unknown"
	}
	head := "# HELP " + f.base + " " + helpOpenMetrics.Replace(f.help) + "\n# TYPE " + f.base + " " + typ + "\n"
	if u := f.unit(); u != "" {
		head += "# UNIT " + f.base + " " + u + "\n"
	}
	return []byte(head)
}

// text writes a line: the name with a suffix, the labels and one more unless its name is "", and a value.
func (e *Encoder) text(suffix string, v float64, labels []Label, more Label) {
	e.dst = append(append(e.dst, e.family.name...), suffix...)
	e.textLabels(labels, more)
	e.dst = append(appendNumber(append(e.dst, ' '), v), '\n')
}

// textBucket writes the line of a classic bucket.
func (e *Encoder) textBucket(bound float64, n uint64, labels []Label) {
	var b [24]byte
	e.bucket(string(e.bound(b[:0], bound)), n, labels)
}

func (e *Encoder) textInf(n uint64, labels []Label) { e.bucket("+Inf", n, labels) }

func (e *Encoder) bucket(bound string, n uint64, labels []Label) {
	e.dst = append(append(e.dst, e.family.name...), "_bucket"...)
	e.textLabels(labels, Label{"le", bound})
	e.dst = append(strconv.AppendUint(append(e.dst, ' '), n, 10), '\n')
}

// created writes the line with the time of creation. The older text format has none.
func (e *Encoder) created(at time.Time, labels []Label) {
	if e.format != OpenMetrics || at.IsZero() || e.family.unknown {
		return
	}
	e.dst = append(append(e.dst, e.family.base...), "_created"...)
	e.textLabels(labels, Label{})
	e.dst = strconv.AppendFloat(append(e.dst, ' '), float64(at.UnixMilli())/1000, 'f', -1, 64)
	e.dst = append(e.dst, '\n')
}

func (e *Encoder) textLabels(labels []Label, more Label) {
	if len(labels) == 0 && more.Name == "" {
		return
	}
	separator := byte('{')
	for _, l := range labels {
		e.dst = appendLabel(append(e.dst, separator), l)
		separator = ','
	}
	if more.Name != "" {
		e.dst = appendLabel(append(e.dst, separator), more)
	}
	e.dst = append(e.dst, '}')
}

// appendLabel appends a label with its value in quotes.
func appendLabel(dst []byte, l Label) []byte {
	dst = append(append(dst, l.Name...), '=', '"')
	v := l.Value
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\ufffd")
	}
	for i := range len(v) {
		switch c := v[i]; c {
		case '\\', '"':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendNumber appends a number, as digits only if it is an integer that a float64 holds exactly.
func appendNumber(dst []byte, v float64) []byte {
	if math.Abs(v) < 1<<53 && v == math.Trunc(v) {
		return strconv.AppendInt(dst, int64(v), 10)
	}
	if math.IsInf(v, 1) {
		return append(dst, "+Inf"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64) // NaN and -Inf are spelt as the formats want
}

// bound appends a bound or quantile as Prometheus' own library writes it, so that series keep their names. OpenMetrics wants a
// fraction.
func (e *Encoder) bound(dst []byte, v float64) []byte {
	n := len(dst)
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	if e.format == OpenMetrics && !strings.ContainsAny(string(dst[n:]), ".eIN") {
		dst = append(dst, '.', '0')
	}
	return dst
}
