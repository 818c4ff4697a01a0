package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pktvisor/linktype"
)

func manyHosts(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(" or ")
		}
		fmt.Fprintf(&b, "host 10.%d.%d.%d", i>>16, i>>8&0xff, i&0xff)
	}
	return b.String()
}

// TestErrors checks that a mistake is reported, and at the right place.
func TestErrors(t *testing.T) {
	for _, c := range []struct {
		expr string
		link linktype.Type
		want string
	}{
		{"tcp port 53 port foo", linktype.Ethernet, `column 13: expected "and" or "or", got "port"`},
		{"ip and udp port foo", linktype.Ethernet, `column 17: expected a port number or name, got "foo"`},
		{"port", linktype.Ethernet, `column 5: expected a port number or name, got the end`},
		{"port 65536", linktype.Ethernet, `column 6: 65536 is greater than the largest port, 65535`},
		{"portrange 5", linktype.Ethernet, ""},
		{"portrange a-b", linktype.Ethernet, `column 11: expected a port range, got "a-b"`},
		{"tcp port ntp", linktype.Ethernet, `column 10: "ntp" is not a tcp port`},
		{"icmp port 5", linktype.Ethernet, `column 11: icmp has no ports: tcp, udp and sctp do`},
		{"host", linktype.Ethernet, `column 5: expected a host address, got the end`},
		{"host example.com", linktype.Ethernet, `column 6: expected a host address, got "example.com" (host names are not looked up)`},
		{"host 10.0.0.256", linktype.Ethernet, `column 6: "10.0.0.256" is not an IPv4 address: 256 is not within 0 to 255`},
		{"host 10.0.0.0/8", linktype.Ethernet, `column 6: only net takes a mask, not host`},
		{"net 10.0.0.1/8", linktype.Ethernet, `column 5: 10.0.0.1 has bits set that its netmask leaves out`},
		{"net 10.0.0.0/33", linktype.Ethernet, `column 14: an IPv4 netmask has at most 32 bits, not 33`},
		{"net 10/8", linktype.Ethernet, `column 7: a network with a mask is written in full: 10.0.0.0/8`},
		{"net 2001:db8::1/32", linktype.Ethernet, `column 5: 2001:db8::1 has bits set that its netmask leaves out`},
		{"tcp host 10.0.0.1", linktype.Ethernet, `column 10: tcp has no IPv4 addresses: of the protocols, ip, arp and rarp do`},
		{"host 02:00:00:00:00:01", linktype.Ethernet, `column 6: expected a host address, got "02:00:00:00:00:01" (a MAC address needs "ether")`},
		{"ether host 10.0.0.1", linktype.Ethernet, `column 12: expected a MAC address, got "10.0.0.1"`},
		{"ether host 02:00:00:00:00:01", linktype.Raw, `column 12: a MAC address is not supported on raw IP links`},
		{"tcp or 53", linktype.Ethernet, `column 8: expected a primitive such as "host", "port" or "tcp", got "53"`},
		{"ip proto foo", linktype.Ethernet, `column 10: expected a protocol number or name, got "foo"`},
		{"ip proto tcp", linktype.Ethernet, `column 10: expected a protocol number or name, got "tcp"`},
		{"tcp proto 5", linktype.Ethernet, `column 11: tcp does not carry another protocol by number`},
		{"ip protochain 6", linktype.Ethernet, `column 4: protochain is not supported: the kernel cannot run a program with a loop`},
		{"gateway foo", linktype.Ethernet, `column 1: gateway is not supported: write "ether host MAC and not host address"`},
		{"tcp and (udp", linktype.Ethernet, `column 9: this parenthesis is never closed`},
		{"tcp) and udp", linktype.Ethernet, `column 4: this parenthesis was never opened`},
		{"tcp and", linktype.Ethernet, `column 8: the expression ends where a primitive such as "host" or "port" was expected`},
		{"foo", linktype.Ethernet, `column 1: expected a primitive such as "host" or "port", got "foo"`},
		{"tcp & udp", linktype.Ethernet, `column 5: expected "and" or "or", got "&"`},
		{"ip[0", linktype.Ethernet, `column 5: expected "]", got the end`},
		{"ip[0:3] = 1", linktype.Ethernet, `column 6: a field's size is 1, 2 or 4 bytes, not 3`},
		{"ip[0] + 1", linktype.Ethernet, `column 10: expected a comparison such as = or >, got the end`},
		{"ip[0] / 0 = 1", linktype.Ethernet, `column 7: division by zero`},
		{"ip[0] << 32 = 1", linktype.Ethernet, `column 7: shift by more than 31 bits`},
		{"esp[0] = 1", linktype.Ethernet, `column 1: the bytes of esp cannot be read with […]`},
		{"ip[08] = 1", linktype.Ethernet, `column 4: 08 starts with 0 and is octal, but has the digit 8`},
		{"len > 4294967296", linktype.Ethernet, `column 7: the number 4294967296 does not fit in 32 bits`},
		{"vlan 4096", linktype.Ethernet, `column 6: 4096 is too large: the maximum is 4095`},
		{"vlan", linktype.Raw, `column 1: vlan is not supported on raw IP links`},
		{"mpls and vlan", linktype.Ethernet, `column 10: there is no VLAN after mpls`},
		{"mpls and arp", linktype.Ethernet, `column 10: after mpls, only IPv4 and IPv6 can be distinguished`},
		{"inbound", linktype.Ethernet, `column 1: the direction of a packet is not known in a file of Ethernet frames`},
		{"ifname eth0", linktype.Ethernet, `column 1: "ifname" is not supported: only BSD's pflog captures have it`},
		{"vpi 5", linktype.Ethernet, `column 1: "vpi" is not supported: it is for ATM links`},
		{"ip broadcast", linktype.Ethernet, `column 1: ip broadcast needs the interface's netmask, which is not known here`},
		{"type data", linktype.Ethernet, `column 1: the type or direction of an 802.11 frame is not supported on Ethernet links`},
		{"tcp port \u00e9", linktype.Ethernet, "column 10: unexpected character \"\u00e9\""},
		{"tcp", 9999, "filters for link type 9999 are not supported"},
		{"ip and ip6", linktype.Ethernet, ErrRejectsAll.Error()},
		{"arp", linktype.Raw, ErrRejectsAll.Error()},
	} {
		_, err := Compile(c.expr, c.link, Options{})
		if got := fmt.Sprint(err); err == nil && c.want != "" || err != nil && got != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.expr, err, c.want)
		}
	}
}

func TestErrorColumn(t *testing.T) {
	_, err := Compile("tcp and port foo", linktype.Ethernet, Options{})
	var e *Error
	if !errors.As(err, &e) || e.Column != 14 {
		t.Errorf("%v", err)
	}
}

// TestBounds compiles expressions that are made to be expensive: each is compiled, or refused, quickly.
func TestBounds(t *testing.T) {
	var ports, nets strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&ports, "port %d or ", i)
		fmt.Fprintf(&nets, "net 2001:db8:%x::/48 or ", i)
	}
	for name, expr := range map[string]string{
		"nots":        strings.Repeat("not ", 15000) + "tcp",
		"parentheses": strings.Repeat("(", 9000) + "tcp" + strings.Repeat(")", 9000),
		"minus":       strings.Repeat("-", 15000) + "1 = 1",
		"same":        strings.Repeat("port 53 or ", 3000) + "tcp",
		"ports":       ports.String() + "tcp",
		"nets":        nets.String() + "tcp",
		"sum":         "1 = ip[0]" + strings.Repeat("+ip[1]", 3000),
		"nested":      "1 = " + strings.Repeat("(ip[0]*", 400) + "1" + strings.Repeat(")", 400),
		"index":       strings.Repeat("ip[", 400) + "1" + strings.Repeat("]", 400) + " = 1",
		"mpls":        strings.Repeat("mpls and ", 5000) + "ip",
		"vlan":        strings.Repeat("vlan and ", 5000) + "ip",
		"geneve":      strings.Repeat("geneve and ", 1000) + "ip",
		"hosts":       manyHosts(5000),
	} {
		start := time.Now()
		prog, err := Compile(expr, linktype.Ethernet, Options{})
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s took %v", name, took)
		}
		if err == nil && prog.Len() > 4096 {
			t.Errorf("%s: %d instructions", name, prog.Len())
		}
	}
}

func TestManyHosts(t *testing.T) {
	prog, err := Compile(manyHosts(1000), linktype.Ethernet, Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := benchFrames(t)[0]
	for _, c := range []struct {
		last [3]byte
		want bool
	}{{[3]byte{0, 0, 5}, true}, {[3]byte{0, 3, 231}, true}, {[3]byte{0, 3, 232}, false}, {[3]byte{1, 0, 0}, false}} {
		copy(f[26:], []byte{9, 9, 9, 9, 10, c.last[0], c.last[1], c.last[2]})
		if got := prog.Match(f, uint32(len(f))); got != c.want {
			t.Errorf("10.%v: %v", c.last, got)
		}
	}
}

func TestOptions(t *testing.T) {
	lookup := func(name string) ([]netip.Addr, error) {
		if name != "ns1.example" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")}, nil
	}
	same := func(a, b string, opts Options) {
		t.Helper()
		pa, err := Compile(a, linktype.Ethernet, opts)
		if err != nil {
			t.Fatal(err)
		}
		pb, err := Compile(b, linktype.Ethernet, Options{SnapLen: opts.SnapLen})
		if err != nil {
			t.Fatal(err)
		}
		if pa.Dump() != pb.Dump() {
			t.Errorf("%s\n%swant that of %s\n%s", a, pa.Dump(), b, pb.Dump())
		}
	}
	same("host ns1.example", "host 10.0.0.1 or host 2001:db8::1", Options{Resolve: lookup})
	same("ip host ns1.example", "ip host 10.0.0.1", Options{Resolve: lookup})
	same("ip6 dst ns1.example", "ip6 dst 2001:db8::1", Options{Resolve: lookup})
	same("ip broadcast", "ip and (ip[16:4] & 0xff = 0 or ip[16:4] & 0xff = 0xff)",
		Options{Netmask: net.CIDRMask(24, 32)})
	same("", "", Options{SnapLen: 96})
	if _, err := Compile("host nowhere.example", linktype.Ethernet, Options{Resolve: lookup}); err == nil ||
		err.Error() != `column 6: cannot resolve "nowhere.example": no such host` {
		t.Error(err)
	}
	prog, err := Compile("tcp", linktype.Ethernet, Options{SnapLen: 96})
	if err != nil || !strings.Contains(prog.Dump(), "ret      #96\n") {
		t.Errorf("%v\n%s", err, prog.Dump())
	}
}

// TestLayout checks that an instruction has the size of the kernel's.
func TestLayout(t *testing.T) {
	if n := binary.Size(RawInsn{}); n != 8 {
		t.Errorf("%d bytes", n)
	}
}

func TestVerify(t *testing.T) {
	ret := RawInsn{Code: clsRet | retK}
	for name, prog := range map[string][]RawInsn{
		"empty":        {},
		"no return":    {{Code: clsLd | modeImm}},
		"far jump":     {{Code: clsJmp | jmpJA, K: 1}, ret},
		"wrapped jump": {{Code: clsJmp | jmpJA, K: 0xffffffff}, ret},
		"far branch":   {{Code: clsJmp | jmpJEQ, Jt: 1}, ret},
		"code":         {{Code: 0xffff}, ret},
		"unwritten":    {{Code: clsLd | modeMem, K: 3}, ret},
		"half written": {{Code: clsJmp | jmpJEQ, Jt: 1}, {Code: clsSt, K: 3}, {Code: clsLd | modeMem, K: 3}, ret},
		"no slot":      {{Code: clsSt, K: 16}, ret},
		"division":     {{Code: clsALU | aluDiv}, ret},
		"shift":        {{Code: clsALU | aluLsh, K: 32}, ret},
		"long":         make([]RawInsn, 5000),
	} {
		if err := verify(prog); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := verify([]RawInsn{{Code: clsSt, K: 15}, {Code: clsLdx | modeMem, K: 15}, ret}); err != nil {
		t.Error(err)
	}
}

// FuzzCompile looks for expressions that panic, take long, make invalid programs, or change their meaning in the
// optimiser.
func FuzzCompile(f *testing.F) {
	for _, e := range expressions(f, "expressions", "ethernet", "layers", "wlan") {
		f.Add(e, uint16(linktype.Ethernet), true)
	}
	for _, e := range sampleExpressions(300) {
		f.Add(e, uint16(linktype.Radiotap), false)
	}
	frames := append(forged(linktype.Ethernet, 30, 1), forged(linktype.Radiotap, 10, 1)...)
	f.Fuzz(func(t *testing.T, expr string, number uint16, live bool) {
		link := linktype.Type(number)
		prog, err := Compile(expr, link, Options{Live: live})
		var e *Error
		if errors.As(err, &e) && (e.Column < 0 || e.Column > len(expr)+1) {
			t.Errorf("column %d of %d", e.Column, len(expr))
		}
		if err == nil {
			_ = prog.Dump()
		} else if errors.Is(err, ErrRejectsAll) {
			prog = decode([]RawInsn{{Code: clsRet}})
		} else {
			return
		}
		plain, err := Compile(expr, link, Options{Live: live, NoOptimize: true})
		if err != nil {
			return
		}
		for _, p := range frames {
			if prog.Run(p, uint32(len(p))) != plain.Run(p, uint32(len(p))) {
				t.Errorf("the optimiser changes the verdict of % x", p)
			}
		}
	})
}
