package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/veth"
)

// attackedZone is the zone whose names the flood asks for.
const attackedZone = "victim-shop.com"

var server = netip.MustParseAddr("192.0.2.53")

// backgroundRate is in queries a second. Each has a response.
const backgroundRate = 500

// sendBackground sends ordinary queries and responses until ctx is done.
func (t *attack) sendBackground(ctx context.Context) {
	rng := rand.New(rand.NewPCG(1, 2))
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for range backgroundRate / 100 {
			client := netip.AddrFrom4([4]byte{10, 1, byte(rng.IntN(4)), byte(rng.IntN(50))})
			id, port, name := uint16(rng.Uint32()), uint16(1024+rng.IntN(60000)), fmt.Sprintf("www%d.site%d.example.net", rng.IntN(20), rng.IntN(30))
			query := testkit.Packet{Src: client, Dst: server, Proto: testkit.ProtoUDP, SrcPort: port, DstPort: 53, Payload: testkit.AppendDNS(nil, id, testkit.DNSRD, name, 1)}
			response := testkit.Packet{Src: server, Dst: client, Proto: testkit.ProtoUDP, SrcPort: 53, DstPort: port, Payload: testkit.AppendDNS(nil, id, testkit.DNSResponse|testkit.DNSAA, name, 1)}
			t.link.Send(query.AppendFrame(nil))
			t.link.Send(response.AppendFrame(nil))
			t.background.Add(2)
		}
	}
}

// The places of fields in the frame of a forged query: behind the Ethernet header of 14 bytes, the IP header of 20, the UDP
// header of 8 and the DNS header of 12.
const (
	ipAt    = 14
	labelAt = 14 + 20 + 8 + 12 + 1
	label   = "0123456789abcdef"
)

// sendForged sends queries for random names of the attacked zone, each from another random address, as fast as possible.
func (t *attack) sendForged(ctx context.Context, seed uint64, end time.Time) {
	link, err := veth.Dial()
	if err != nil {
		t.verdict(false, "sender %d: %v", seed, err)
		return
	}
	defer link.Close()
	rng := rand.New(rand.NewPCG(seed, 3))
	p := testkit.Packet{
		Src: netip.AddrFrom4([4]byte{}), Dst: server, Proto: testkit.ProtoUDP, SrcPort: 4096, DstPort: 53,
		Payload: testkit.AppendDNS(nil, 7, testkit.DNSRD, label+"."+attackedZone, 1),
	}
	frame := p.AppendFrame(nil)
	clear(frame[ipAt+20+6 : ipAt+20+8]) // no UDP checksum, which IPv4 allows
	const burst = 256
	for ctx.Err() == nil && time.Now().Before(end) {
		for range burst {
			source, name := rng.Uint32(), rng.Uint64()
			binary.BigEndian.PutUint32(frame[ipAt+12:], source&0x3fffffff|0x40000000)
			for i := range len(label) {
				frame[labelAt+i] = "abcdefghijklmnop"[name>>(4*i)&15]
			}
			setChecksum(frame[ipAt : ipAt+20])
			link.Send(frame)
		}
		t.forged.Add(burst)
	}
}

// setChecksum sets the checksum of an IPv4 header (RFC 1071).
func setChecksum(header []byte) {
	header[10], header[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	sum = sum&0xffff + sum>>16
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum))
}
