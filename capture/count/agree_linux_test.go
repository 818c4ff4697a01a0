//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count_test

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/capture/count"
	"pktvisor/decode"
	"pktvisor/internal/seedhash"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// reference counts frames as a shard does, without a sample.
type reference struct {
	decoder decode.Decoder
	seed    seedhash.Seed
	hosts   analyze.Hosts
	reader  *dns.Reader
	packets *packets.Analyzer
	dns     *dns.Analyzer
	bucket  *metric.Bucket
	group   [1]analyze.Packet
}

// extended is a taker of messages that finds those whose rcode needs EDNS.
type extended bool

// Messages implements [dns.Messages].
func (e *extended) Messages(group []dns.Message) { *e = group[0].ExtRcode > 15 }

var referenceTables = []*metric.Table{packets.Table, dns.Table}

func newReference(hosts []netip.Prefix, ports []uint16, decap bool) *reference {
	r := &reference{seed: seedhash.New(), hosts: analyze.NewHosts(hosts), bucket: metric.NewBucket(referenceTables)}
	r.decoder.Decap = decap
	none := analyze.NewSampler(0)
	r.packets = packets.New(packets.Config{Seed: &r.seed, Sampler: none, Flush: func() {}, Scale: -4})
	r.dns = dns.New(dns.Config{Seed: &r.seed, Sampler: none, Timeout: 5e9, Slow: dns.NewSlow(2), Flush: func() {}, Scale: -4})
	r.reader = dns.NewReader(dns.ReaderConfig{Seed: &r.seed, Ports: ports, Timeout: 5e9, Take: r.dns, Scale: -4})
	return r
}

func (r *reference) decode(frame []byte, link linktype.Type) []analyze.Packet {
	r.group[0].Frame = frame
	r.decoder.Decode(&r.group[0].Packet, frame, uint32(len(frame)), link, 1e18)
	r.hosts.SetDirections(r.group[:])
	return r.group[:]
}

func (r *reference) add(frame []byte, link linktype.Type) {
	group := r.decode(frame, link)
	r.packets.Packets(group)
	r.reader.Packets(group)
}

// counters returns the counters, without those that the kernel does not count.
func (r *reference) counters() (packets.Counters, dns.Counters) {
	r.packets.FlushCounts(r.bucket.Sections[0], 1e9)
	r.dns.FlushCounts(r.bucket.Sections[1], 1e9)
	p, d := metric.Of[packets.Metrics](r.bucket.Sections[0]).Counters, metric.Of[dns.Metrics](r.bucket.Sections[1]).Counters
	d.EDNS, d.ECS, d.OtherClass, d.Malformed, d.NoQuestion = 0, 0, 0, 0, 0
	return p, d
}

// precounted returns the counters for what the kernel has counted.
func (r *reference) precounted(c *count.Counts) (packets.Counters, dns.Counters) {
	p := analyze.Precounted{Messages: c.DNS, Truncated: c.Truncated, Syn: c.TCP[count.Syn], SynAck: c.TCP[count.SynAck], Rst: c.TCP[count.Rst]}
	for i, x := range c.Cells {
		p.Cells[i] = analyze.PrecountedCell(x)
	}
	b := metric.NewBucket(referenceTables)
	r.packets.AddPrecounted(b.Sections[0], 1e9, false, &p)
	r.dns.AddPrecounted(b.Sections[1], 1e9, false, &p)
	return metric.Of[packets.Metrics](b.Sections[0]).Counters, metric.Of[dns.Metrics](b.Sections[1]).Counters
}

// The lengths of the frames that a test run takes.
const minTestFrame, maxTestFrame = 20, 3000

// agreement is the result of a comparison.
type agreement struct{ plain, other int }

// agree runs the program on every frame, and compares what it counts with what the agent's own code counts.
func agree(t *testing.T, c *count.Counter, hosts []netip.Prefix, ports []uint16, decap bool, frames [][]byte, link linktype.Type) (a agreement) {
	t.Helper()
	c.SetRaw(link == linktype.Raw)
	c.Counted()
	r := newReference(hosts, ports, decap)
	var sum count.Counts
	var needsEDNS extended
	probe := dns.NewReader(dns.ReaderConfig{Seed: &r.seed, Ports: ports, Timeout: 5e9, Take: &needsEDNS, Scale: -4})
	one := func(frame []byte, r *reference) (count.Counts, bool) {
		if !c.Run(t, frame) {
			t.Fatalf("a frame is not in a sample of everything: %x", frame)
		}
		got := c.Counted()
		if got[count.Sampled].Frames+got[count.Other].Frames != 1 || got[count.Skipped].Frames != 0 {
			t.Fatalf("a frame counts %d, %d and %d times: %x", got[count.Skipped].Frames, got[count.Sampled].Frames, got[count.Other].Frames, frame)
		}
		if got[count.Other].Frames == 1 {
			checkOther(t, &got[count.Other], frame)
			return count.Counts{}, false
		}
		r.add(frame, link)
		return got[count.Sampled], true
	}
	for _, frame := range frames {
		needsEDNS = false
		if group := r.decode(frame, link); group[0].Proto == decode.ProtoUDP {
			probe.Packets(group)
		}
		if needsEDNS {
			continue // the kernel does not read EDNS
		}
		if got, plain := one(frame, r); plain {
			sum.Add(&got)
			a.plain++
		} else {
			a.other++
		}
	}
	wantP, wantD := r.counters()
	gotP, gotD := r.precounted(&sum)
	if diff := cmp.Diff(wantP, gotP) + cmp.Diff(wantD, gotD); diff != "" {
		t.Errorf("of %d frames, decoder - and kernel +:\n%s", len(frames), diff)
		for _, frame := range frames { // which
			r := newReference(hosts, ports, decap)
			got, plain := one(frame, r)
			if !plain {
				continue
			}
			wantP, wantD := r.counters()
			gotP, gotD := r.precounted(&got)
			if diff := cmp.Diff(wantP, gotP) + cmp.Diff(wantD, gotD); diff != "" {
				t.Fatalf("%x\n%s", frame, diff)
			}
		}
	}
	return a
}

// checkOther checks what the program must know of every frame.
func checkOther(t *testing.T, c *count.Counts, frame []byte) {
	t.Helper()
	var packets, bytes uint64
	for _, x := range c.Cells {
		packets, bytes = packets+x.Packets, bytes+x.Bytes
	}
	if packets != 1 || bytes != uint64(len(frame)) || c.DNS != [64]uint64{} || c.Truncated != 0 {
		t.Fatalf("a frame of %d bytes that is not plain counts as %d packets, %d bytes, DNS %v: %x", len(frame), packets, bytes, c.DNS, frame)
	}
}

func captureFrames(path string) (frames map[linktype.Type][][]byte) {
	frames = map[linktype.Type][][]byte{}
	src, err := capture.OpenFile(path)
	if err != nil {
		return nil
	}
	defer src.Close()
	for {
		var b capture.Batch
		err := src.ReadBatch(&b)
		for _, f := range b.Frames {
			link := f.Link
			if link == linktype.IPv4 || link == linktype.IPv6 {
				link = linktype.Raw
			}
			if (link == linktype.Ethernet || link == linktype.Raw) && len(f.Data) >= minTestFrame && len(f.Data) <= maxTestFrame {
				frames[link] = append(frames[link], f.Data)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) || err != nil {
			return frames
		}
	}
}

var (
	testHosts = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fe80::/10")}
	testPorts = []uint16{53, 5353, 5355}
)

// manyHosts returns so many subnets that they need tries, the test's among them.
func manyHosts() []netip.Prefix {
	hosts := testHosts
	for i := range 10_000 {
		hosts = append(hosts, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)}), 32),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0x3f, 0xfe, byte(i >> 8), byte(i)}), 64))
	}
	return hosts
}

// TestAgree: the kernel's counts of the frames that it counts alone are those of the agent's own decoder and analyzers, for
// every frame of the repository's captures and of the corpus, with few host subnets, with many, and with tunnels.
func TestAgree(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	var paths []string
	for _, dir := range []string{"captures", "synthetic"} {
		list, err := filepath.Glob(filepath.Join(testkit.RepoRoot(t), "testdata", dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, list...)
	}
	t.Run("repository", func(t *testing.T) { agreeOn(t, paths, 1_000) })
	t.Run("corpus", func(t *testing.T) {
		var paths []string
		for _, c := range testkit.CorpusCaptures(t) {
			paths = append(paths, c.Path)
		}
		agreeOn(t, paths, 9_000)
	})
}

// maxFrames is how many frames of a capture are compared, so that the test takes seconds. Nothing differs in the others.
const maxFrames = 400

func agreeOn(t *testing.T, paths []string, least int) {
	for _, mode := range []struct {
		name  string
		decap bool
		hosts []netip.Prefix
	}{{"few hosts", false, testHosts}, {"many hosts", false, manyHosts()}, {"decap", true, testHosts}} {
		t.Run(mode.name, func(t *testing.T) {
			c := count.OpenTest(t, count.Config{Ports: testPorts, Tunnels: decode.TunnelPorts(), Decap: mode.decap, Hosts: mode.hosts, Threshold: count.All, Split: true})
			var sum agreement
			for _, path := range paths {
				for link, frames := range captureFrames(path) {
					frames = frames[:min(len(frames), maxFrames)]
					a := agree(t, c, mode.hosts, testPorts, mode.decap, frames, link)
					sum.plain, sum.other = sum.plain+a.plain, sum.other+a.other
				}
			}
			t.Logf("%d frames are plain, %d are not", sum.plain, sum.other)
			if sum.plain < least {
				t.Errorf("only %d of %d frames are plain", sum.plain, sum.plain+sum.other)
			}
		})
	}
}
