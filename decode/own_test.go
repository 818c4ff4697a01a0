package decode

import (
	"testing"

	"pktvisor/internal/testkit"
)

// ownDisagreements are tshark's answers about our own captures that this package does not share, what it says, and why.
var ownDisagreements = map[string]struct {
	counts counts
	why    string
}{
	"synthetic/ipv4-headers.pcap": {counts{13, 10, 0, 3, 6, 1, 6, 0, 0},
		"an IPv4 header of another version, one with a length below 20, and one that is cut off"},
}

// TestOwnCaptures compares the packets of the project's own captures with tshark's answers: the outermost ones, and the
// innermost ones of the captures that have tunnels.
func TestOwnCaptures(t *testing.T) {
	for _, c := range testkit.OwnCaptures(t) {
		recs, err := readCapture(c.Path)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		for decap, a := range map[bool]*testkit.Answers{false: c.Answers, true: c.Decap} {
			if a == nil {
				continue
			}
			d := Decoder{Decap: decap}
			var p Packet
			var got counts
			for _, r := range recs {
				d.Decode(&p, r.data, r.wireLen, r.link, r.time)
				checkSpread(t, &d, &p, r.data, r.link)
				got.add(&p)
				if !decap {
					checkPlain(t, r.data, r.wireLen)
				}
			}
			want := counts{int(a.Packets), int(a.IPv4), int(a.IPv6), int(a.NonIP), int(a.UDP), int(a.TCP), int(a.OtherL4), int(a.TCPSyn), int(a.TCPSynAck)}
			if known, ok := ownDisagreements[c.Name]; ok {
				want = known.counts
			}
			if got != want {
				t.Errorf("%s, decap %v:\n got %+v\nwant %+v", c.Name, decap, got, want)
			}
		}
	}
}
