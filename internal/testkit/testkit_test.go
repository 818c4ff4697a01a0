package testkit

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/miekg/dns"

	"pktvisor/linktype"
)

// TestPacketsAreAsGopacketMakesThem: packets equal, byte for byte, those that gopacket makes of the same fields,
// including checksums.
func TestPacketsAreAsGopacketMakesThem(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	to4, to6 := netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("2001:db8::2")
	for _, payload := range [][]byte{nil, {1}, []byte("an odd length"), make([]byte, 1400)} {
		for _, vlans := range [][]uint16{nil, {7}, {100, 4095}} {
			for _, proto := range []uint8{ProtoUDP, ProtoTCP} {
				p := Packet{VLAN: vlans, Src: v4, Dst: to4, Proto: proto, SrcPort: 53, DstPort: 40000, Seq: 1 << 31, Ack: 5, Flags: TCPSyn | TCPAck, Payload: payload}
				sameAsGopacket(t, &p)
				p.Src, p.Dst = v6, to6
				sameAsGopacket(t, &p)
			}
		}
	}
}

func sameAsGopacket(t *testing.T, p *Packet) {
	t.Helper()
	got := p.AppendFrame(nil)
	decoded := gopacket.NewPacket(got, layers.LayerTypeEthernet, gopacket.Default)
	if decoded.ErrorLayer() != nil && p.SrcPort != 53 {
		t.Fatal(decoded.ErrorLayer().Error())
	}
	var parts []gopacket.SerializableLayer
	for _, l := range decoded.Layers() {
		switch l := l.(type) {
		case *layers.UDP:
			l.SetNetworkLayerForChecksum(decoded.NetworkLayer())
			parts = append(parts, l)
		case *layers.TCP:
			l.SetNetworkLayerForChecksum(decoded.NetworkLayer())
			parts = append(parts, l)
		case *layers.Ethernet, *layers.Dot1Q, *layers.IPv4, *layers.IPv6:
			parts = append(parts, l.(gopacket.SerializableLayer))
		}
	}
	if want := 3 + len(p.VLAN); len(parts) != want {
		t.Fatalf("%+v: %d layers, want %d", p, len(parts), want)
	}
	parts = append(parts, gopacket.Payload(p.Payload))
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		t.Fatal(err)
	}
	if want := b.Bytes()[:len(got)]; !bytes.Equal(got, want) { // gopacket pads short frames
		t.Errorf("%+v:\n got %x\nwant %x", p, got, want)
	}
}

func TestDNSIsAsMiekgReadsIt(t *testing.T) {
	for _, name := range []string{"", "com", "www.example.com"} {
		var m dns.Msg
		if err := m.Unpack(AppendDNS(nil, 0x1234, DNSResponse|DNSAA|DNSRD|3, name, dns.TypeMX)); err != nil {
			t.Fatal(err)
		}
		want := dns.Question{Name: name + ".", Qtype: dns.TypeMX, Qclass: dns.ClassINET}
		if m.Id != 0x1234 || !m.Response || !m.Authoritative || !m.RecursionDesired || m.Truncated || m.Rcode != dns.RcodeNameError || m.Question[0] != want {
			t.Errorf("%q: %v", name, &m)
		}
	}
}

func TestPcapWriter(t *testing.T) {
	at := time.Date(2024, 3, 1, 12, 0, 0, 123456789, time.UTC)
	for _, nano := range []bool{false, true} {
		var b bytes.Buffer
		w, err := NewPcapWriter(&b, nano, linktype.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(at.UnixNano(), []byte("frame")); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		r, err := pcapgo.NewReader(&b)
		if err != nil {
			t.Fatal(err)
		}
		want := at
		if !nano {
			want = at.Truncate(time.Microsecond)
		}
		data, info, err := r.ReadPacketData()
		if err != nil || string(data) != "frame" || !info.Timestamp.Equal(want) || info.Length != 5 || r.LinkType() != layers.LinkTypeRaw {
			t.Errorf("nano %v: %q at %v, link %v, error %v", nano, data, info.Timestamp, r.LinkType(), err)
		}
		if _, _, err := r.ReadPacketData(); err != io.EOF {
			t.Errorf("after the only frame: %v", err)
		}
	}
}

// fakeTB records whether a test would have failed.
type fakeTB struct {
	testing.TB
	failed   bool
	cleanups []func()
}

func (f *fakeTB) Helper()                { /* nothing to mark */ }
func (f *fakeTB) Errorf(string, ...any)  { f.failed = true }
func (f *fakeTB) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }

func TestGolden(t *testing.T) {
	if *update {
		t.Skip("with -update, golden files are not compared")
	}
	path := filepath.Join(t.TempDir(), "golden.txt")
	if err := os.WriteFile(path, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	same, other := fakeTB{TB: t}, fakeTB{TB: t}
	Golden(&same, path, []byte("a\nb\n"))
	Golden(&other, path, []byte("a\nc\n"))
	if same.failed || !other.failed {
		t.Errorf("the same text failed: %v; a different text failed: %v", same.failed, other.failed)
	}
}

func TestNoAllocs(t *testing.T) {
	if RaceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	var sink []byte
	none, some := fakeTB{TB: t}, fakeTB{TB: t}
	NoAllocs(&none, "reslice", 100, func() { sink = sink[:0] })
	NoAllocs(&some, "make", 100, func() { sink = make([]byte, 100) })
	if none.failed || !some.failed || len(sink) != 100 {
		t.Errorf("no allocation failed: %v; one failed: %v", none.failed, some.failed)
	}
}

func TestNoLeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clean, leaky := fakeTB{TB: t}, fakeTB{TB: t}
		NoLeaks(&clean)
		done := make(chan bool)
		go close(done)
		<-done
		clean.cleanups[0]()
		ending, stop := make(chan bool), make(chan bool)
		go func() { <-ending }()
		NoLeaks(&leaky)
		close(ending) // a goroutine that ends does not hide one that begins
		go func() { <-stop }()
		leaky.cleanups[0]()
		close(stop)
		if clean.failed || !leaky.failed {
			t.Errorf("an ended goroutine was a leak: %v; a running one: %v", clean.failed, leaky.failed)
		}
	})
}

// TestAppendFrameAllocatesNothing: building a frame into existing memory does not allocate.
func TestAppendFrameAllocatesNothing(t *testing.T) {
	p := Packet{Src: netip.MustParseAddr("192.0.2.1"), Dst: netip.MustParseAddr("192.0.2.2"), Proto: ProtoUDP, Payload: make([]byte, 50)}
	b := make([]byte, 0, 200)
	NoAllocs(t, "AppendFrame", 100, func() { b = p.AppendFrame(b[:0]) })
}
