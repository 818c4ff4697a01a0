package main

import (
	"errors"
	"fmt"
	"io"

	xbpf "golang.org/x/net/bpf"

	"pktvisor/bpf"
	"pktvisor/capture"
)

// filterFile has a source of a file or a replay give only the frames that match the filter, if there
// is one.
func (o *options) filterFile(src capture.Source) capture.Source {
	if o.Filter == "" {
		return src
	}
	return capture.Filter(src, func(link capture.LinkType) (capture.Matcher, error) {
		return o.compile(link, bpf.Options{})
	})
}

// compile translates the filter for a link layer.
func (o *options) compile(link capture.LinkType, opts bpf.Options) (*bpf.Program, error) {
	p, err := bpf.Compile(o.Filter, uint16(link), opts)
	if err != nil {
		return nil, &filterError{o.Filter, link, err}
	}
	return p, nil
}

// filterError is a filter that cannot be compiled for a link layer.
type filterError struct {
	filter string
	link   capture.LinkType
	err    error
}

func (e *filterError) Error() string {
	return fmt.Sprintf("-b %q, for frames of %s: %v", e.filter, e.link, e.err)
}

func (e *filterError) Unwrap() error { return e.err }

// kernelFilter is the filter as the kernel runs it.
func (o *options) kernelFilter(link capture.LinkType) ([]xbpf.RawInstruction, error) {
	if o.Filter == "" {
		return nil, nil
	}
	p, err := o.compile(link, bpf.Options{Live: true})
	if err != nil {
		return nil, err
	}
	var raw []xbpf.RawInstruction
	for _, in := range p.Raw() {
		raw = append(raw, xbpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K})
	}
	return raw, nil
}

// printFilter prints the filter's program as tcpdump -d does, for the link layer of the file's first
// frame, or Ethernet.
func (o *options) printFilter(w io.Writer) error {
	link, opts := capture.LinkEthernet, bpf.Options{Live: true}
	if isFile(o.Target) && o.Target != "-" {
		opts.Live = false
		src, err := capture.OpenFile(o.Target)
		if err != nil {
			return err
		}
		defer src.Close()
		var b capture.Batch
		if err := src.ReadBatch(&b); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(b.Frames) > 0 {
			link = b.Frames[0].Link
		}
	}
	p, err := o.compile(link, opts)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, p.Dump())
	return err
}
