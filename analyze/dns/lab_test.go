package dns

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"testing"
	"time"

	"pktvisor/analyze"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

const (
	ms     = int64(time.Millisecond)
	second = int64(time.Second)
)

func endpoint(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// The addresses of the host, as server and as client, and of others.
var (
	hostServer = endpoint("192.0.2.53:53")
	hostClient = endpoint("192.0.2.10:40001")
	farClient  = endpoint("198.51.100.7:40000")
	farServer  = endpoint("203.0.113.9:53")
	host6      = endpoint("[2001:db8:53::53]:53")
	far6       = endpoint("[2001:db8:99::7]:40000")
)

// lab is a reader and an analyzer, with the section that the analyzer flushes into and the clock of a shard.
type lab struct {
	*Analyzer
	reader  *Reader
	t       testing.TB
	section *metric.Section
	hosts   analyze.Hosts
	flushes int
	now     int64 // nanoseconds
	group   [1]analyze.Packet
}

func newLab(t testing.TB, change func(*Config)) *lab {
	t.Helper()
	hosts, err := analyze.ParseHosts("192.0.2.0/24,2001:db8:53::/48")
	if err != nil {
		t.Fatal(err)
	}
	seed := seedhash.New()
	l := &lab{t: t, hosts: hosts}
	cfg := Config{
		Seed: &seed, Sampler: analyze.NewSampler(100), Timeout: 5 * second, Slow: NewSlow(5),
		Flush: func() {
			l.flushes++
			l.FlushCounts(l.section, l.now/second)
			l.ReadCounts(l.section)
			l.FlushKeys(false, held{l.section})
		},
	}
	if change != nil {
		change(&cfg)
	}
	l.section = cmp.Or(cfg.Table, Table).New()
	l.Analyzer = New(cfg)
	l.reader = NewReader(ReaderConfig{Seed: &seed, Ports: []uint16{53, 5353, 5355}, Timeout: cfg.Timeout, Take: l.Analyzer})
	l.Follow(l.reader)
	return l
}

// Tick, Finish and Restart call the reader and then the analyzer, as a shard does.
func (l *lab) Tick(now int64) {
	l.reader.Tick(now)
	l.Analyzer.Tick(now)
}

func (l *lab) Finish() {
	l.reader.Finish()
	l.Analyzer.Finish()
}

func (l *lab) Restart() {
	l.reader.Finish()
	l.Analyzer.Restart()
}

// payload counts a packet whose payload is the whole message b.
func (l *lab) payload(p *analyze.Packet, b []byte) {
	p.Frame, p.CapLen, p.PayloadLen = b, uint32(len(b)), uint32(len(b))
	l.reader.udp(p, true)
	l.reader.hand()
}

// at advances the clock to the given time, second by second, as a shard does.
func (l *lab) at(now int64) *lab {
	for s := l.now/second + 1; s <= now/second; s++ {
		l.Tick(s * second)
	}
	l.now = now
	return l
}

// exactly makes all messages count at clients and as amplification, however many there are.
func (l *lab) exactly() *lab {
	l.sample.exact, l.sample.next = math.MaxUint64, math.MaxUint64
	return l
}

// settle advances the clock by the time that responses wait for their queries.
func (l *lab) settle() *lab { return l.at(l.now + earlyWait + second) }

// frame counts an Ethernet frame that was captured completely.
func (l *lab) frame(frame []byte) *lab { return l.cut(frame, len(frame)) }

// cut counts a frame of which the first n bytes were captured.
func (l *lab) cut(frame []byte, n int) *lab {
	var d decode.Decoder
	p := &l.group[0]
	*p = analyze.Packet{Frame: frame[:n:n]}
	d.Decode(&p.Packet, frame[:n:n], uint32(len(frame)), linktype.Ethernet, l.now)
	if p.Kind == decode.KindIP {
		p.Direction = l.hosts.Direction(p.Src, p.Dst)
	}
	l.reader.Packets(l.group[:])
	return l
}

// flush flushes everything and returns the metrics.
func (l *lab) flush() *Metrics {
	l.FlushCounts(l.section, l.now/second)
	l.ReadCounts(l.section)
	l.FlushKeys(true, held{l.section})
	m := metric.Of[Metrics](l.section)
	if m.Waiting != metric.Gauge(l.Open()) {
		l.t.Errorf("after the flush, %d queries wait according to the section, and %d do", m.Waiting, l.Open())
	}
	return m
}

// Open returns how many queries are waiting for a response, and count.
func (l *lab) Open() int { return l.Analyzer.Open() }

type values map[string]uint64

// want flushes and compares all counters with the given values. All other counters must be 0.
func (l *lab) want(sets ...values) *Metrics {
	l.t.Helper()
	want := values{}
	for _, s := range sets {
		for path, n := range s {
			if _, ok := Table.Find(path); !ok {
				l.t.Errorf("there is no %s", path)
			}
			want[path] += n
		}
	}
	m := l.flush()
	for i, d := range Table.Descs {
		if d.Kind == metric.KindCounter && l.section.Counter(i) != want[d.Path] {
			l.t.Errorf("%s is %d, want %d", d.Path, l.section.Counter(i), want[d.Path])
		}
	}
	return m
}

// rows returns all keys of a table.
func rows(top *metric.Top) values {
	all := values{}
	for key, n := range top.All() {
		all[string(key)] = n
	}
	return all
}

func (l *lab) wantRows(name string, top *metric.Top, want values) {
	l.t.Helper()
	if got := rows(top); !maps.Equal(got, want) {
		l.t.Errorf("%s: %v, want %v", name, got, want)
	}
}

func frameOf(proto uint8, src, dst netip.AddrPort, payload []byte) []byte {
	p := testkit.Packet{Src: src.Addr(), Dst: dst.Addr(), Proto: proto, SrcPort: src.Port(), DstPort: dst.Port(), Payload: payload, Flags: testkit.TCPAck | testkit.TCPPsh}
	return p.AppendFrame(nil)
}

func udp(src, dst netip.AddrPort, payload []byte) []byte {
	return frameOf(testkit.ProtoUDP, src, dst, payload)
}

// query makes a query for an A record.
func query(id uint16, name string) []byte {
	return testkit.AppendDNS(nil, id, testkit.DNSRD, name, 1)
}

// response makes a response to such a query. It has an answer if its rcode is NOERROR.
func response(id, rcode uint16, name string) []byte {
	b := testkit.AppendDNS(nil, id, testkit.DNSResponse|testkit.DNSRD|rcode, name, 1)
	if rcode == 0 {
		b = append(b, 0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 198, 18, 0, 1)
		b[7] = 1
	}
	return b
}

// withOPT appends an OPT record with the given upper bits of the rcode and options.
func withOPT(b []byte, rcode byte, options ...byte) []byte {
	b = append(b, 0, 0, 41, 4, 208, rcode, 0, 0, 0, 0, byte(len(options)))
	b[11]++
	return append(b, options...)
}

// withClass changes the class of the question at the end of a message.
func withClass(b []byte, class uint16) []byte {
	binary.BigEndian.PutUint16(b[len(b)-2:], class)
	return b
}

// withCount changes one of the four counts of the header.
func withCount(b []byte, section int, n uint16) []byte {
	binary.BigEndian.PutUint16(b[4+2*section:], n)
	return b
}
