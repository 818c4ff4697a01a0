package decode

import "pktvisor/linktype"

// Decoder decodes frames. Its zero value is ready to use, and decodes the outermost IP header. It keeps no state
// between frames, so several goroutines may use one decoder.
type Decoder struct {
	// Decap makes the innermost IP packet count that can be decoded, instead of the outermost. Tunnels are
	// followed at most maxTunnels deep: IP in IP, GRE, ERSPAN, VXLAN, Geneve, GTP-U, Teredo, L2TP, EtherIP,
	// Ethernet in IPv6 (SRv6), MPLS in IP and UDP, TZSP, LISP, GUE and WCCP.
	Decap bool
}

// network is the protocol that a link layer carries.
type network uint8

const (
	netNone network = iota // well-formed, but not IP
	netIPv4
	netIPv6
	netMalformed
	netUnsupported
)

var kindOf = [...]Kind{
	netNone:        KindNonIP,
	netIPv4:        KindMalformed, // the IP header itself could not be decoded
	netIPv6:        KindMalformed,
	netMalformed:   KindMalformed,
	netUnsupported: KindUnsupportedLink,
}

// Decode sets every field of p from the captured bytes of a frame. wireLen is the frame's length on the wire in
// bytes, link its link type and time its time in nanoseconds since the Unix epoch. Neither p nor d keeps a reference
// to the frame.
func (d *Decoder) Decode(p *Packet, frame []byte, wireLen uint32, link linktype.Type, time int64) {
	if !d.DecodePlain(p, frame, wireLen, link, time) {
		d.DecodeAny(p, frame, wireLen, link, time)
	}
}

// DecodePlain does what [Decoder.Decode] does, for the most common kind of frame: a plain UDP datagram in Ethernet. For all
// other frames it returns false, and p is undefined. A loop that calls it and, where it returns false, [Decoder.DecodeAny]
// takes fewer instructions than one that calls Decode: it need not keep the arguments during the first call.
func (d *Decoder) DecodePlain(p *Packet, frame []byte, wireLen uint32, link linktype.Type, time int64) bool {
	return link == linktype.Ethernet && !d.Decap && p.plainUDP(frame, wireLen, time)
}

// DecodeAny does what [Decoder.Decode] does, for every kind of frame, without trying [Decoder.DecodePlain] first.
func (d *Decoder) DecodeAny(p *Packet, frame []byte, wireLen uint32, link linktype.Type, time int64) {
	*p = Packet{Time: time, WireLen: wireLen}
	net, off, etherType := find(frame, wireLen, link)
	wireEnd := max(int(wireLen), len(frame))
	if !p.network(frame, off, wireEnd, net) {
		p.Kind = kindOf[net]
		if net == netNone && etherType != 0 && off <= len(frame) {
			p.EtherType, p.Payload, p.CapLen, p.PayloadLen = etherType, uint32(off), uint32(len(frame)-off), uint32(wireEnd-off)
		}
		return
	}
	if d.Decap && tunnelProto[p.Proto] {
		p.decapsulate(frame)
	}
}

// find returns what the link layer carries, and where that starts. If that is neither IP nor malformed, etherType
// names it, or is 0 if no field does.
func find(frame []byte, wireLen uint32, link linktype.Type) (net network, off int, etherType uint16) {
	// Nearly every frame is Ethernet and needs no further search.
	if link == linktype.Ethernet && len(frame) >= 14 {
		switch etherType := be16(frame[12:]); etherType {
		case etherTypeIPv4:
			return netIPv4, 14, 0
		case etherTypeIPv6:
			return netIPv6, 14, 0
		default:
			w := walk{end: max(int(wireLen), len(frame))}
			net, off = w.ethernetPayload(frame, 14, etherType)
			return net, off, w.etherType
		}
	}
	w := walk{end: max(int(wireLen), len(frame))}
	net, off = w.linkLayer(frame, link)
	return net, off, w.etherType
}

// network decodes the IP packet that starts at off, and reports whether there is one. If there is none, it leaves p
// unchanged. wireEnd is where the bytes for the packet end on the wire.
func (p *Packet) network(frame []byte, off, wireEnd int, net network) bool {
	switch net {
	case netIPv4:
		return p.ipv4(frame, off, wireEnd)
	case netIPv6:
		return p.ipv6(frame, off, wireEnd)
	}
	return false
}
