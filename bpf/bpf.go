// Package bpf compiles packet filter expressions, in the language of pcap-filter(7) that
// tcpdump made known, to classic BPF programs, and runs them. It is pure Go and needs no
// libpcap.
//
//	prog, err := bpf.Compile("udp port 53 and not host 10.0.0.1", linktype.Ethernet, bpf.Options{})
//	if err != nil {
//		return err // column 12: expected a port number or name, got "foo"
//	}
//	if prog.Match(frame, wireLen) { … }
//
// A program accepts the packets that libpcap's program of the same expression accepts; what
// is not supported is an error, never another filter. A program is valid for the Linux
// kernel: attach [Program.Raw] with SO_ATTACH_FILTER, after compiling with Options.Live.
//
// A Program does not change once compiled, and may be used by several goroutines.
package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"pktvisor/linktype"
)

// DefaultSnapLen is how many bytes of an accepted packet a program keeps unless told
// otherwise: all, as tcpdump has it.
const DefaultSnapLen = 262144

// Options are the circumstances of a compilation. The zero value is for reading a file.
type Options struct {
	// SnapLen is what a program returns for a packet that it accepts: how many bytes of it
	// to keep. 0 means DefaultSnapLen.
	SnapLen uint32

	// Live says that the program is for packets as the Linux kernel hands them out, with the
	// outer VLAN tag kept apart, and with a direction and an interface.
	Live bool

	// Netmask is the interface's IPv4 netmask, for "ip broadcast"; nil where it is not
	// known, which makes "ip broadcast" an error.
	Netmask net.IPMask

	// Resolve looks up the addresses of a host name. Where it is nil, a host name is an
	// error: a filter then means the same everywhere and always.
	Resolve func(name string) ([]netip.Addr, error)

	// NoOptimize leaves the program as the expression has it: longer, with the same
	// meaning. For debugging.
	NoOptimize bool
}

// ErrRejectsAll is the error for an expression that no packet can match.
var ErrRejectsAll = errors.New("the expression rejects all packets")

// Program is a compiled expression.
type Program struct {
	insns []RawInsn
	steps []step // the same, for the interpreter
}

// Compile compiles an expression for packets of a link type. The empty expression accepts everything. A mistake in the expression is
// an [*Error], which says where it is.
func Compile(expr string, link linktype.Type, opts Options) (*Program, error) {
	if opts.SnapLen == 0 {
		opts.SnapLen = DefaultSnapLen
	}
	g := &gen{values: newValues(), opts: opts}
	if !g.startLink(link) {
		return nil, fmt.Errorf("filters for link type %d are not supported", link)
	}
	tree, perr := parse(expr)
	if perr != nil {
		return nil, perr
	}
	c := always(true)
	if tree != nil {
		c = g.expr(tree)
	}
	if g.err != nil {
		return nil, g.err
	}
	c = and(and(g.prelude...), g.wlanHeader(), g.nflogHeader(), c)

	graph := newGraph(opts.SnapLen)
	root := graph.build(c, graph.accept, graph.reject)
	if !opts.NoOptimize {
		o := optimizer{graph, g.values}
		root = o.run(root)
	}
	if root.op == nodeReturn && root.k == 0 {
		return nil, ErrRejectsAll
	}
	insns, err := emit(graph.sorted(root), g.slots)
	if err != nil {
		return nil, err
	}
	return newProgram(insns)
}

// newProgram makes a program of instructions that pass [verify].
func newProgram(insns []RawInsn) (*Program, error) {
	if err := verify(insns); err != nil {
		return nil, err
	}
	return decode(insns), nil
}

// Raw returns a copy of the instructions, each of which converts to a unix.SockFilter.
func (p *Program) Raw() []RawInsn { return append([]RawInsn(nil), p.insns...) }

// Len is the number of instructions.
func (p *Program) Len() int { return len(p.insns) }
