package agent

import (
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/analyze/dns"
	"pktvisor/capture"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// TestLiveEnd: at the end of a live capture, incomplete messages in fragments and in segments count, and so do the queries that
// wait, each once.
func TestLiveEnd(t *testing.T) {
	client, server := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.53")
	message := func(id uint16, flags uint16, n int) []byte {
		b := binary.BigEndian.AppendUint16(nil, id)
		b = binary.BigEndian.AppendUint16(b, flags)
		b = append(b, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1)
		return append(b, make([]byte, n)...)
	}
	frame := func(p testkit.Packet) []byte { return p.AppendFrame(nil) }
	udp := func(src, dst netip.Addr, sport, dport uint16, m []byte) []byte {
		return frame(testkit.Packet{Src: src, Dst: dst, Proto: testkit.ProtoUDP, SrcPort: sport, DstPort: dport, Payload: m})
	}
	part := udp(server, client, 53, 4001, message(1, 0x8000, 3000))[:14+20+1480]
	binary.BigEndian.PutUint16(part[14+2:], 20+1480)
	binary.BigEndian.PutUint16(part[14+6:], 0x2000)
	tcp := func(m []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, uint16(len(m)+1000)) // 1000 bytes never arrive
		return frame(testkit.Packet{Src: server, Dst: client, Proto: testkit.ProtoTCP, SrcPort: 53, DstPort: 4002, Seq: 100, Ack: 1, Flags: testkit.TCPAck, Payload: append(b, m...)})
	}
	for _, failed := range []error{nil, context.Canceled, io.ErrUnexpectedEOF} {
		s := &scripted{fail: failed}
		for i, data := range [][]byte{
			udp(client, server, 4001, 53, message(1, 0, 0)),
			udp(client, server, 4003, 53, message(3, 0, 0)), // is never answered
			part, tcp(message(2, 0x8000, 300)),
		} {
			s.frames = append(s.frames, capture.Frame{
				Data: data, WireLen: uint32(len(data)), Link: linktype.Ethernet, Time: bubbleStart.Add(100*time.Second + time.Duration(i)*time.Millisecond).UnixNano(),
			})
		}
		synctest.Test(t, func(t *testing.T) {
			a, all := liveAgent(t, []*scripted{s}, nil)
			ctx, stop := context.WithTimeout(t.Context(), 100*time.Second+200*time.Millisecond)
			defer stop()
			var running sync.WaitGroup
			running.Go(func() { a.RunLive(ctx, all) })
			running.Wait()
			c := metric.Of[dns.Metrics](a.Window().Totals().Sections[1]).Counters
			if c.Total != 4 || c.Xacts != 1 || c.TCP != 1 || c.Open != 1 || c.Orphans != 1 || c.FragIncomplete != 1 {
				t.Errorf("ended by %v: %d messages, %d transactions, %d over TCP, %d open, %d orphans, %d of fragments", failed, c.Total, c.Xacts, c.TCP, c.Open, c.Orphans, c.FragIncomplete)
			}
			if n := openTransactions(a); n != 0 {
				t.Errorf("ended by %v: %d queries still wait", failed, n)
			}
		})
	}
}
