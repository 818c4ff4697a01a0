package config

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pktvisor/dnswire"
	"pktvisor/policy"
)

// YAML returns the set in the short form, with all defaults. [Read] makes the same set of it. Agent are the settings of the
// program, in the order in which they are written.
func (s *Set) YAML(agent []Setting) ([]byte, error) {
	doc := newMap()
	settings := newMap()
	for _, a := range agent {
		settings.add(a.Flag, plain(a.Values))
	}
	taps, policies := newMap(), newMap()
	for i := range s.Taps {
		taps.add(s.Taps[i].Name, s.Taps[i].write())
	}
	for i := range s.Policies {
		policies.add(s.Policies[i].Name, s.Policies[i].write(s))
	}
	doc.add("agent", settings)
	doc.add("taps", taps)
	doc.add("policies", policies)
	return doc.encode()
}

// PolicyYAML returns a document in the short form with one policy of the set, with all defaults. [Set.Add] makes the same policy
// of it.
func (s *Set) PolicyYAML(p *Policy) ([]byte, error) {
	doc, policies := newMap(), newMap()
	policies.add(p.Name, p.write(s))
	doc.add("policies", policies)
	return doc.encode()
}

func (t *tree) encode() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(t.node())
	return b.Bytes(), err
}

// tree is a map whose entries keep their order.
type tree struct{ n *yaml.Node }

func newMap() *tree { return &tree{&yaml.Node{Kind: yaml.MappingNode}} }

func (t *tree) node() *yaml.Node { return t.n }

// add adds an entry. A value of another type than a tree is written as package yaml does.
func (t *tree) add(key string, v any) {
	var k, n yaml.Node
	k.SetString(key)
	if sub, ok := v.(*tree); ok {
		n = *sub.n
	} else if err := n.Encode(v); err != nil {
		n.SetString(err.Error()) // not for values of this package
	}
	if n.Kind == yaml.SequenceNode {
		n.Style = yaml.FlowStyle
	}
	t.n.Content = append(t.n.Content, &k, &n)
}

// numbers matches what YAML and flags read as the same number.
var numbers = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

// plain returns one text or a list of texts. Those that are numbers, true or false have no quotes.
func plain(values []string) *tree {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, v := range values {
		n := new(yaml.Node)
		switch {
		case v == "true" || v == "false":
			*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: v}
		case numbers.MatchString(v):
			*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v}
		default:
			n.SetString(v)
		}
		list.Content = append(list.Content, n)
	}
	if len(values) == 1 {
		return &tree{list.Content[0]}
	}
	return &tree{list}
}

// some adds an entry unless the value is empty.
func (t *tree) some(key string, v any) {
	if r := reflect.ValueOf(v); !r.IsZero() && !((r.Kind() == reflect.Slice || r.Kind() == reflect.Map) && r.Len() == 0) {
		t.add(key, v)
	}
}

func (t *Tap) write() *tree {
	m := newMap()
	m.add("target", t.Target)
	t.settings(m, policy.Tap{}, "")
	if len(t.Tags) > 0 {
		tags := newMap()
		for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
			tags.add(key, t.Tags[key])
		}
		m.add("tags", tags)
	}
	return m
}

// settings adds the settings of a tap that differ from others.
func (t *Tap) settings(m *tree, other policy.Tap, hosts string) {
	for _, s := range []struct {
		key        string
		own, other any
	}{
		{"target", t.Target, t.Target}, {"filter", t.Filter, other.Filter}, {"hosts", t.Hosts, hosts}, {"ring_mib", t.RingMiB, other.RingMiB},
		{"snaplen", t.SnapLen, other.SnapLen}, {"promisc", t.Promisc, other.Promisc}, {"any_copies", t.AnyCopies, other.AnyCopies},
		{"decap", t.Decap, other.Decap}, {"replay", t.Replay, other.Replay}, {"replay_speed", t.ReplaySpeed, other.ReplaySpeed},
	} {
		if s.own != s.other {
			m.add(s.key, s.own)
		}
	}
}

func (p *Policy) write(s *Set) *tree {
	m := newMap()
	m.some("description", p.Description)
	taps := newMap()
	for i := range p.Taps {
		t, own := &p.Taps[i], newMap()
		if at := slices.IndexFunc(s.Taps, func(o Tap) bool { return o.Name == t.Name }); at >= 0 {
			base := &s.Taps[at]
			if t.Target != base.Target {
				own.add("target", t.Target)
			}
			t.settings(own, base.Tap, base.Hosts)
		}
		taps.add(t.Name, own)
	}
	m.add("taps", taps)
	if f := writeFilter(&p.Filter); len(f.n.Content) > 0 {
		m.add("filter", f)
	}
	m.add("periods", p.Periods)
	m.add("deep_sample", p.DeepSamplePercent)
	m.add("min_deep_sample", p.MinDeepSamplePercent)
	m.add("rows", p.Rows)
	m.some("memory", int64(p.Budget)) // 0 is the default, which depends on the number of shards
	m.add("dns_timeout", p.DNSTimeout.String())
	m.add("anonymize", p.Anonymize)
	m.some("anonymize_names", p.AnonymizeNames)
	m.add("merged", p.Merged)
	m.some("chained", p.Chained)
	handlers := newMap()
	for i := range p.Handlers {
		handlers.add(p.Handlers[i].Name, p.Handlers[i].write())
	}
	m.add("analyzers", handlers)
	if p.ForEach != nil {
		each := newMap()
		each.add("top", p.ForEach.Top)
		each.add("most", p.ForEach.Most)
		m.add("for_each", each)
	}
	return m
}

func (h *Handler) write() *tree {
	m := newMap()
	for name, kind := range typeOf {
		if kind == h.Type || kind == "pcap" && h.Type == "input_resources" {
			m.add("type", name)
		}
	}
	m.add("version", h.Version)
	if f := writeFilter(&h.Filter); len(f.n.Content) > 0 {
		m.add("filter", f)
	}
	m.some("rows", h.Rows)
	m.some("percentile", h.Percentile)
	m.some("with", h.Enable)
	m.some("without", h.Disable)
	return m
}

// writeFilter returns a filter in the short form.
func writeFilter(f *policy.Filter) *tree {
	m := newMap()
	m.some("bpf", f.BPF)
	m.some("qname", dotted(f.QNames))
	m.some("qname_suffix", dotted(f.QNameSuffixes))
	m.some("qtype", named(f.QTypes, dnswire.TypeName))
	m.some("rcode", named(f.Rcodes, dnswire.RcodeName))
	m.some("not_rcode", named(f.NotRcodes, dnswire.RcodeName))
	m.some("transport", f.Transports)
	m.some("direction", f.Directions)
	m.some("xact", f.XactDirections)
	m.some("client", texts(f.Clients))
	m.some("server", texts(f.Servers))
	m.some("asn", f.ASNs)
	m.some("place", f.Places)
	m.some("unknown_asn", f.UnknownASN)
	m.some("unknown_place", f.UnknownPlace)
	m.some("queries", f.Queries)
	m.some("responses", f.Responses)
	m.some("dnssec", f.DNSSEC)
	if f.Answers != nil {
		m.add("answers", *f.Answers)
	}
	if f.SlowerThan > 0 {
		m.add("slower_than", f.SlowerThan.String())
	}
	m.some("dnstap", f.Messages)
	if len(f.Not) > 0 {
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range f.Not {
			n.Content = append(n.Content, writeFilter(&f.Not[i]).n)
		}
		m.add("not", n)
	}
	return m
}

// dotted writes the root as a dot.
func dotted(names []string) []string {
	names = slices.Clone(names)
	for i, n := range names {
		if n == "" {
			names[i] = "."
		}
	}
	return names
}

func named(codes []uint16, name func(uint16) string) (all []string) {
	for _, c := range codes {
		all = append(all, strings.ToUpper(name(c)))
	}
	return all
}

func texts[T fmt.Stringer](list []T) (all []string) {
	for _, x := range list {
		all = append(all, x.String())
	}
	return all
}
