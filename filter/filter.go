// Package filter evaluates the filters of policies: which packets and DNS messages count.
//
// [New] compiles a [policy.Filter]. Some conditions are about packets, some about messages, and some about transactions;
// docs/filters.md lists them, and docs/decisions/0047 says why. A shard evaluates the filters of all its policies together: a
// [Plan] joins them, so that the name of a message is looked up once for all policies, and a [Sieve] evaluates a plan on a
// shard.
//
// A condition has three results. The rcode of a query, for example, is not known: a condition on it neither lets the query pass
// nor rejects it. An event passes unless a condition rejects it.
//
// A Filter and a Plan do not change, and are safe for concurrent use. A Sieve belongs to one shard.
package filter

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"pktvisor/policy"
)

// Locator returns the names of the location and the network of an address: see package geo. A name is empty if it is not
// known. Several shards may call a Locator at once.
type Locator interface {
	City(netip.Addr) string
	ASN(netip.Addr) string
}

// Options are what a filter needs to know besides its conditions.
type Options struct {
	// Locate finds the place and the network of an address. Without it, no event meets a condition on them.
	Locate Locator
	// Netmask is the netmask for "ip broadcast" in a BPF expression. Nil stands for that of a file, whose netmask is not known.
	Netmask net.IPMask
}

// Filter is a compiled filter. All its parts must let an event pass.
type Filter struct {
	parts  []*condition
	frames []*expression // BPF expressions that all frames must match before anything else
	given  keys          // of all parts, nested ones included
	source []*policy.Filter
}

// New compiles a filter. It returns nil for a filter without a condition. The error says which condition is wrong, and what to
// do.
func New(f *policy.Filter, opts Options) (*Filter, error) {
	c, err := compile(f, opts, true)
	if err != nil {
		return nil, err
	}
	compiled := &Filter{frames: c.frames, given: c.all(), source: []*policy.Filter{f}}
	if c.given != 0 {
		compiled.parts = []*condition{c}
	}
	if compiled.given == 0 && len(compiled.frames) == 0 {
		return nil, nil
	}
	return compiled, nil
}

// And returns a filter that lets pass what all given filters let pass. A nil filter lets everything pass. If all are nil, so is
// the result; a single filter is returned as it is.
func And(filters ...*Filter) *Filter {
	var both *Filter
	for _, f := range filters {
		switch {
		case f == nil || f == both:
		case both == nil:
			both = f
		default:
			both = &Filter{
				parts: slices.Concat(both.parts, f.parts), frames: slices.Concat(both.frames, f.frames),
				given: both.given | f.given, source: slices.Concat(both.source, f.source),
			}
		}
	}
	return both
}

// InKernel returns the BPF expression of a filter that has no other condition. If its policy alone uses a tap, the kernel may
// evaluate it. A nil Filter has none.
func (f *Filter) InKernel() (expr string, ok bool) {
	if f == nil || len(f.source) != 1 {
		return "", false
	}
	return InKernel(f.source[0])
}

// InKernel is like [Filter.InKernel], for a filter that is not compiled. The kernel also knows conditions that [New] refuses, such as
// inbound.
func InKernel(f *policy.Filter) (expr string, ok bool) {
	rest := *f
	rest.BPF = ""
	return f.BPF, f.BPF != "" && isEmpty(&rest)
}

// isEmpty reports whether a filter has no condition.
func isEmpty(f *policy.Filter) bool {
	return f.BPF == "" && len(f.QNames)+len(f.QNameSuffixes)+len(f.QTypes)+len(f.Rcodes)+len(f.NotRcodes)+len(f.Transports)+
		len(f.Directions)+len(f.XactDirections)+len(f.Clients)+len(f.Servers)+len(f.ASNs)+len(f.Places)+len(f.Messages)+len(f.Not) == 0 &&
		!f.Queries && !f.Responses && !f.UnknownASN && !f.UnknownPlace && !f.DNSSEC && f.Answers == nil && f.SlowerThan == 0
}

// OfMessages reports whether the filter has a condition on messages or transactions. Then only packets that complete a DNS message
// pass: see docs/decisions/0047.
func (f *Filter) OfMessages() bool { return f.given&ofMessages != 0 }

// Signatures reports whether the filter needs to know which responses are signed: see [dns.Reader.LookForSignatures].
func (f *Filter) Signatures() bool { return f.given&keySigned != 0 }

// Latency reports whether the filter has a condition on the latency of transactions, which only the analyzer of DNS knows.
func (f *Filter) Latency() bool { return f.given&keySlower != 0 }

// Geo reports whether the filter has a condition on places, and one on networks. Without a GeoIP database for them, nothing
// meets it.
func (f *Filter) Geo() (places, networks bool) {
	return f.given&(keyPlace|keyUnknownPlace) != 0, f.given&(keyASN|keyUnknownASN) != 0
}

// Frames names the condition on frames. Policies whose conditions have the same name can share what is read from the frames. It
// is empty if every frame matters.
func (f *Filter) Frames() string {
	name := ""
	if f != nil {
		for _, e := range f.frames {
			name += fmt.Sprintf("%q", e.text)
		}
	}
	return name
}

// errDnstap is the error of a condition on dnstap messages.
var errDnstap = errors.New("dnstap: taps of dnstap messages are not built yet: leave it out")
