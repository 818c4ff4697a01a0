package main

import (
	"strings"
	"testing"

	"pktvisor/bpf"
	"pktvisor/linktype"
)

// TestNetmask: a live filter uses the interface's netmask for "ip broadcast", as tcpdump's manual describes.
func TestNetmask(t *testing.T) {
	if m := netmask("lo"); m.String() != "ff000000" {
		t.Skipf("lo has the netmask %v", m)
	}
	if m := netmask("any"); m.String() != "00000000" {
		t.Errorf("any: %v", m)
	}
	o := options{}
	o.Filter = "ip broadcast"
	p, err := compile(o.Filter, linktype.Ethernet, bpf.Options{Live: true, Netmask: netmask("lo")})
	if err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 34)
	frame[12], frame[14] = 0x08, 0x45
	for dst, want := range map[string]bool{"\x7f\xff\xff\xff": true, "\x7f\x00\x00\x00": true, "\xff\xff\xff\xff": true, "\x7f\x00\x00\x01": false} {
		copy(frame[30:], dst)
		if got := p.Match(frame, 34); got != want {
			t.Errorf("% x: %v", dst, got)
		}
	}
	raw, err := kernelFilter(o.Filter, "lo", linktype.Ethernet)
	if err != nil || len(raw) == 0 || !strings.Contains(p.Dump(), "0xffffff") {
		t.Errorf("%v, %d instructions, %s", err, len(raw), p.Dump())
	}
}
