package agent

import (
	"encoding/json"
	"io"
	"testing"

	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
	"pktvisor/policy"
)

// bytesSource cuts bytes into frames. Each frame has a byte for its length, one for its link layer and two for its time.
type bytesSource struct {
	recorded
	b  []byte
	at int64
}

var fuzzLinks = []linktype.Type{1, 101, 113, 0, 12, 9, 105, 276}

// ReadBatch returns all that is left.
func (s *bytesSource) ReadBatch(b *capture.Batch) error {
	b.Frames = b.Frames[:0]
	for len(s.b) >= 4 {
		n := min(2*int(s.b[0]), len(s.b)-4)
		// Mostly milliseconds pass, sometimes minutes, and sometimes the clock steps back.
		pass := int64(int8(s.b[2]))
		s.at += pass * pass * pass * int64(s.b[3]) * 1e6
		b.Frames = append(b.Frames, capture.Frame{
			Data: s.b[4 : 4+n : 4+n], Time: s.at, WireLen: uint32(n) + uint32(s.b[1]>>5), Link: fuzzLinks[s.b[1]%8],
		})
		s.b = s.b[4+n:]
	}
	s.b = nil
	if len(b.Frames) == 0 {
		return io.EOF
	}
	return nil
}

// Stats returns no counters.
func (s *bytesSource) Stats() capture.Stats { return capture.Stats{} }

// Close does nothing.
func (s *bytesSource) Close() error { return nil }

// FuzzFrames: with any frames at any times, nothing panics, each packet counts once, and the JSON is well-formed. Hashes
// differ from run to run, and so does the coverage that the fuzzer sees, so run it with -fuzzminimizetime=1x.
func FuzzFrames(f *testing.F) {
	seed := func(frames ...[]byte) {
		var b []byte
		for i, x := range frames {
			b = append(append(b, byte((len(x)+1)/2), 0, byte(i%5), byte(i)), x...)
			if len(x)%2 == 1 {
				b = append(b, 0)
			}
		}
		f.Add(b)
	}
	seed(oneQuery, packetOf(17, server, client, 0, 0, dnsResponse(1, 0, "a.example")))
	seed(packetOf(testkit.ProtoTCP, client, server, testkit.TCPSyn, 9, nil), packetOf(testkit.ProtoTCP, client, server, testkit.TCPAck, 10, overTCP(dnsQuery(1, "a.example"))))
	seed(packetOf(17, client6, server6, 0, 0, dnsQuery(1, "b.example")), testkit.AppendARP(nil, hostAddr, hostAddr), oneQuery[:30])
	f.Fuzz(func(t *testing.T, b []byte) {
		frames := 0
		for rest := b; len(rest) >= 4; frames++ {
			rest = rest[4+min(2*int(rest[0]), len(rest)-4):]
		}
		a := newAgent(t, func(c *setup) {
			c.Single = false
			c.TapConfig.Scale, c.PolicyConfig.Scale = policy.MinScale, policy.MinScale // many times as many executions
		})
		if err := a.RunFile(t.Context(), &bytesSource{b: b, at: 1_700_000_000e9}); err != nil {
			t.Fatal(err)
		}
		if frames == 0 {
			return
		}
		totals := a.Window().Totals()
		p, d := packetMetrics(totals), dnsMetrics(totals)
		if p.Total != metric.Counter(frames) || p.Total != p.IPv4+p.IPv6+p.NonIP+p.Malformed+p.Unsupported ||
			p.Total != p.UDP+p.TCP+p.OtherL4 || p.Total != p.In+p.Out+p.UnknownDir || p.Size.Count() != uint64(p.Total) {
			t.Errorf("%d frames: %+v", frames, p.Counters)
		}
		if d.Total != d.Queries+d.Replies || d.Total != d.UDP+d.TCP || d.Replies != d.NoError+d.NXDomain+d.ServFail+d.Refused+d.OtherRcode ||
			d.Xacts+d.Orphans > d.Replies || d.Xacts+d.Timeouts+d.Repeats+d.Evicted+d.Open > d.Queries {
			t.Errorf("%d frames: %+v", frames, d.Counters)
		}
		if b := a.Window().Merged(5).AppendJSON(nil, metric.JSONOptions{Key: "5m"}); !json.Valid(b) {
			t.Errorf("not valid JSON: %s", b)
		}
	})
}
