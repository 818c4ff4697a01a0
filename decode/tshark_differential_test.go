package decode

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// framesPerRun is the number of frames in one capture for tshark, which takes a second to start.
const framesPerRun = 5000

// TestTsharkDifferential compares the fields of random frames with those that tshark finds: addresses, protocol, ports, TCP's flags and
// number, fragments. It runs for the time in PKTVISOR_TSHARK (make fuzz-long sets it), and not at all without.
func TestTsharkDifferential(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("PKTVISOR_TSHARK"))
	if err != nil {
		t.Skip("PKTVISOR_TSHARK is not set to a duration")
	}
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("no tshark")
	}
	frames, compared := 0, 0
	for end := time.Now().Add(limit); time.Now().Before(end) && !t.Failed(); frames += framesPerRun {
		seed := rand.Uint64()
		compared += compareTshark(t, seed)
	}
	fmt.Printf("execs: %d (compared %d)\n", frames, compared)
}

// compareTshark compares the frames of a seed, and returns how many had an IP header that both read.
func compareTshark(t *testing.T, seed uint64) (compared int) {
	r := rand.New(rand.NewPCG(seed, 1))
	path := filepath.Join(t.TempDir(), "frames.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := testkit.NewPcapWriter(f, true, linktype.Ethernet)
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for i := range framesPerRun {
		b := randomFrame(r)
		frames = append(frames, b)
		if err := w.Write(int64(i)*1e6, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	names := []string{
		"frame.protocols", "ip.src", "ip.dst", "ip.proto", "ip.frag_offset", "ip.flags.mf", "ip.id", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport",
		"tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "ipv6.fraghdr.offset", "ipv6.fraghdr.more", "_ws.malformed", "ip.ttl", "ipv6.hlim",
	}
	args := []string{"-n", "-r", path, "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE", "-T", "fields", "-E", "separator=|", "-E", "occurrence=f"}
	for _, name := range names {
		args = append(args, "-e", name)
	}
	cmd := exec.Command("tshark", args...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for i := range frames {
		if !lines.Scan() {
			t.Fatalf("tshark has %d of %d frames", i, len(frames))
		}
		v := map[string]string{}
		for k, value := range strings.Split(lines.Text(), "|") {
			v[names[k]] = value
		}
		p := decodeOne(Decoder{}, linktype.Ethernet, frames[i])
		if v["ip.src"] == "" && v["ipv6.src"] == "" || p.Kind != KindIP {
			continue // one of them rejects the IP header
		}
		for _, last := range []string{".hopopts", ".dstopts", ":mipv6", ":hip", ":shim6"} {
			if strings.HasSuffix(v["frame.protocols"], last) {
				// tshark stops at an option that is too long, and at headers after which mostly nothing follows (RFC 6275). This
				// package does not read options, and continues.
				p.Flags &^= FlagL4
			}
		}
		compared++
		if got, want := fieldsOf(&p), fieldsOfTshark(&p, v); got != want {
			t.Errorf("seed %d, frame %d: %s\ntshark says %s (%s)\n%x", seed, i, got, want, v["frame.protocols"], frames[i])
		}
	}
	return compared
}

// fieldsOf returns the fields of a packet that are compared.
func fieldsOf(p *Packet) string {
	s := fmt.Sprintf("%s > %s ttl %d", p.Src, p.Dst, p.TTL)
	if p.Version == 4 {
		s += fmt.Sprintf(" proto %d", p.Proto)
	}
	if p.Flags&FlagFragment != 0 {
		s += fmt.Sprintf(" fragment %d %t", p.FragOffset, p.FragMore)
	}
	if p.Flags&FlagL4 != 0 {
		s += fmt.Sprintf(" ports %d %d", p.SrcPort, p.DstPort)
		if p.Proto == ProtoTCP {
			s += fmt.Sprintf(" flags %x seq %d", p.TCPFlags, p.Seq)
		}
	}
	return s
}

// fieldsOfTshark returns the same of tshark's fields. What this package did not read is left out, if tshark did not call it whole.
func fieldsOfTshark(p *Packet, v map[string]string) string {
	number := func(name string) uint64 { n, _ := strconv.ParseUint(v[name], 0, 64); return n }
	isSet := func(name string) bool { return v[name] == "1" || v[name] == "True" }
	src, dst, ttl, offset, more := v["ip.src"], v["ip.dst"], number("ip.ttl"), 8*number("ip.frag_offset"), isSet("ip.flags.mf")
	if p.Version == 6 {
		src, dst, ttl, offset, more = v["ipv6.src"], v["ipv6.dst"], number("ipv6.hlim"), 8*number("ipv6.fraghdr.offset"), isSet("ipv6.fraghdr.more")
	}
	s := fmt.Sprintf("%s > %s ttl %d", src, dst, ttl)
	if p.Version == 4 {
		s += fmt.Sprintf(" proto %d", number("ip.proto"))
	}
	fragment := offset > 0 || more
	if fragment {
		s += fmt.Sprintf(" fragment %d %t", offset, more)
	}
	l4 := v["udp.dstport"] != "" && p.Proto == ProtoUDP || v["tcp.seq_raw"] != "" && v["tcp.flags"] != "" && p.Proto == ProtoTCP
	if fragment || !l4 || v["_ws.malformed"] != "" && p.Flags&FlagL4 == 0 {
		return s
	}
	if p.Proto == ProtoUDP {
		return s + fmt.Sprintf(" ports %s %s", v["udp.srcport"], v["udp.dstport"])
	}
	return s + fmt.Sprintf(" ports %s %s flags %x seq %s", v["tcp.srcport"], v["tcp.dstport"], byte(number("tcp.flags")), v["tcp.seq_raw"])
}

// randomFrame returns an Ethernet frame with the structure of real ones: tags, options, extension headers, fragments, UDP and TCP. Some
// have a changed byte.
func randomFrame(r *rand.Rand) []byte {
	payload := make([]byte, r.IntN(40))
	proto, l4 := byte(ProtoUDP), udp(20000+r.IntN(20000), 20000+r.IntN(20000), payload) // ports without dissectors
	switch r.IntN(4) {
	case 0:
		proto, l4 = ProtoTCP, tcp(20000+r.IntN(20000), 20000+r.IntN(20000), byte(r.Uint32()), payload)
		binary.BigEndian.PutUint32(l4[4:], r.Uint32())
	case 1:
		proto, l4 = byte(200+r.IntN(40)), payload // unassigned
	}
	etherType, packet := 0x0800, ip4With(r, proto, l4)
	if r.IntN(2) == 0 {
		etherType, packet = 0x86dd, ip6With(r, proto, l4)
	}
	for range r.IntN(3) {
		packet, etherType = cat(u16(r.IntN(1<<16)), u16(etherType), packet), 0x8100
	}
	b := ether(etherType, packet)
	if r.IntN(4) == 0 {
		b[14+r.IntN(len(b)-14)] = byte(r.Uint32())
	}
	if r.IntN(8) == 0 {
		b = cat(b, make([]byte, r.IntN(12))) // padding
	}
	return b
}

// ip4With returns an IPv4 packet with options, or a fragment, or neither.
func ip4With(r *rand.Rand, proto byte, l4 []byte) []byte {
	frag := 0
	if r.IntN(4) == 0 {
		frag = r.IntN(1<<13) | r.IntN(2)<<13
	}
	b := ip4Frag(proto, r.IntN(1<<16), frag, l4)
	copy(b[12:], binary.BigEndian.AppendUint32(nil, r.Uint32()|1<<28))
	if n := r.IntN(4); n > 0 && r.IntN(2) == 0 {
		b = cat(b[:20], make([]byte, 4*n), b[20:]) // end of options
		b[0] += byte(n)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	}
	return b
}

// ip6With returns an IPv6 packet with some extension headers.
func ip6With(r *rand.Rand, proto byte, l4 []byte) []byte {
	body, next := l4, proto
	for range r.IntN(4) {
		switch r.IntN(3) {
		case 0: // destination options
			n := r.IntN(3)
			body, next = cat([]byte{next, byte(n), 1, byte(8*n + 4)}, make([]byte, 8*n+4), body), 60
		case 1: // a fragment
			body, next = cat([]byte{next, 0}, u16(r.IntN(1<<13)<<3|r.IntN(2)), []byte{1, 2, 3, 4}, body), 44
			return ip6(next, body) // only headers that are not fragmented may come before it
		default:
			body, next = cat([]byte{next, 0, 1, 4, 0, 0, 0, 0}, body), 0
			return ip6(next, body) // hop by hop comes first
		}
	}
	return ip6(next, body)
}
