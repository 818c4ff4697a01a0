package bpf

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"pktvisor/linktype"
)

// nflogMessage wraps a packet as the kernel does, with some attributes before it.
func nflogMessage(r *rand.Rand, family uint8, order binary.AppendByteOrder, packet []byte) []byte {
	b := []byte{family, 0, 0, 5}
	attribute := func(typ uint16, body []byte) {
		b = order.AppendUint16(b, uint16(4+len(body)))
		b = order.AppendUint16(b, typ)
		b = append(b, body...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	attribute(1, make([]byte, 4))
	for range r.IntN(10) {
		attribute(uint16(10+r.IntN(9)), make([]byte, r.IntN(20)))
	}
	if r.IntN(4) == 0 {
		attribute(16, make([]byte, 300))
	}
	attribute(9, packet)
	return b
}

// TestNFLOG compares with the packet alone, because libpcap does not support these messages.
func TestNFLOG(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		link   linktype.Type
		family uint8
		order  binary.AppendByteOrder
	}{
		{linktype.IPv4, 2, binary.LittleEndian}, {linktype.IPv4, 2, binary.BigEndian},
		{linktype.IPv6, 10, binary.LittleEndian}, {linktype.IPv6, 10, binary.BigEndian},
	} {
		f := forge{r: r}
		var packets, messages [][]byte
		for range 100 {
			f.b = nil
			if c.link == linktype.IPv4 {
				f.ipv4(0)
			} else {
				f.ipv6(0)
			}
			packets = append(packets, f.b)
			messages = append(messages, nflogMessage(r, c.family, c.order, f.b))
		}
		for _, expr := range expressions(t, "expressions") {
			words := "len less greater link ether byte ifindex bound broadcast"
			if containsAny(expr, strings.Fields(words)) || expr == "ip[20:4] = 0" || strings.Contains(expr, "-1") {
				continue // about the frame, not the packet
			}
			alone, err1 := Compile(expr, c.link, Options{})
			wrapped, err2 := Compile(expr, linktype.NFLOG, Options{})
			if errors.Is(err1, ErrRejectsAll) {
				alone, err1 = decode([]RawInsn{{Code: clsRet}}), nil
			}
			if errors.Is(err2, ErrRejectsAll) {
				wrapped, err2 = decode([]RawInsn{{Code: clsRet}}), nil
			}
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %v, %v", expr, err1, err2)
			}
			for i, p := range packets {
				want := alone.Match(p, uint32(len(p)))
				if got := wrapped.Match(messages[i], uint32(len(messages[i]))); got != want {
					// The padding after a packet does not belong to it, but can be read.
					if padded := append(p[:len(p):len(p)], 0, 0, 0); got == alone.Match(padded[:(len(p)+3)&^3], 0) {
						continue
					}
					t.Fatalf("%s on % x: %v, but %v in % x", expr, p, want, got, messages[i])
				}
			}
		}
	}
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
