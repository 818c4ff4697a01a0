package timeline

import (
	"fmt"
	"math"
	"net/url"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/metric"
	"pktvisor/window"
)

// TestChangeBeyondBounds: only what the bounds of both sides cannot explain is a change.
func TestChangeBeyondBounds(t *testing.T) {
	d := &agent.Tables[0].Descs[0]
	add := func(a, b api.Bounds) api.Change {
		c := comparison{most: 1}
		if c.add(d, "x", a, b, 100); c.compared != 1 {
			t.Errorf("%d compared", c.compared)
		}
		if len(c.list) == 0 {
			return api.Change{}
		}
		return c.list[0]
	}
	b := func(lower, upper float64) api.Bounds { return api.Bounds{Lower: lower, Upper: upper} }
	for _, c := range []struct {
		a, b api.Bounds
		want float64
	}{{b(10, 12), b(3, 7), 3}, {b(3, 7), b(10, 12), -3}, {b(3, 7), b(6, 12), 0}, {b(0, 5), b(5, 9), 0}} {
		if got := add(c.a, c.b); got.Change != c.want || got.Score != math.Abs(c.want)/100 {
			t.Errorf("%v against %v: %+v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestSizesOfOverlaps: the overlap of sets of known sizes is within the stated error.
func TestSizesOfOverlaps(t *testing.T) {
	for _, n := range []int{100, 50_000} {
		var sets [3]set
		for i := range sets {
			sets[i].sketch = new(metric.Cardinality)
		}
		for i := range n {
			for k, from := range [3]int{0, n / 2, 10 * n} {
				sets[k].sketch.Add(fmt.Appendf(nil, "key %d", from+i))
			}
		}
		for i := range sets {
			sets[i].DistinctSet = sizeOf(fmt.Sprint(i), sets[i].sketch)
		}
		for _, c := range []struct{ a, b, want int }{{0, 1, n / 2}, {0, 2, 0}, {0, 0, n}} {
			p := common(&sets[c.a], &sets[c.b])
			if want := float64(c.want); p.Lower > want || p.Upper < want || p.Error > 0.05*float64(n) || math.Abs(p.Overlap-want) > p.Error {
				t.Errorf("%d keys, %d and %d: %+v, want %d", n, c.a, c.b, p, c.want)
			}
		}
	}
}

// TestTimes: times may be given in several forms.
func TestTimes(t *testing.T) {
	const now = 1_796_000_000
	for text, want := range map[string]int64{
		"now": now, "0": 0, "1795996800": 1795996800, "-24h": now - 86400, "-7d": now - 7*86400, "-2w": now - 14*86400, "-90s": now - 90, "-1h30m": now - 5400,
		"2026-11-29T12:00:00Z": 1795953600, "2026-11-29T13:00:00+01:00": 1795953600,
		"": -1, "-": -1, "-d": -1, "--1h": -1, "-1y": -1, "1e9": -1, "yesterday": -1, "9223372036854775807": -1, "-9223372036854775807": -1, "-999999999999d": -1, "-1e300h": -1, "1969-12-31T00:00:00Z": -1,
	} {
		got, ok := timeOf(text, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, ok, want)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, q := range []string{"from=-24h&to=now&tag=pop=a,b=c&host=x", "metric=dns.wire_packets.total&by=pop&step=5m", "rows=1&limit=2&measure=share&base_tag=x=y"} {
		f.Add(q)
	}
	now := time.Unix(1_796_000_000, 0)
	w := window.New(window.Config{Tables: agent.Tables, Periods: 5, Shards: 1})
	h := &timeline{Config{Source: NewWindow(w, agent.Tables, "default", func() time.Time { return now }), Tables: agent.Tables, Now: func() time.Time { return now }}}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		if from, to, err := h.rangeOf(q); err == nil && (from < 0 || from >= to || from%60 != 0 || to%60 != 0 || to > now.Unix()+60) {
			t.Errorf("%q: from %d to %d", text, from, to)
		}
		if s, err := h.seriesOf(t.Context(), q); err == nil && ((s.to-s.from)/s.step*int64(s.lines) > maxPoints || s.from < 0 || s.from%s.step != 0 || s.to%s.step != 0) {
			t.Errorf("%q: %+v", text, s)
		}
	})
}
