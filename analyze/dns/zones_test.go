package dns

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pktvisor/metric"
	"pktvisor/psl"
	"pktvisor/sketch"
)

// ask sends a query for a name, and an answer with the given rcode.
func (l *lab) ask(i int, name string, rcode uint16) {
	l.frame(udp(farClient, hostServer, query(uint16(i), name))).frame(udp(hostServer, farClient, response(uint16(i), rcode, name)))
}

// TestZones: distinct names strictly below each zone count once, whatever their messages, in the tables of registered domains and of
// the last labels.
func TestZones(t *testing.T) {
	l := newLab(t, nil).at(second)
	names := map[string]bool{}
	for round := range 3 {
		for i := range 100 {
			for _, name := range []string{
				fmt.Sprintf("h%d.example.co.uk", i), fmt.Sprintf("h%d.a.example.co.uk", i/2), fmt.Sprintf("w%d.example.com", i/10), "example.com", "com", "example.co.uk",
				fmt.Sprintf("d%d.com", i), "www.google.com", fmt.Sprintf("d%d.co.uk", i/5),
			} {
				l.ask(round*1000+i, name, 0)
				names[name] = true
			}
		}
		l.at(l.now + second)
		l.flush()
	}
	want := [numZones]map[string]uint64{zoneRegistered: {}, zone2: {}, zone3: {}, zoneBits: {}}
	for name := range names {
		labels := strings.Split(name, ".")
		n := len(labels)
		if n > 2 {
			want[zone2]["."+strings.Join(labels[n-2:], ".")]++
		}
		if n > 3 {
			want[zone3]["."+strings.Join(labels[n-3:], ".")]++
		}
		registered := 2
		if strings.HasSuffix(name, ".co.uk") {
			registered = 3
		}
		if n > registered {
			zone := strings.Join(labels[n-registered:], ".")
			want[zoneRegistered][zone]++
			want[zoneBits][zone] += entropy(strings.Join(labels[:n-registered], ""))
		}
	}
	m := metric.Of[Metrics](l.section)
	for i, table := range zoneTables {
		top := table.table(m)
		rows := top.Top(nil, 1000)
		if len(rows) != len(want[i]) {
			t.Errorf("%s has %d rows, want %d", table.path, len(rows), len(want[i]))
		}
		for _, row := range rows {
			if n := want[i][row.Key]; row.Lower != n || row.Upper != n {
				t.Errorf("%s: %v, want %d", table.path, row, n)
			}
		}
	}
}

// entropy returns the entropy of the letters of s times their number, in whole bits and at least 1.
func entropy(s string) uint64 {
	bits := 0.0
	for c := range 256 {
		if n := float64(strings.Count(s, string([]byte{byte(c)}))); n > 0 {
			bits -= n * math.Log2(n/float64(len(s)))
		}
	}
	return max(uint64(bits+1e-3), 1)
}

// TestInformation: the weight of a name is the entropy of its bytes times their number.
func TestInformation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, s := range []string{"www", "mail", "static-assets", "a", strings.Repeat("ab", 31), "k7f3q9x2m1z8"} {
		if got, want := information(wireLabels(s)), entropy(s); uint64(got) != want {
			t.Errorf("%s has %d bits, want %d", s, got, want)
		}
	}
	for range 1000 {
		var labels []string
		for range 1 + r.IntN(4) {
			b := make([]byte, 1+r.IntN(60))
			for i := range b {
				b[i] = byte('a' + r.IntN(1+r.IntN(26)))
			}
			labels = append(labels, string(b))
		}
		wire := wireLabels(labels...)
		if len(wire) > 254 {
			continue
		}
		if got, want := uint64(information(wire)), entropy(strings.Join(labels, "")); got != want && got+1 != want { // entropy rounds up a little
			t.Errorf("%q has %d bits, want %d", labels, got, want)
		}
		if most := maxInformation(len(wire) + 1); uint64(information(wire)) > most {
			t.Errorf("%q has more than %d bits", labels, most)
		}
	}
	if n := testing.AllocsPerRun(100, func() { information(wireLabels("a")[:0]) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
}

func wireLabels(labels ...string) (wire []byte) {
	for _, l := range labels {
		wire = append(append(wire, byte(len(l))), l...)
	}
	return wire
}

// attack sends a second of traffic: an attack of random names below victim.net among names of a power law, and a popular zone with
// few names.
func (l *lab) attack(r *rand.Rand, zipf *rand.Zipf, random int) {
	for i := range 4000 {
		site := zipf.Uint64()
		l.ask(i, fmt.Sprintf("h%d.site%d.org", r.IntN(1+int(20_000/(site+10))), site), 0)
		if i%4 == 0 {
			l.ask(i, fmt.Sprintf("www%d.popular.com", i%20), 0)
		}
	}
	for i := range random {
		l.ask(i, fmt.Sprintf("%08x.victim.net", r.Uint32()), 3)
		if i%50 == 0 {
			l.ask(i, "www.victim.net", 0)
		}
	}
	l.at(l.now + second)
	l.flush()
}

// TestAttackedZone: within two seconds, the attacked zone is first by names, and a popular zone with few names is not. Its light
// names are one row from then on, and its popular name keeps its own.
func TestAttackedZone(t *testing.T) {
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(2, 2))
	zipf := rand.NewZipf(r, 1.2, 20, 5000)
	const random = 3000
	for range 3 {
		l.attack(r, zipf, 0)
	}
	m := metric.Of[Metrics](l.section)
	if rows := m.TopZones.Top(nil, 1); rows[0].Key == "victim.net" || rows[0].Key == "popular.com" {
		t.Errorf("before the attack, the first zone is %v", rows)
	}
	for range 2 {
		l.attack(r, zipf, random)
	}
	for _, top := range []*metric.Distinct{&m.TopZones, &m.TopZones2} {
		rows := top.Top(nil, 3)
		if zone := strings.TrimPrefix(rows[0].Key, "."); zone != "victim.net" || rows[0].Lower > 2*random+1 || rows[0].Upper < 2*random || rows[0].Lower < random {
			t.Errorf("after two seconds, the first zones are %v", rows)
		}
	}
	if lower, upper := m.TopZones.Bounds([]byte("popular.com")); lower > 5 || upper < 5 {
		t.Errorf("the popular zone has %d to %d names", lower, upper)
	}
	for range 3 {
		l.attack(r, zipf, random)
	}
	rows := m.TopNXDomain.Top(nil, 3)
	if rows[0].Key != "*.victim.net" || rows[0].Lower > 5*random || rows[0].Lower < 3*random {
		t.Errorf("the first rows of NXDOMAIN are %v", rows)
	}
	if lower, upper := m.TopNoError.Bounds([]byte("www.victim.net")); lower > 5*random/50 || upper < 5*random/50 || lower < 280 {
		t.Errorf("www.victim.net has %d to %d, want %d", lower, upper, 5*random/50)
	}
	// All NXDOMAIN responses are in the row or were counted before the folding began.
	if total := m.TopNXDomain.Total(); total != 5*random {
		t.Errorf("%d NXDOMAIN responses at names, want %d", total, 5*random)
	}
	b := metric.NewBucket([]*metric.Table{Table})
	b.Merge(&metric.Bucket{Sections: []*metric.Section{l.section}})
	names, _ := m.TopZones.Bounds([]byte("victim.net"))
	also, _ := m.TopZones2.Bounds([]byte(".victim.net"))
	want := fmt.Sprintf(`{"name":"*.victim.net","estimate":%d,`, rows[0].Lower)
	if got := string(b.AppendJSON(nil, metric.JSONOptions{Key: "1m"})); !strings.Contains(got, want) || !strings.Contains(got, fmt.Sprintf(`"names":%d}`, max(names, also))) {
		t.Errorf("no row %s… with %d names in\n%s", want, max(names, also), got)
	}
}

// TestFoldEnds: a zone stays folded from one minute to the next, and not for long after the attack.
func TestFoldEnds(t *testing.T) {
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(3, 3))
	zipf := rand.NewZipf(r, 1.2, 20, 5000)
	top := func() []sketch.Row { return metric.Of[Metrics](l.section).TopNXDomain.Top(nil, 2) }
	for range 3 {
		l.attack(r, zipf, 3000)
	}
	l.section = Table.New() // the next minute
	l.attack(r, zipf, 500)
	if rows := top(); len(rows) != 1 || rows[0] != (sketch.Row{Key: "*.victim.net", Lower: 500, Upper: 500}) {
		t.Errorf("in the next minute: %v", rows)
	}
	l.section = Table.New()
	l.at(l.now + foldFor)
	l.attack(r, zipf, 500)
	if rows := top(); len(rows) != 2 || rows[0].Key == "*.victim.net" {
		t.Errorf("after the attack: %v", rows)
	}
}

// TestFoldOfSubzone: only the attacked part of a registered domain is folded, below any public suffix, and never a suffix itself.
func TestFoldOfSubzone(t *testing.T) {
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(4, 4))
	for i := range 8000 {
		l.ask(i, fmt.Sprintf("%08x.a.victim.com", r.Uint32()), 3)
		l.ask(i, fmt.Sprintf("%08x.victim.co.uk", r.Uint32()), 3)
		l.ask(i, fmt.Sprintf("www.%08x.co.uk", r.Uint32()), 3)
		l.ask(i, fmt.Sprintf("%08x.com", r.Uint32()), 3)
		if i < 300 {
			l.ask(i, fmt.Sprintf("h%d.victim.com", i), 3)
		}
	}
	m := l.flush()
	rows := m.TopNXDomain.Top(nil, 5)
	want := []sketch.Row{{Key: "*.a.victim.com", Lower: 8000}, {Key: "*.victim.co.uk", Lower: 8000}}
	for i := range want {
		if rows[i].Key != want[i].Key || rows[i].Lower != want[i].Lower {
			t.Errorf("row %d is %v, want %v", i, rows[i], want[i])
		}
	}
	if strings.HasPrefix(rows[2].Key, "*") || rows[2].Lower > 1 {
		t.Errorf("also folded: %v", rows[2])
	}
}

// TestLiteralAsterisk: a name whose first label is an asterisk is not the row of a folded zone.
func TestLiteralAsterisk(t *testing.T) {
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 4000 {
		l.ask(i, fmt.Sprintf("%08x.victim.com", r.Uint32()), 3)
		if i%100 == 0 { // more often than a light name
			l.ask(i, "*.victim.com", 3)
		}
	}
	l.ask(1, "*", 3)
	l.ask(1, "a.*.example", 3)
	m := l.flush()
	for key, want := range map[string]uint64{"*.victim.com": 4000, `\*.victim.com`: 40, `\*`: 1, "a.*.example": 1} {
		if lower, upper := m.TopNXDomain.Bounds([]byte(key)); lower != want || upper != want {
			t.Errorf("%s has %d to %d, want %d", key, lower, upper, want)
		}
	}
}

// TestTunnel: a tunnel with a few names a second carries more information than a zone of a content network with many more names.
func TestTunnel(t *testing.T) {
	l := newLab(t, nil).at(second)
	r := rand.New(rand.NewPCG(6, 6))
	const base32 = "abcdefghijklmnopqrstuvwxyz234567"
	for i := range 3000 {
		l.ask(i, fmt.Sprintf("e%d.dsc%c.akamaiedge.net", 1000+i, 'a'+i%4), 0)
		l.ask(i, fmt.Sprintf("d%d.cloudfront.net", i), 0)
		if i%10 == 0 {
			var labels []string
			for range 4 {
				b := make([]byte, 50)
				for k := range b {
					b[k] = base32[r.IntN(32)]
				}
				labels = append(labels, string(b))
			}
			l.ask(i, strings.Join(labels, ".")+".t.example.org", 0)
		}
	}
	m := l.flush()
	rows := m.TopZoneBits.Top(nil, 3)
	if rows[0].Key != "example.org" || rows[0].Lower < 300*800 || rows[0].Upper > 300*1020 {
		t.Errorf("%v, want the tunnel first, with 300 names of 200 letters", rows)
	}
	if rows := m.TopZones.Top(nil, 1); rows[0].Key == "example.org" {
		t.Errorf("the tunnel is first by names: %v", rows)
	}
}

// TestOtherSuffixes: another public suffix list takes effect at the next flush.
func TestOtherSuffixes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "list.dat")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("com\n")
	suffixes, err := psl.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, func(c *Config) { c.Suffixes = suffixes }).at(second)
	zones := func() (keys []string) {
		l.ask(1, "a.b.example.com", 0)
		for _, row := range l.flush().TopZones.Top(nil, 9) {
			keys = append(keys, row.Key)
		}
		return keys
	}
	if got := zones(); !slices.Equal(got, []string{"example.com"}) {
		t.Error(got)
	}
	write("com\nexample.com\n")
	if err := suffixes.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := zones(); !slices.Equal(got, []string{"b.example.com", "example.com"}) {
		t.Error(got)
	}
	write("com\n\n#\n")
	if err := suffixes.Reload(); err == nil || suffixes.List().Rules() != 2 {
		t.Errorf("%v, %d rules", err, suffixes.List().Rules())
	}
}
