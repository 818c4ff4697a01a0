package filter

import (
	"fmt"
	"net"
	"sync"

	"pktvisor/bpf"
	"pktvisor/linktype"
)

// expression is a BPF expression, compiled for each link type that occurs.
type expression struct {
	text     string
	options  bpf.Options
	programs sync.Map // from linktype.Type to *bpf.Program, which is nil if no frame of that link type matches
}

// links are link types that together support everything that an expression can ask for.
var links = []linktype.Type{
	linktype.Ethernet, linktype.Radiotap, linktype.LinuxSLL2, linktype.NFLOG, linktype.PPPEther, linktype.IPv4, linktype.IPv6,
}

// newExpression compiles an expression. The error is that of the first link type if it is wrong for all of them.
func newExpression(text string, opts Options) (*expression, error) {
	e := &expression{text: text, options: bpf.Options{Netmask: opts.Netmask}}
	if e.options.Netmask == nil {
		e.options.Netmask = net.IPv4Mask(0, 0, 0, 0)
	}
	var first error
	for _, link := range links {
		p, err := bpf.Compile(text, link, e.options)
		if err == nil {
			e.programs.Store(link, p)
			return e, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("bpf %q: %w", text, first)
}

// program returns the program for a link type, or nil if no frame of it matches.
func (e *expression) program(link linktype.Type) *bpf.Program {
	if p, ok := e.programs.Load(link); ok {
		return p.(*bpf.Program)
	}
	p, err := bpf.Compile(e.text, link, e.options)
	if err != nil { // for example, an expression about radio headers has no meaning for Ethernet
		p = nil
	}
	e.programs.Store(link, p)
	return p
}

// Frames evaluates the conditions on frames for one shard.
type Frames struct {
	expressions []*expression
	link        linktype.Type
	programs    []*bpf.Program // for link; nil before the first frame
	none        bool           // no frame of that link type matches
}

// NewFrames returns the conditions of a filter on frames.
func NewFrames(f *Filter) *Frames { return &Frames{expressions: f.frames} }

// Match reports whether a frame matches. wireLen is its length on the wire, in bytes.
func (f *Frames) Match(link linktype.Type, frame []byte, wireLen uint32) bool {
	if link != f.link || f.programs == nil {
		f.use(link)
	}
	if f.none {
		return false
	}
	for _, p := range f.programs {
		if !p.Match(frame, wireLen) {
			return false
		}
	}
	return true
}

// use prepares for frames of a link type.
func (f *Frames) use(link linktype.Type) {
	f.link, f.programs, f.none = link, make([]*bpf.Program, 0, len(f.expressions)), false
	for _, e := range f.expressions {
		p := e.program(link)
		f.none = f.none || p == nil
		f.programs = append(f.programs, p)
	}
}
