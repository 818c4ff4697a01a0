package dns

import (
	"testing"

	"pktvisor/internal/testkit"
)

// record returns a resource record of a zone, in class IN.
func record(rrtype byte, data ...byte) []byte {
	return append([]byte{2, 'c', 'h', 0xc0, 12, 0, rrtype, 0, 1, 0, 0, 1, 44, 0, byte(len(data))}, data...)
}

// TestReferral: if a response has neither an error nor an answer, its authority section decides whether it is a referral or a
// response without data (RFC 2308, sections 2.1 and 2.2).
func TestReferral(t *testing.T) {
	ns, soa := record(2, 0xc0, 12), record(6, append([]byte{0, 0}, make([]byte, 20)...)...)
	rrsig, ds := record(46, make([]byte, 40)...), record(43, make([]byte, 36)...)
	const plain, aa = testkit.DNSResponse, testkit.DNSResponse | testkit.DNSAA
	question := len(query(1, "x.example"))
	for _, c := range []struct {
		name      string
		flags     uint16
		authority [][]byte
		cut       int // captured bytes of the message; 0 means all
		want      values
	}{
		{"NODATA, type 1", aa, [][]byte{soa, ns, ns}, 0, values{"nodata": 1}},
		{"NODATA, type 1, the SOA record last", plain, [][]byte{ns, ns, rrsig, soa}, 0, values{"nodata": 1}},
		{"NODATA, type 2", aa, [][]byte{soa}, 0, values{"nodata": 1}},
		{"NODATA, type 2, by a resolver", plain, [][]byte{soa, rrsig}, 0, values{"nodata": 1}},
		{"NODATA, type 3", plain, nil, 0, values{"nodata": 1}},
		{"referral", plain, [][]byte{ns, ns}, 0, values{"referrals": 1}},
		{"signed referral", plain, [][]byte{ns, ds, rrsig}, 0, values{"referrals": 1}},
		{"neither record", plain, [][]byte{ds, rrsig}, 0, values{"nodata": 1}},
		{"authoritative", aa, [][]byte{ns}, 0, values{"nodata": 1}},
		{"truncated", plain | testkit.DNSTC, [][]byte{ns}, 0, values{"truncated": 1}},
		{"NXDOMAIN", plain | 3, [][]byte{ns}, 0, values{"nxdomain": 1}},
		{"UPDATE", plain | 5<<11, [][]byte{ns}, 0, values{"other_opcode": 1}},
		{"cut after the type of the first record, NS", plain, [][]byte{ns, soa}, question + 7, nil},
		{"cut after the type of the first record, SOA", plain, [][]byte{soa}, question + 7, values{"nodata": 1}},
		{"cut after the NS record, where no other comes", plain, [][]byte{ns}, question + len(ns) - 1, nil},
		{"cut before the type of the first record", plain, [][]byte{ns, soa}, question + 6, nil},
		{"cut in the question", plain, [][]byte{ns}, question - 1, values{"no_question": 1}},
		{"cut in the question, authoritative", aa, [][]byte{ns}, question - 1, values{"nodata": 1, "no_question": 1}},
		{"cut, no records", plain, nil, question - 1, values{"nodata": 1, "no_question": 1}},
	} {
		msg := testkit.AppendDNS(nil, 1, c.flags, "x.example", 1)
		for _, rr := range c.authority {
			msg = append(msg, rr...)
		}
		msg = withCount(msg, 2, uint16(len(c.authority)))
		l := newLab(t, nil)
		frame := udp(hostServer, farClient, msg)
		size := len(frame)
		if c.cut > 0 {
			size = 14 + 20 + 8 + c.cut
		}
		l.cut(frame, size).settle()
		want := values{}
		for path, n := range c.want {
			want["wire_packets."+path] = n
		}
		if c.flags&15 == 0 {
			want["wire_packets.noerror"] = 1
		}
		t.Run(c.name, func(t *testing.T) {
			l.t = t
			m := l.want(responseOut, want)
			nodata, noerror := values{}, values{}
			if c.want["no_question"] == 0 && c.flags&15 == 0 {
				noerror["x.example"] = 1
				if c.want["nodata"] > 0 {
					nodata["x.example"] = 1
				}
			}
			l.wantRows("top_nodata", &m.TopNoData, nodata)
			l.wantRows("top_noerror", &m.TopNoError, noerror)
		})
	}
	// The header claims more records than the message has. The missing records do not make it a referral.
	l := newLab(t, nil).frame(udp(hostServer, farClient, withCount(testkit.AppendDNS(nil, 1, plain, "x.example", 1), 2, 9))).settle()
	l.want(responseOut, values{"wire_packets.noerror": 1, "wire_packets.nodata": 1})
}

// TestHeaderCut: if the capture cut a payload within its DNS header, its length on the wire decides whether it is too short to
// be DNS.
func TestHeaderCut(t *testing.T) {
	for _, c := range []struct {
		name          string
		frame         []byte
		header, bytes int // the length of the headers before the payload, and the captured bytes of the payload
		want          values
	}{
		{"IPv4", udp(farClient, hostServer, query(1, "a")), 42, 11, values{"header_cut": 1}},
		{"IPv6", udp(far6, host6, query(1, "a")), 62, 2, values{"header_cut": 1}},
		{"none of it", udp(farClient, hostServer, query(1, "a")), 42, 0, values{"header_cut": 1}},
		{"no more than a header", udp(farClient, hostServer, query(1, "a")[:12]), 42, 11, values{"header_cut": 1}},
		{"less than a header", udp(farClient, hostServer, query(1, "a")[:11]), 42, 10, values{"not_dns": 1}},
	} {
		t.Run(c.name, func(t *testing.T) { newLab(t, nil).cut(c.frame, c.header+c.bytes).want(c.want) })
	}
}
