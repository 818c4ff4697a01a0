package agent

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// script is a capture that a test writes packet by packet.
type script struct {
	t      testing.TB
	frames []timed
}

type timed struct {
	at    int64
	frame []byte
}

func at(s string) int64 {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t.UnixNano()
}

func (s *script) add(at int64, frame []byte) { s.frames = append(s.frames, timed{at, frame}) }

// udp adds a UDP packet between two address:port pairs.
func (s *script) udp(at int64, src, dst string, payload []byte) {
	s.add(at, packetOf(testkit.ProtoUDP, src, dst, 0, 0, payload))
}

func packetOf(proto uint8, src, dst string, flags uint8, seq uint32, payload []byte) []byte {
	a, b := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	p := testkit.Packet{Src: a.Addr(), Dst: b.Addr(), SrcPort: a.Port(), DstPort: b.Port(), Proto: proto, Flags: flags, Seq: seq, Payload: payload}
	return p.AppendFrame(nil)
}

// file returns the capture as a pcap file.
func (s *script) file() []byte {
	var b bytes.Buffer
	w, err := testkit.NewPcapWriter(&b, true, linktype.Ethernet)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range s.frames {
		if err := w.Write(f.at, f.frame); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return b.Bytes()
}

// window summarises the capture into minutes.
func (s *script) window(change func(*setup)) *only {
	s.t.Helper()
	return summarise(s.t, s.file(), func(c *setup) {
		c.Single = false
		if change != nil {
			change(c)
		}
	})
}

// The metrics of a bucket.
func packetMetrics(b *metric.Bucket) *packets.Metrics {
	return metric.Of[packets.Metrics](b.Sections[0])
}

// openTransactions returns the number of queries that wait for their response.
func openTransactions(a *only) int { return int(dnsMetrics(a.Window().Totals()).Waiting) }

func dnsMetrics(b *metric.Bucket) *dns.Metrics { return metric.Of[dns.Metrics](b.Sections[1]) }

// summary is the part of the JSON that the tests here look at.
type summary struct {
	Period  struct{ StartTS, Length int64 }
	Packets struct{ Total uint64 }
	DNS     struct {
		Xact struct {
			Counts struct{ Total, Timeouts uint64 }
			Out    struct{ Timeouts uint64 }
		}
		Cardinality struct{ Qname uint64 }
		TopTimeout  []row `json:"top_timeout"`
		TopNXDomain []row `json:"top_nxdomain"`
	}
}

type row struct {
	Name     string
	Estimate uint64
}

// parse reads the JSON of a bucket as a client does.
func parse(t testing.TB, b *metric.Bucket) summary {
	t.Helper()
	var all map[string]struct {
		Period struct {
			StartTS int64 `json:"start_ts"`
			Length  int64 `json:"length"`
		}
		Packets json.RawMessage
		DNS     json.RawMessage
	}
	if err := json.Unmarshal(b.AppendJSON(nil, metric.JSONOptions{Key: "1m"}), &all); err != nil {
		t.Fatal(err)
	}
	x := all["1m"]
	var s summary
	s.Period.StartTS, s.Period.Length = x.Period.StartTS, x.Period.Length
	for into, raw := range map[any]json.RawMessage{&s.Packets: x.Packets, &s.DNS: x.DNS} {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func dnsQuery(id uint16, name string) []byte {
	return testkit.AppendDNS(nil, id, testkit.DNSRD, name, 1)
}

func dnsResponse(id, rcode uint16, name string) []byte {
	return testkit.AppendDNS(nil, id, testkit.DNSResponse|rcode, name, 1)
}

// overTCP puts the length of a message before it.
func overTCP(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}

// long makes a response of n bytes.
func long(id uint16, name string, n int) []byte {
	b := dnsResponse(id, 0, name)
	b[7] = 1
	b = append(b, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(n-len(b)-2))
	return append(b, make([]byte, n-len(b))...)
}

// segments adds a TCP stream of the given bytes, in segments of n bytes.
func (s *script) segments(at int64, src, dst string, stream []byte, n int) {
	seq := uint32(1000)
	s.add(at, packetOf(testkit.ProtoTCP, src, dst, testkit.TCPSyn, seq-1, nil))
	for part := range slices.Chunk(stream, n) {
		at += int64(100 * time.Microsecond)
		s.add(at, packetOf(testkit.ProtoTCP, src, dst, testkit.TCPAck, seq, part))
		seq += uint32(len(part))
	}
}
