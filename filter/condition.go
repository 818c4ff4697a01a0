package filter

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/policy"
)

// keys are the conditions that a filter has, as bits.
type keys uint32

const (
	keyQname keys = 1 << iota
	keySuffix
	keyQtype
	keyRcode
	keyNotRcode
	keyQueries
	keyResponses
	keyTransport
	keyDirection
	keyXact
	keyClient
	keyServer
	keyASN
	keyPlace
	keyUnknownASN
	keyUnknownPlace
	keySigned
	keyAnswers
	keySlower
	keyFrame // a BPF expression beside other conditions in a not
	keyNot

	// ofQuestion are conditions on the question.
	ofQuestion = keyQname | keySuffix | keyQtype
	// ofRemote are conditions on the remote address.
	ofRemote = keyASN | keyPlace | keyUnknownASN | keyUnknownPlace
	// ofBoth are conditions with the same result for a query and its response.
	ofBoth = ofQuestion | ofRemote | keyTransport | keyXact | keyClient | keyServer
	// ofMessages are conditions on DNS messages and transactions. The others are on packets.
	ofMessages = ofQuestion | keyRcode | keyNotRcode | keyQueries | keyResponses | keyXact | keyClient | keyServer | keySigned | keyAnswers | keySlower
)

// condition is one policy.Filter, compiled. All conditions that are given must hold.
type condition struct {
	given                      keys
	qnames, suffixes           []string
	qtypes, rcodes, notRcodes  []uint16 // sorted
	udp, tcp                   bool
	directions, xactDirections [analyze.NumDirections]bool
	clients, servers           analyze.Hosts
	asns                       []uint32 // sorted
	places                     []string // sorted; none is the beginning of another
	answers                    uint16
	slower                     time.Duration
	frame                      *expression
	locate                     Locator
	not                        []*condition
	frames                     []*expression // only of the outermost condition
}

// all returns the conditions that are given here or nested.
func (c *condition) all() keys {
	given := c.given
	for _, n := range c.not {
		given |= n.all()
	}
	return given
}

// compile compiles a filter. The expressions of the outermost filter that every frame must match are kept apart.
func compile(f *policy.Filter, opts Options, outermost bool) (*condition, error) {
	if len(f.Messages) > 0 {
		return nil, errDnstap
	}
	c := &condition{locate: opts.Locate}
	if err := c.frameCondition(f, opts, outermost); err != nil {
		return nil, err
	}
	c.messageConditions(f)
	if err := c.wordConditions(f); err != nil {
		return nil, err
	}
	c.addressConditions(f)
	for i := range f.Not {
		if expr, ok := InKernel(&f.Not[i]); ok && outermost {
			e, err := newExpression("not ("+expr+")", opts)
			if err != nil {
				return nil, fmt.Errorf("not: %w", err)
			}
			c.frames = append(c.frames, e)
			continue
		}
		n, err := compile(&f.Not[i], opts, false)
		if err != nil {
			return nil, fmt.Errorf("not: %w", err)
		}
		c.not = append(c.not, n)
		c.given |= keyNot
	}
	return c, nil
}

func (c *condition) frameCondition(f *policy.Filter, opts Options, outermost bool) error {
	if f.BPF == "" {
		return nil
	}
	e, err := newExpression(f.BPF, opts)
	if err != nil {
		return err
	}
	if outermost {
		c.frames = append(c.frames, e)
		return nil
	}
	c.frame = e
	c.given |= keyFrame
	return nil
}

// give notes a condition that is given if it has values.
func (c *condition) give(k keys, given bool) {
	if given {
		c.given |= k
	}
}

func (c *condition) messageConditions(f *policy.Filter) {
	c.qnames, c.suffixes = f.QNames, f.QNameSuffixes
	c.qtypes, c.rcodes, c.notRcodes = sorted(f.QTypes), sorted(f.Rcodes), sorted(f.NotRcodes)
	c.give(keyQname, len(f.QNames) > 0)
	c.give(keySuffix, len(f.QNameSuffixes) > 0)
	c.give(keyQtype, len(f.QTypes) > 0)
	c.give(keyRcode, len(f.Rcodes) > 0)
	c.give(keyNotRcode, len(f.NotRcodes) > 0)
	c.give(keyQueries, f.Queries)
	c.give(keyResponses, f.Responses)
	c.give(keySigned, f.DNSSEC)
	c.give(keySlower, f.SlowerThan > 0)
	c.slower = f.SlowerThan
	if f.Answers != nil {
		c.answers = uint16(*f.Answers)
		c.given |= keyAnswers
	}
}

// wordConditions compiles the conditions whose values are words.
func (c *condition) wordConditions(f *policy.Filter) error {
	for _, t := range f.Transports {
		switch t {
		case "udp":
			c.udp = true
		case "tcp":
			c.tcp = true
		default:
			return fmt.Errorf("transport: %q is unknown: give udp or tcp", t)
		}
	}
	c.give(keyTransport, len(f.Transports) > 0)
	if err := directions(&c.directions, f.Directions, "direction"); err != nil {
		return err
	}
	c.give(keyDirection, len(f.Directions) > 0)
	c.give(keyXact, len(f.XactDirections) > 0)
	return directions(&c.xactDirections, f.XactDirections, "xact")
}

func directions(into *[analyze.NumDirections]bool, words []string, key string) error {
	for _, w := range words {
		i := slices.Index([]string{analyze.Unknown: "unknown", analyze.Ingress: "in", analyze.Egress: "out"}, w)
		if i < 0 {
			return fmt.Errorf("%s: %q is unknown: give in, out or unknown", key, w)
		}
		into[i] = true
	}
	return nil
}

func (c *condition) addressConditions(f *policy.Filter) {
	c.clients, c.servers = analyze.NewHosts(f.Clients), analyze.NewHosts(f.Servers)
	c.asns, c.places = sorted(f.ASNs), shortest(f.Places)
	c.give(keyClient, len(f.Clients) > 0)
	c.give(keyServer, len(f.Servers) > 0)
	c.give(keyASN, len(f.ASNs) > 0)
	c.give(keyPlace, len(f.Places) > 0)
	c.give(keyUnknownASN, f.UnknownASN)
	c.give(keyUnknownPlace, f.UnknownPlace)
}

// sorted returns a sorted copy.
func sorted[T cmp.Ordered](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// has reports whether a sorted list has a value.
func has[T cmp.Ordered](list []T, value T) bool {
	_, found := slices.BinarySearch(list, value)
	return found
}

// within reports whether an address is in a set of subnets.
func within(set *analyze.Hosts, a decode.Addr) bool { return set.Direction(a, a) == analyze.Ingress }

// shortest returns beginnings of texts in their order, without those that begin with another one.
func shortest(beginnings []string) []string {
	kept := sorted(beginnings)[:0]
	for _, b := range sorted(beginnings) {
		if n := len(kept); n == 0 || !strings.HasPrefix(b, kept[n-1]) {
			kept = append(kept, b)
		}
	}
	return kept
}

// beginsWithAny reports whether a text begins with one of the beginnings that [shortest] returned. If it begins with one of
// them, there is no other one between that and the text.
func beginsWithAny(text string, beginnings []string) bool {
	i := sort.Search(len(beginnings), func(i int) bool { return beginnings[i] > text })
	return i > 0 && strings.HasPrefix(text, beginnings[i-1])
}
