package dns

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// selections are tables with some of the optional metrics: all but one, only one, and none. An optional metric is a top table
// or a cardinality.
func selections() map[string]*metric.Table {
	optional := func(d *metric.Desc) bool { return d.Kind.PerKey() || d.Kind == metric.KindCardinality }
	all := map[string]*metric.Table{
		"none": Table.Select(func(d *metric.Desc) bool { return !optional(d) }),
	}
	for _, group := range metric.Groups([]*metric.Table{Table}) {
		all["without group "+group] = Table.Select(func(d *metric.Desc) bool { return d.Group != group })
	}
	for i := range Table.Descs {
		if one := &Table.Descs[i]; optional(one) {
			all["without "+one.Path] = Table.Select(func(d *metric.Desc) bool { return d.Path != one.Path })
			all["only "+one.Path] = Table.Select(func(d *metric.Desc) bool { return !optional(d) || d.Path == one.Path })
		}
	}
	return all
}

// everything sends traffic that counts in every table, over two flushes, with more names than a small table holds.
func everything(l *lab) *lab {
	rng := rand.New(rand.NewPCG(3, 0))
	l.at(second)
	for range 2 {
		for _, f := range mixed(rng) {
			l.now += ms
			l.frame(f)
		}
		for i := range uint16(5000) {
			l.now += ms / 10
			name := fmt.Sprintf("n%d.d%d.example", i%4000, i%50)
			if i%5 == 0 {
				name = "x." + name
			}
			l.frame(udp(hostClient, farServer, query(i, name)))
			if i%7 == 0 {
				l.now += int64(i) * ms / 1000
			}
			answer := response(i, i%6, name)
			if i%12 == 0 {
				answer = testkit.AppendDNS(nil, i, testkit.DNSResponse, name, 1)
			}
			l.frame(udp(farServer, hostClient, answer))
		}
		l.frame(udp(farClient, hostServer, withOPT(query(9, "late.example"), 0, 0, 8, 0, 7, 0, 1, 24, 0, 198, 51, 100)))
		l.at(l.now + second)
		l.flush()
	}
	l.at(l.now + 10*second)
	l.flush()
	return l
}

func (l *lab) json(t *metric.Table) string {
	b := metric.NewBucket([]*metric.Table{t})
	b.Merge(&metric.Bucket{Sections: []*metric.Section{l.section}})
	return string(b.AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 20}))
}

// TestWanted: an analyzer with some of the metrics has the same values for these as an analyzer with all.
func TestWanted(t *testing.T) {
	all := everything(newLab(t, func(c *Config) { c.Locate = new(networks) }))
	for i := range Table.Descs {
		if d := &Table.Descs[i]; d.Kind == metric.KindTop && all.section.Top(i).Total() == 0 || d.Kind == metric.KindDistinct && all.section.Distinct(i).Added() == 0 {
			t.Errorf("the traffic has nothing for %s", d.Path)
		}
	}
	for name, table := range selections() {
		few := everything(newLab(t, func(c *Config) { c.Table, c.Locate = table, new(networks) }))
		if few.section.Table != table {
			t.Fatal("the section has another table")
		}
		if got, want := few.json(table), all.json(table); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestWantedMemory: an analyzer takes no memory for the tables that it lacks, and its maximum is less.
func TestWantedMemory(t *testing.T) {
	type held struct {
		names, suffixes, columns, answered, ecs, pairs, clients, amounts, small int // entries or tallies
	}
	memory := func(table *metric.Table) held {
		a := newLab(t, func(c *Config) { c.Table = table }).Analyzer
		h := held{names: cap(a.names.tally.Entries()), columns: cap(a.batch.bytes), answered: cap(a.answered)}
		if h.pairs, h.amounts = len(a.pairs.names), cap(a.amounts.names); a.clients.Tally != nil {
			h.clients = cap(a.clients.Entries())
		}
		for _, s := range []*suffixes{&a.batch.qname2, &a.batch.qname3} {
			if s.tally != nil {
				h.suffixes += cap(s.tally.Entries())
			}
		}
		if a.ecs != nil {
			h.ecs = cap(a.ecs.Entries())
		}
		for _, s := range []*smallTally{&a.qtypes, &a.rcodes, &a.opcodes, &a.udp} {
			if s.low != nil && s.high != nil {
				h.small++
			}
		}
		return h
	}
	all, tables, whole := memory(nil), selections(), Topic(nil, nil, 1).Memory(nil, 0)
	if want := (held{names: 1 << 15, suffixes: 1 << 16, columns: 1 << 15, answered: 1 << 16, ecs: 1 << 10, small: 4, clients: 1 << 15, pairs: 1 << 15, amounts: 1 << 15}); all != want {
		t.Errorf("%+v, want %+v", all, want)
	}
	for name, change := range map[string]func(*held){
		"none":                        func(h *held) { *h = held{names: 1} },
		"without group qname":         func(h *held) {}, // the zones need the suffixes
		"without group slow":          func(h *held) { h.answered = 0 },
		"without group ecs":           func(h *held) { h.ecs = 0 },
		"without group ports":         func(h *held) { h.small-- },
		"without group rcode":         func(h *held) {},
		"without top_qname2":          func(h *held) {},
		"without top_qname3":          func(h *held) {},
		"without top_qtype":           func(h *held) {}, // the amplification by type needs the same tally
		"without group clients":       func(h *held) { h.pairs = 0 },
		"without group amplification": func(h *held) { h.amounts = 0 },
		"only top_amp_prefix":         func(h *held) { *h = held{names: 1, clients: 1 << 15} },
		"only top_amp_qname":          func(h *held) { *h = held{names: 1 << 15, amounts: 1 << 15} },
		"only top_amp_qtype":          func(h *held) { *h = held{names: 1, small: 1} },
		"only top_clients":            func(h *held) { *h = held{names: 1, clients: 1 << 15} },
		"only clients.v6_64":          func(h *held) { *h = held{names: 1, clients: 1 << 15} },
		"only top_client_names":       func(h *held) { *h = held{names: 1 << 15, clients: 1 << 15, pairs: 1 << 15} },
		"without top_rcode":           func(h *held) { h.small-- },
		"without top_opcode":          func(h *held) { h.small-- },
		"only top_qtype":              func(h *held) { *h = held{names: 1, small: 1} },
		"only top_ecs":                func(h *held) { *h = held{names: 1, ecs: 1 << 10} },
		"only cardinality.qname":      func(h *held) { *h = held{names: 1 << 15} },
		"only top_qname2":             func(h *held) { *h = held{names: 1 << 15, suffixes: 1 << 15} },
		"only top_nxdomain":           func(h *held) { *h = held{names: 1 << 15, columns: 1 << 15} },
		"only xact.in.top_slow":       func(h *held) { *h = held{names: 1 << 15, columns: 1 << 15, answered: 1 << 16} },
		"only top_response_bytes":     func(h *held) { *h = held{names: 1 << 15, columns: 1 << 15} },
		"only top_zones":              func(h *held) { *h = held{names: 1 << 15, suffixes: 1 << 16} },
	} {
		want := all
		change(&want)
		table := tables[name]
		if table == nil {
			t.Fatalf("there is no selection %q", name)
		}
		if got := memory(table); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if got := Topic(nil, nil, 1).Memory(table, 0); (got < whole) != (want != all) {
			t.Errorf("%s: at most %d bytes, %d with all tables", name, got, whole)
		}
	}
}
