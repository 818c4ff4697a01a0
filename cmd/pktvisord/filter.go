package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	xbpf "golang.org/x/net/bpf"

	"pktvisor/bpf"
	"pktvisor/capture"
	"pktvisor/linktype"
)

// filterFile wraps the source of a file or replay so that it returns only frames that match the filter. Without a
// filter, it returns src.
func filterFile(filter string, src capture.Source) capture.Source {
	if filter == "" {
		return src
	}
	return capture.Filter(src, func(link linktype.Type) (capture.Matcher, error) {
		return compile(filter, link, fileOptions())
	})
}

// fileOptions returns the options of a filter for a file. A file's netmask is not known, so "ip broadcast" means
// 0.0.0.0 and 255.255.255.255, as in tcpdump.
func fileOptions() bpf.Options { return bpf.Options{Netmask: net.IPv4Mask(0, 0, 0, 0)} }

// commonLinks lists link layers that together support everything that a filter can ask for.
var commonLinks = []linktype.Type{
	linktype.Ethernet, linktype.Radiotap, linktype.LinuxSLL2, linktype.NFLOG, linktype.PPPEther,
	linktype.IPv4, linktype.IPv6,
}

// checkFilter returns the error of a filter that is wrong for every file. It does not open a file.
func checkFilter(filter string) error {
	if filter == "" {
		return nil
	}
	var first error
	for _, link := range commonLinks {
		_, err := compile(filter, link, fileOptions())
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// compile translates a filter for a link layer.
func compile(filter string, link linktype.Type, opts bpf.Options) (*bpf.Program, error) {
	p, err := bpf.Compile(filter, link, opts)
	if err != nil {
		return nil, &filterError{filter, link, err}
	}
	return p, nil
}

// filterError is the error of a filter that cannot be compiled for a link layer.
type filterError struct {
	filter string
	link   linktype.Type
	err    error
}

func (e *filterError) Error() string {
	return fmt.Sprintf("-b %q, for frames of %s: %v", e.filter, e.link, e.err)
}

func (e *filterError) Unwrap() error { return e.err }

// kernelFilter returns a filter for the kernel, for use on an interface.
func kernelFilter(filter, iface string, link linktype.Type) ([]xbpf.RawInstruction, error) {
	if filter == "" {
		return nil, nil
	}
	p, err := compile(filter, link, bpf.Options{Live: true, Netmask: netmask(iface)})
	if err != nil {
		return nil, err
	}
	var raw []xbpf.RawInstruction
	for _, in := range p.Raw() {
		raw = append(raw, xbpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K})
	}
	return raw, nil
}

// netmask returns the netmask of the interface's first IPv4 address. It returns zeros if there is none, as on "any".
func netmask(iface string) net.IPMask {
	if i, err := net.InterfaceByName(iface); err == nil {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if a, ok := a.(*net.IPNet); ok && a.IP.To4() != nil && len(a.Mask) == net.IPv4len {
				return a.Mask
			}
		}
	}
	return net.IPv4Mask(0, 0, 0, 0)
}

// printFilter prints the filter's program as tcpdump -d does. It uses the link layer of the file's first frame, or
// Ethernet.
func (o *options) printFilter(ctx context.Context, w io.Writer) error {
	iface, _ := capture.ResolveTarget(o.Target) // if the target is an interface
	link, opts := linktype.Ethernet, bpf.Options{Live: true, Netmask: netmask(iface)}
	if isFile(o.Target) && o.Target != "-" {
		opts = fileOptions()
		src, err := capture.OpenFileContext(ctx, o.Target)
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
	p, err := compile(o.Filter, link, opts)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, p.Dump())
	return err
}
