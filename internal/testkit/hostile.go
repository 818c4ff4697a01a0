package testkit

import "encoding/binary"

// The only client of a flood, and what all its messages have in common.
const (
	hostilePort = 4444
	hostileID   = 7
)

// hostile makes a frame of a flood whose keys are chosen to collide in a table: queries with one port and ID for
// always different names, responses without a query, segments of one connection that leave holes, and fragments of
// one datagram that is never complete.
func (g *generator) hostile(at int64) {
	e := endpoints{in: true, peer: peer{clients4, 0}, clientPort: hostilePort, id: hostileID, server: hostServers[0][0]}
	e.client = e.peer.addr(g.cfg.World)
	m := dnsFacts{id: e.id, port: e.clientPort, name: g.names.newRandom(g.nameAt.draw(g.rng)), noReply: true}
	kind := g.rng.IntN(100)
	switch {
	case kind < 60:
		m.edns = kind < 30
		m.ecs = m.edns
		g.udpMessage(at, &e, &m)
		return
	case kind < 76:
		e.in, e.client, e.server = false, hostResolver[0], e.client
		m.noReply, m.reply = false, true
		g.udpMessage(at, &e, &m)
		return
	}
	p := Packet{Src: e.client, Dst: e.server, Proto: ProtoTCP, SrcPort: e.clientPort, DstPort: 53, Seq: 1000 * g.talks, Flags: TCPAck, Payload: signature[:1]}
	fragment := kind < 88
	if fragment {
		p.Proto, p.Flags, p.Payload = ProtoUDP, 0, signature[:16]
	}
	f := g.push(at)
	f.b = p.AppendFrame(f.b)
	if fragment {
		asFragment(f.b, uint16(1+g.talks%1000))
	}
	f.note = note{proto: p.Proto, flags: p.Flags, dir: dirIn, peer: e.peer, dns: f.note.dns}
}

// asFragment turns an IPv4 frame without tags into a fragment that is neither the first nor the last. place is its
// offset in units of 8 bytes.
func asFragment(frame []byte, place uint16) {
	const moreFragments = 1 << 13
	ip := frame[14:34]
	binary.BigEndian.PutUint16(ip[4:], hostileID)
	binary.BigEndian.PutUint16(ip[6:], moreFragments|place)
	ip[10], ip[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum))
}
