package analyze

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"pktvisor/decode"
)

// Hosts is the set of subnets that count as the host. The zero value has no subnets, so every direction is unknown. A
// Hosts does not change.
type Hosts struct {
	prefixes []netip.Prefix
	nets4    []hostNet4
	nets6    []hostNet
	many     *hostRanges // instead of both if there are more than fewNets
}

// fewNets is up to how many subnets of an IP version are compared one by one. A search among more is faster.
const fewNets = 16

// hostNet is a subnet as a masked comparison of the 128 address bits. hostNet4 is an IPv4 subnet as a masked comparison of
// the lower 64 bits. They are separate because ::/0 does not include the IPv4 addresses that are mapped into it.
type (
	hostNet  struct{ hi, lo, maskHi, maskLo uint64 }
	hostNet4 struct{ lo, maskLo uint64 }
)

// ParseHosts parses a list of subnets in CIDR form, separated by commas. An address without a length is a subnet of one
// address. The error names every part that is wrong.
func ParseHosts(spec string) (Hosts, error) {
	var prefixes []netip.Prefix
	var errs []error
	for part := range strings.SplitSeq(spec, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		if addr, err := netip.ParseAddr(part); err == nil && addr.Zone() == "" {
			prefixes = append(prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64", part))
			continue
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	if err := errors.Join(errs...); err != nil {
		return Hosts{}, err
	}
	return NewHosts(prefixes), nil
}

// NewHosts returns the set of the given subnets.
func NewHosts(prefixes []netip.Prefix) Hosts {
	h := Hosts{prefixes: slices.Clone(prefixes)}
	for _, p := range prefixes {
		bits := p.Bits()
		if p.Addr().Is4() {
			bits += 96
		}
		a := decode.AddrFromNetip(p.Addr())
		n := hostNet{maskHi: ^uint64(0), maskLo: ^uint64(0)}
		if bits <= 64 {
			n.maskHi, n.maskLo = ^uint64(0)<<(64-bits), 0
		} else {
			n.maskLo <<= 128 - bits
		}
		n.hi, n.lo = a.Hi&n.maskHi, a.Lo&n.maskLo
		if p.Addr().Is4() || p.Addr().Is4In6() && bits >= 96 {
			h.nets4 = append(h.nets4, hostNet4{n.lo, n.maskLo})
		} else {
			h.nets6 = append(h.nets6, n)
		}
	}
	if len(h.nets4) > fewNets || len(h.nets6) > fewNets {
		h.many = newHostRanges(h.nets4, h.nets6)
		h.nets4, h.nets6 = nil, nil
	}
	return h
}

// Prefixes returns the subnets.
func (h Hosts) Prefixes() []netip.Prefix { return h.prefixes }

// Direction returns the direction of a packet between two addresses of the same IP version.
//
// It compares both addresses with all subnets if there are few. It does not branch on the outcome, because the CPU could hardly
// predict it. Among many subnets, it searches.
func (h *Hosts) Direction(src, dst decode.Addr) Direction {
	if h.many != nil {
		return h.many.direction(src, dst)
	}
	in, out := uint64(math.MaxUint64), uint64(math.MaxUint64) // 0 once a subnet matches
	if dst.Is4() {
		for i := range h.nets4 {
			n := &h.nets4[i]
			in = min(in, (dst.Lo^n.lo)&n.maskLo)
			out = min(out, (src.Lo^n.lo)&n.maskLo)
		}
	} else {
		for i := range h.nets6 {
			n := &h.nets6[i]
			in = min(in, (dst.Hi^n.hi)&n.maskHi|(dst.Lo^n.lo)&n.maskLo)
			out = min(out, (src.Hi^n.hi)&n.maskHi|(src.Lo^n.lo)&n.maskLo)
		}
	}
	ingress, egress := isZero(in), isZero(out)
	return ingress | (egress&^ingress)<<1
}

// SetDirections sets the directions of packets as [Hosts.Direction] does. If there is exactly one IPv4 subnet, which is the
// usual case, an IPv4 packet takes no call and no loop. SetDirections is not inlined, because its loop needs all registers.
//
//go:noinline
func (h *Hosts) SetDirections(group []Packet) {
	var only hostNet4
	if len(h.nets4) == 1 {
		only = h.nets4[0]
	}
	for i := range group {
		p := &group[i]
		if p.Version == 4 && len(h.nets4) == 1 {
			ingress, egress := isZero((p.Dst.Lo^only.lo)&only.maskLo), isZero((p.Src.Lo^only.lo)&only.maskLo)
			p.Direction = ingress | (egress&^ingress)<<1
		} else if p.Direction = Unknown; p.Version != 0 {
			p.Direction = h.Direction(p.Src, p.Dst)
		}
	}
}

// isZero returns 1 for 0, and 0 for any other number. It compiles to no branch.
func isZero(x uint64) (d Direction) {
	if x == 0 {
		d = 1
	}
	return d
}
