// Package bpf compiles packet filter expressions to classic BPF programs, and runs them. The language is that of
// pcap-filter(7), which is known from tcpdump. The package is pure Go and does not need libpcap.
//
//	prog, err := bpf.Compile("udp port 53 and not host 10.0.0.1", linktype.Ethernet, bpf.Options{})
//	if err != nil {
//		return err // column 12: expected a port number or name, got "foo"
//	}
//	if prog.Match(frame, wireLen) { … }
//
// A program accepts the same packets as libpcap's program for the same expression. An expression that is not
// supported is an error, never a different filter. A program is valid for the Linux kernel: attach [Program.Raw] with
// SO_ATTACH_FILTER, after compiling with Options.Live.
//
// A Program is immutable, and safe for concurrent use.
package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"pktvisor/linktype"
)

// DefaultSnapLen is the default for how many bytes of an accepted packet a program keeps: all of them, as in tcpdump.
const DefaultSnapLen = 262144

// Options are the conditions for a compilation. The zero value is for reading a file.
type Options struct {
	// SnapLen is what a program returns for a packet that it accepts: the number of bytes to keep. 0 means
	// DefaultSnapLen.
	SnapLen uint32

	// Live says that the program is for packets as the Linux kernel delivers them: with the outer VLAN tag kept
	// separately, and with a direction and an interface.
	Live bool

	// Netmask is the interface's IPv4 netmask, for "ip broadcast". It is nil if it is not known, and "ip
	// broadcast" is then an error.
	Netmask net.IPMask

	// Resolve looks up the addresses of a host name. If it is nil, a host name is an error, and a filter then
	// means the same everywhere and always.
	Resolve func(name string) ([]netip.Addr, error)

	// NoOptimize leaves the program as written in the expression: longer, with the same meaning. It is for debugging.
	NoOptimize bool
}

// ErrRejectsAll is the error for an expression that no packet can match.
var ErrRejectsAll = errors.New("the expression rejects all packets")

// Program is a compiled expression.
type Program struct {
	insns []RawInsn
	steps []step // the same program, for the interpreter
}

// Compile compiles an expression for packets of a link type. The empty expression accepts every packet. A mistake in
// the expression is an [*Error], which says where it is.
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

// newProgram makes a program from instructions, which must pass [verify].
func newProgram(insns []RawInsn) (*Program, error) {
	if err := verify(insns); err != nil {
		return nil, err
	}
	return decode(insns), nil
}

// Raw returns a copy of the instructions, each of which converts to a unix.SockFilter.
func (p *Program) Raw() []RawInsn { return append([]RawInsn(nil), p.insns...) }

// Len returns the number of instructions.
func (p *Program) Len() int { return len(p.insns) }
