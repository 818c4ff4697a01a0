package analyze

import "pktvisor/metric"

// Precounted is what the kernel has counted in a second, of packets that no shard has seen: those outside the sample, and
// those for which the capture ring had no room. See package capture/count.
type Precounted struct {
	// Cells counts packets and their bytes on the wire. The index has the direction times 8, 4 for IPv6, and the transport:
	// 0 for others, 1 for UDP, 2 for TCP, 3 for frames without IP.
	Cells [32]PrecountedCell
	// Messages counts DNS messages over UDP. The index has the direction times 16, 8 for IPv6, and the outcome: 0 for queries, and
	// for responses 1 other rcodes, 2 SERVFAIL, 3 NXDOMAIN, 4 REFUSED, 5 NOERROR, 6 NODATA.
	Messages [64]uint64
	// Truncated counts DNS responses with the TC bit.
	Truncated uint64
	// Syn, SynAck and Rst count TCP segments.
	Syn, SynAck, Rst uint64
}

// PrecountedCell counts packets and bytes.
type PrecountedCell struct{ Packets, Bytes uint64 }

// BytesUDP returns the bytes of the UDP packets.
func (p *Precounted) BytesUDP() (sum uint64) {
	for i, c := range p.Cells {
		if i&3 == 1 {
			sum += c.Bytes
		}
	}
	return sum
}

// Precounter is implemented by analyzers whose counters include packets that no shard has seen.
type Precounter interface {
	// AddPrecounted adds the counts of a second (Unix time) to a bucket's section. If late is true, the section is not of that
	// second, and its rates must not change. During the call, the section's counts are locked.
	AddPrecounted(s *metric.Section, second int64, late bool, p *Precounted)
}
