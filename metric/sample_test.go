package metric

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pktvisor/sketch"
)

// simMetrics is a section as the analyzers have it, with each kind that a sample scales.
type simMetrics struct {
	Total Counter       `metric:"total" sample:"seen" unit:"messages" help:"x"`
	Deep  Counter       `metric:"deep" sample:"taken" unit:"messages" help:"x"`
	Size  Histogram     `metric:"size" sample:"all" unit:"bytes" help:"x"`
	Took  Histogram     `metric:"took" unit:"us" help:"x"`
	Names Cardinality   `metric:"names" unit:"names" help:"x"`
	Top   Top           `metric:"top" unit:"messages" help:"x"`
	Bytes Top           `metric:"bytes" unit:"bytes" help:"x"`
	Zones Distinct      `metric:"zones" unit:"names" help:"x"`
	Amp   Amplification `metric:"amp" unit:"bytes" help:"x"`
}

var simTables = []*Table{Define[simMetrics]("sim")}

// simPair is a pair of addresses. In each second it sends so many messages of each key.
type simPair struct {
	hash    float64 // from 0 to 1
	class   int
	weights [numSimKeys]int
}

const (
	simKeys    = "vxr" // a key of many pairs, of few, and of one
	numSimKeys = len(simKeys)
	simSeconds = 6
)

// simSize is the size of a message of a key.
var simSize = [numSimKeys]int{100, 1200, 60}

// simMinute is a minute: the pairs of a host, and the share of the sample in each second.
type simMinute struct {
	pairs  []simPair
	shares [simSeconds]Share
}

// bucket counts a minute as a shard does.
func (m *simMinute) bucket(start int64) *Bucket {
	b := NewBucket(simTables)
	b.Cover(start, start+60)
	s := b.Sections[0]
	v := Of[simMetrics](s)
	for second, share := range m.shares {
		load := &Load{Bytes: new([LoadClasses]uint64)}
		n := SampleCounts{Share: share, Load: load}
		s.ShareOfKeys(share)
		s.ShareOfCounts(share)
		for _, p := range m.pairs {
			in := p.hash < float64(share)/float64(Whole)
			for k, w := range p.weights {
				size := simSize[k] * w
				n.Seen += uint64(w)
				n.SeenBytes += uint64(size)
				v.Size.RecordN(uint64(simSize[k]), uint64(w))
				if !in || w == 0 {
					continue
				}
				n.Taken += uint64(w)
				n.TakenBytes += uint64(size)
				load.Events[p.class] += uint32(w)
				load.Bytes[p.class] += uint64(size)
				key := []byte(simKeys[k : k+1])
				v.Top.Add(key, uint64(w))
				v.Bytes.Add(key, uint64(size))
				v.Amp.AddPrepared(sketch.Prepare(key), uint64(size), &sketch.Asked{})
				v.Took.RecordN(uint64(1000*(k+1)), uint64(w))
			}
		}
		v.Total += Counter(n.Seen)
		v.Deep += Counter(n.Taken)
		s.CountSample(start+int64(second), n.Seen, n.Taken)
		s.AddSample(n)
	}
	return b
}

// truth returns how many messages a minute has of a key.
func (m *simMinute) truth(k int) (n int) {
	for _, p := range m.pairs {
		n += simSeconds * p.weights[k]
	}
	return n
}

// simPopulations make the pairs of a host. The first key is that of an attack.
var simPopulations = map[string]func(rng *rand.Rand) []simPair{
	"a flood from forged addresses": func(rng *rand.Rand) (pairs []simPair) {
		for range 1000 {
			pairs = append(pairs, simPair{weights: [numSimKeys]int{1, 0, 0}})
		}
		for range 30 {
			pairs = append(pairs, simPair{weights: [numSimKeys]int{0, 4, 0}})
		}
		return append(pairs, simPair{weights: [numSimKeys]int{0, 1, 2}})
	},
	"few resolvers, very unequal": func(rng *rand.Rand) (pairs []simPair) {
		for i := range 300 {
			n := int(2000 / float64(1+i))
			pairs = append(pairs, simPair{weights: [numSimKeys]int{n / 2, n / 8, 0}})
		}
		return append(pairs, simPair{weights: [numSimKeys]int{0, 0, 200}})
	},
	"one pair has a third": func(rng *rand.Rand) (pairs []simPair) {
		for range 500 {
			pairs = append(pairs, simPair{weights: [numSimKeys]int{2, 0, 0}})
		}
		return append(pairs, simPair{weights: [numSimKeys]int{0, 500, 10}})
	},
}

// simSchedules are the shares of a minute's seconds, in percent.
var simSchedules = map[string][simSeconds]int{
	"50%":             {50, 50, 50, 50, 50, 50},
	"10%":             {10, 10, 10, 10, 10, 10},
	"1%":              {1, 1, 1, 1, 1, 1},
	"down in a flood": {100, 50, 12, 2, 2, 2},
	"up":              {5, 10, 20, 40, 80, 100},
}

// row is a row of a table with what it stands for.
type row struct {
	Name                                         string
	Estimate, Scaled, Scaled_lower, Scaled_upper uint64
}

type simJSON struct {
	Sim struct {
		Top, Bytes, Amp []row
		Took            row
	}
}

// misses counts how often a bound did not hold.
type misses struct{ below, above, n int }

func (m *misses) add(truth int, lower, upper uint64) {
	m.n++
	if uint64(truth) < lower {
		m.below++
	}
	if uint64(truth) > upper {
		m.above++
	}
}

// check fails if a bound held less often than it should.
func (m *misses) check(t *testing.T, what string) {
	t.Helper()
	if most := 0.025*float64(m.n) + 3*math.Sqrt(0.025*float64(m.n)); float64(max(m.below, m.above)) > most {
		t.Errorf("%s: of %d, the truth is below %d times and above %d times", what, m.n, m.below, m.above)
	}
}

func readSim(t *testing.T, b *Bucket) (rows map[string][]row) {
	t.Helper()
	var all map[string]simJSON
	text := b.AppendJSON(nil, JSONOptions{Key: "k"})
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	s := all["k"].Sim
	s.Took.Name = simKeys[:1]
	return map[string][]row{"top": s.Top, "bytes": s.Bytes, "amp": s.Amp, "took": {s.Took}}
}

// bounds returns the bounds of a key. A key without a row is not bounded from above.
func boundsOf(rows []row, key string) (lower, upper uint64) {
	i := slices.IndexFunc(rows, func(r row) bool { return r.Name == key })
	if i < 0 {
		return 0, math.MaxUint64
	}
	return rows[i].Scaled_lower, rows[i].Scaled_upper
}

// TestScaledBounds: what a row stands for has the bounds that it states: for pairs of equal and of very unequal weight, at any
// share, while the share changes, in a window of minutes with other shares, and in the merge of hosts. A sent bucket says the same.
func TestScaledBounds(t *testing.T) {
	trials := 16
	if testing.Short() {
		trials = 6
	}
	for name, populate := range simPopulations {
		for schedule, shares := range simSchedules {
			rng := rand.New(rand.NewPCG(uint64(len(name)), uint64(len(schedule))))
			all := map[string]*misses{}
			count := func(how string, b *Bucket, minutes ...*simMinute) {
				rows := readSim(t, b)
				for table, rows := range rows {
					for k := range numSimKeys {
						truth := 0
						for _, m := range minutes {
							truth += m.truth(k)
						}
						switch {
						case table == "took" && k == 0: // all keys together
							for _, m := range minutes {
								truth += m.truth(1) + m.truth(2)
							}
						case table == "took":
							continue
						case table != "top":
							truth *= simSize[k]
						}
						lower, upper := boundsOf(rows, simKeys[k:k+1])
						what := fmt.Sprintf("%s, %s, %s", name, schedule, how)
						if all[what] == nil {
							all[what] = new(misses)
						}
						all[what].add(truth, lower, upper)
					}
				}
			}
			for range trials {
				m := newSimMinute(rng, populate, shares)
				minute := m.bucket(600)
				count("a minute", minute, m)
				sent, err := ReadSnapshot(simTables, minute.AppendSnapshot(nil, SnapshotOptions{}))
				if err != nil {
					t.Fatal(err)
				}
				count("sent", sent, m)

				// The minute before was calm; the same pairs are in its sample.
				before := *m
				before.shares = [simSeconds]Share{Whole, Whole, Whole, Whole, Whole, Whole / 2}
				calm := before.bucket(540)
				calm.Seal(8192)
				window := m.bucket(600)
				window.Precede([]*Bucket{calm})
				count("a window", window, m, &before)

				// In six minutes, the errors of the same pairs add up.
				long, minutes := m.bucket(600), []*simMinute{m}
				var older []*Bucket
				for i := range int64(5) {
					b := m.bucket(540 - 60*i)
					b.Seal(8192)
					older, minutes = append(older, b), append(minutes, m)
				}
				long.Precede(older)
				count("six minutes", long, minutes...)

				// Another host has other pairs, and another secret.
				o := newSimMinute(rng, populate, simSchedules["10%"])
				hosts := NewBucket(simTables)
				hosts.Merge(minute)
				hosts.Merge(o.bucket(600))
				count("two hosts", hosts, m, o)
				merger := NewMerger(simTables)
				merged := NewBucket(simTables)
				for _, b := range []*Bucket{minute, o.bucket(600)} {
					if _, err := merger.Open(b.AppendSnapshot(nil, SnapshotOptions{})); err != nil {
						t.Fatal(err)
					}
					merger.AddTo(merged)
				}
				count("two hosts, sent", merged, m, o)
			}
			for what, m := range all {
				m.check(t, what)
			}
		}
	}
}

func newSimMinute(rng *rand.Rand, populate func(*rand.Rand) []simPair, percents [simSeconds]int) *simMinute {
	m := &simMinute{pairs: populate(rng)}
	for i := range m.pairs {
		m.pairs[i].hash, m.pairs[i].class = rng.Float64(), rng.IntN(LoadClasses)
	}
	for i, p := range percents {
		m.shares[i] = Percent(p)
	}
	return m
}

// TestScaledWidth: the interval of an attacked key that has most of the traffic is narrow, although only 1% is in the sample.
func TestScaledWidth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	m := &simMinute{}
	for range 200_000 {
		m.pairs = append(m.pairs, simPair{hash: rng.Float64(), class: rng.IntN(LoadClasses), weights: [numSimKeys]int{1, 0, 0}})
	}
	m.pairs = append(m.pairs, simPair{hash: 0.5, weights: [numSimKeys]int{0, 2000, 0}})
	for i := range m.shares {
		m.shares[i] = Percent(1)
	}
	lower, upper := boundsOf(readSim(t, m.bucket(600))["top"], "v")
	truth := float64(m.truth(0))
	if float64(lower) < 0.9*truth || float64(upper) > 1.1*truth || float64(lower) > truth || float64(upper) < truth {
		t.Errorf("%d to %d, want within 10%% of %.0f", lower, upper, truth)
	}
}

// TestWholeSampleSaysNothing: a sample of everything is not scaled, and a snapshot of it has nothing about a sample.
func TestWholeSampleSaysNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := newSimMinute(rng, simPopulations["one pair has a third"], [simSeconds]int{100, 100, 100, 100, 100, 100})
	b := m.bucket(600)
	text := string(b.AppendJSON(nil, JSONOptions{Key: "k"}))
	if strings.Contains(text, "scaled") || strings.Contains(text, "sampling") || strings.Contains(text, "rank_error") {
		t.Errorf("%s", text)
	}
	with := b.AppendSnapshot(nil, SnapshotOptions{})
	b.Sections[0].sampling = sampling{}
	if without := b.AppendSnapshot(nil, SnapshotOptions{}); string(with) != string(without) {
		t.Errorf("%d bytes, without a sampling %d", len(with), len(without))
	}
}
