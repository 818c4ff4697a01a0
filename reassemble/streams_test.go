package reassemble

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pktvisor/decode"
)

// sender makes the segments of one direction of a connection.
type sender struct {
	p decode.Packet
}

func newSender(port int, isn uint32) *sender {
	return &sender{decode.Packet{
		Kind: decode.KindIP, Version: 4, Proto: decode.ProtoTCP, Flags: decode.FlagL4,
		Src: decode.AddrFrom4(0xc0000201), Dst: decode.AddrFrom4(0xc6336402),
		SrcPort: uint16(port), DstPort: 53, Seq: isn,
	}}
}

// collector is Streams and the messages that it returned.
type collector struct {
	*Streams
	msgs  [][]byte
	times []int64
	sizes []uint32
}

func collectStreams(cfg StreamsConfig) *collector {
	c := new(collector)
	cfg.Message = func(m *Message) {
		c.msgs = append(c.msgs, bytes.Clone(m.Bytes))
		c.times, c.sizes = append(c.times, m.Time), append(c.sizes, m.Size)
	}
	c.Streams = NewStreams(cfg)
	return c
}

// take returns the messages that came since the last call.
func (c *collector) take() [][]byte {
	msgs := c.msgs
	c.msgs = nil
	return msgs
}

// tick calls Tick with the given time and returns the messages that come out.
func (c *collector) tick(now int64) [][]byte {
	c.Tick(now)
	return c.take()
}

// add passes a segment at seq to s and returns copies of the messages that come out.
func (c *sender) add(s *collector, seq uint32, flags uint8, b []byte) [][]byte {
	return c.addCut(s, seq, flags, b, len(b))
}

// addCut is add for a segment of which n bytes were captured.
func (c *sender) addCut(s *collector, seq uint32, flags uint8, b []byte, n int) (out [][]byte) {
	c.p.Seq, c.p.TCPFlags = seq, flags|decode.TCPAck
	c.p.CapLen, c.p.PayloadLen = uint32(n), uint32(len(b))
	b = bytes.Clone(b[:n])
	s.Add(&c.p, b, 7)
	clear(b) // the caller reuses its memory
	return s.take()
}

// query makes a DNS message of n bytes, at least 17, identified by id.
func query(id, n int) []byte {
	b := make([]byte, n)
	binary.BigEndian.PutUint16(b, uint16(id))
	b[2], b[5] = 1, 1
	return b
}

// framed puts the messages' lengths before them.
func framed(msgs ...[]byte) (b []byte) {
	for _, m := range msgs {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(m))), m...)
	}
	return b
}

func wantMessages(t *testing.T, what string, got [][]byte, want ...[]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s: %s, want %s", what, describe(got), describe(want))
	}
}

func describe(msgs [][]byte) string {
	var b []byte
	for _, m := range msgs {
		b = fmt.Appendf(b, "[%d bytes, id %d] ", len(m), be16(m))
	}
	return fmt.Sprintf("%d messages %s", len(msgs), b)
}

// TestAnySegmentation cuts, shuffles, repeats and overlaps a stream's segments: the messages that come out are those
// that went in.
func TestAnySegmentation(t *testing.T) { rapid.Check(t, anySegmentation) }

// FuzzSegmentation lets coverage guide the choices of TestAnySegmentation.
func FuzzSegmentation(f *testing.F) { f.Fuzz(rapid.MakeFuzz(anySegmentation)) }

func anySegmentation(t *rapid.T) {
	isn := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(1<<32-70000, 1<<32-1)).Draw(t, "isn")
	size := rapid.OneOf(rapid.IntRange(12, 40), rapid.IntRange(12, 3000), rapid.Just(65535))
	var want [][]byte
	for i, n := range rapid.SliceOfN(size, 1, 8).Draw(t, "sizes") {
		m := bytes.Repeat([]byte{byte(i + 1), 0xff, 7}, n/3+1)[:n]
		want = append(want, m)
	}
	stream := framed(want...)
	type segment struct{ from, to int }
	var segs []segment
	longest := rapid.SampledFrom([]int{2, 100, 1460, 9000, 70000}).Draw(t, "longest")
	if len(stream) > 1000 {
		longest = max(longest, 100, len(stream)/50)
	}
	for at := 0; at < len(stream); {
		n := min(rapid.IntRange(1, longest).Draw(t, "n"), len(stream)-at)
		if len(stream) > 1000 {
			n = min(max(n, longest/2), len(stream)-at)
		}
		back := min(at, rapid.SampledFrom([]int{0, 0, 0, 1, 50, 2000}).Draw(t, "back"))
		segs = append(segs, segment{at - back, at + n})
		if rapid.IntRange(0, 9).Draw(t, "again") == 0 {
			segs = append(segs, segs[rapid.IntRange(0, len(segs)-1).Draw(t, "which")])
		}
		at += n
	}
	// Segments are overtaken by up to 20 others.
	late := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 20}), len(segs), len(segs)).Draw(t, "late")
	order := make([]int, len(segs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return i + late[i] - j - late[j] })
	s := collectStreams(StreamsConfig{})
	c := newSender(1, isn)
	got := c.add(s, isn, decode.TCPSyn, nil)
	for _, i := range order {
		g := segs[i]
		var flags uint8
		if g.to == len(stream) {
			flags = decode.TCPFin
		}
		got = append(got, c.add(s, isn+1+uint32(g.from), flags, stream[g.from:g.to])...)
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("got %s, want %s", describe(got), describe(want))
	}
	if st := s.Stats(); s.flows.count != 1 || st.Gaps+st.Lost+st.Evicted != 0 || s.pool.used != 0 {
		t.Fatalf("left: %+v, %d blocks", st, s.pool.used)
	}
}

func TestFastOpen(t *testing.T) {
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	q := query(1, 30)
	wantMessages(t, "SYN with data", c.add(s, 99, decode.TCPSyn, framed(q)), q)
	wantMessages(t, "SYN sent again without", c.add(s, 99, decode.TCPSyn, nil))
	wantMessages(t, "data sent again", c.add(s, 100, 0, framed(q)))
	wantMessages(t, "the next", c.add(s, 132, 0, framed(query(2, 20))), query(2, 20))
}

func TestClosed(t *testing.T) {
	q := query(1, 30)
	s, c := collectStreams(StreamsConfig{IdleNanos: 1000}), newSender(1, 0)
	c.add(s, 99, decode.TCPSyn, nil)
	wantMessages(t, "with FIN", c.add(s, 100, decode.TCPFin, framed(q)), q)
	wantMessages(t, "sent again", c.add(s, 100, decode.TCPFin, framed(q)))
	wantMessages(t, "another connection", c.add(s, 200, 0, framed(q)), q)
	c.add(s, 232, decode.TCPFin, nil)
	wantMessages(t, "and another, with SYN", append(c.add(s, 300, decode.TCPSyn, nil), c.add(s, 301, decode.TCPFin, framed(q))...), q)
	c.p.Time = 1001
	c.add(s, 0, decode.TCPSyn, nil)
	if st := s.Stats(); st != (StreamsStats{}) {
		t.Errorf("%+v", st)
	}
}

// TestJoin: a capture starts in the middle of connections.
func TestJoin(t *testing.T) {
	q, r := query(1, 300), query(2, 40)
	s := collectStreams(StreamsConfig{})
	c := newSender(1, 0)
	wantMessages(t, "amid a message", c.add(s, 1000, 0, bytes.Repeat([]byte{0xee}, 200)))
	wantMessages(t, "a start", c.add(s, 1200, 0, framed(q)[:100]))
	wantMessages(t, "its end", c.add(s, 1300, 0, append(framed(q)[100:], framed(r)...)), q, r)

	c = newSender(2, 0)
	wantMessages(t, "length alone", c.add(s, 1000, 0, []byte{0, 40}))
	wantMessages(t, "then the message", c.add(s, 1002, 0, r), r)

	c = newSender(3, 0)
	wantMessages(t, "keep-alive", c.add(s, 999, 0, []byte{0}))
	wantMessages(t, "after it", c.add(s, 1000, 0, framed(r)), r)
	wantMessages(t, "keep-alive amid", c.add(s, 1041, 0, []byte{0}))
	wantMessages(t, "after that", c.add(s, 1042, 0, framed(r)), r)

	for _, b := range [][]byte{{}, {0}, {0, 5}, {255, 255}, make([]byte, 40), []byte("GET / HTTP/1.1\r\n\r\n"), {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0}} {
		if plausible(b, uint32(len(b))) {
			t.Errorf("% x is plausible", b)
		}
	}
	if s.flows.count != 3 {
		t.Errorf("%d streams", s.flows.count)
	}
}

// TestGaps: the capture loses segments.
func TestGaps(t *testing.T) {
	a, b, d := query(1, 50), query(2, 60), query(3, 70)
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	c.add(s, 0, decode.TCPSyn, nil)
	wantMessages(t, "first", c.add(s, 1, 0, framed(a)), a)
	// 53…152 is lost, and the rest of that message follows.
	wantMessages(t, "amid", c.add(s, 153, 0, bytes.Repeat([]byte{0xee}, 20)))
	wantMessages(t, "behind the hole", c.add(s, 173, 0, framed(b)))
	c.p.Time += holeTimeout + 1
	wantMessages(t, "after the time", c.add(s, 235, 0, framed(d)), b, d)
	// The stream is closed behind a hole.
	wantMessages(t, "behind another hole", c.add(s, 1000, 0, framed(a)))
	wantMessages(t, "closed", c.add(s, 1052, decode.TCPFin, nil))
	wantMessages(t, "before the time", s.tick(c.p.Time+holeTimeout))
	wantMessages(t, "after the time", s.tick(c.p.Time+holeTimeout+1), a)
	if st := s.Stats(); st.Gaps != 2 || s.flows.count != 1 || len(s.times) != 4 || s.pool.used != 0 {
		t.Errorf("%+v, %d blocks", st, s.pool.used)
	}

	// If the other side has acknowledged the missing bytes, they will not be sent again. But segments overtake
	// each other on their way to the capture.
	for _, late := range []bool{false, true} {
		s, c = collectStreams(StreamsConfig{}), newSender(1, 0)
		c.add(s, 0, decode.TCPSyn, nil)
		wantMessages(t, "behind a hole", c.add(s, 53, 0, framed(b)))
		other := newSender(53, 0)
		other.p.Src, other.p.Dst, other.p.DstPort = c.p.Dst, c.p.Src, 1
		other.p.Ack = 1
		other.add(s, 0, 0, nil)
		wantMessages(t, "acknowledged up to the hole", c.add(s, 115, 0, framed(d)[:50]))
		other.p.Ack = 115
		other.add(s, 0, 0, nil)
		if late {
			wantMessages(t, "late", c.add(s, 1, 0, framed(a)), a, b)
		} else {
			wantMessages(t, "acknowledged just now", c.add(s, 165, 0, framed(d)[50:]))
			c.p.Time += lostTimeout + 1
			wantMessages(t, "acknowledged a while ago", c.add(s, 187, 0, framed(a)), b, d, a)
		}
	}

	// More bytes follow a hole than a stream keeps.
	s, c = collectStreams(StreamsConfig{}), newSender(1, 0)
	c.add(s, 0, decode.TCPSyn, nil)
	n, seq := 0, uint32(100)
	for range maxStreamPieces + 1 {
		n += len(c.add(s, seq, 0, framed(a)))
		seq += 52
	}
	if st := s.Stats(); n != maxStreamPieces+1 || st.Gaps != 1 {
		t.Errorf("%d messages, %+v", n, st)
	}
}

// TestCut: a snap length cuts segments off.
func TestCut(t *testing.T) {
	a, b := query(1, 50), query(2, 600)
	s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
	c.add(s, 0, decode.TCPSyn, nil)
	both := framed(a, b)
	wantMessages(t, "cut", c.addCut(s, 1, 0, both, 100), a, b[:46])
	if got := s.sizes[1]; got != 600 {
		t.Errorf("size %d, want that of the message, 600", got)
	}
	wantMessages(t, "sent again, whole", c.add(s, 1, 0, both))
	wantMessages(t, "after it", c.add(s, 1+uint32(len(both)), 0, framed(a)), a)
	if st := s.Stats(); st.Gaps != 0 || st.Incomplete != 1 || s.pool.used != 0 {
		t.Errorf("%+v, %d blocks", st, s.pool.used)
	}
}

func TestEnds(t *testing.T) {
	a := query(1, 50)
	s := collectStreams(StreamsConfig{MaxFlows: 4, IdleNanos: 1000})
	c := newSender(1, 0)
	c.add(s, 0, 0, framed(a)[:30])
	wantMessages(t, "reset", c.add(s, 30, decode.TCPRst, nil), a[:28])
	if s.flows.count != 0 || s.pool.used != 0 {
		t.Errorf("after RST: %d streams, %d blocks", s.flows.count, s.pool.used)
	}
	c.add(s, 0, 0, framed(a)[:30])
	wantMessages(t, "another connection", c.add(s, 1<<30, 0, framed(a)), a[:28], a)
	wantMessages(t, "no message", c.add(s, 1<<30+52, 0, []byte{0, 3, 1, 2, 3}))
	wantMessages(t, "sent again, before bytes that are not a message", c.add(s, 1<<30, 0, framed(a)))
	wantMessages(t, "after it", c.add(s, 1<<30+57, 0, framed(a)), a)
	if st := s.Stats(); st.Lost != 1 || s.flows.count != 1 {
		t.Errorf("after a length of 3: %+v", st)
	}
	for port := range 6 {
		newSender(port, 0).add(s, 0, 0, framed(a)[:30])
	}
	if st := s.Stats(); s.flows.count != 4 || st.Evicted != 2 || s.pool.used != 4 {
		t.Errorf("too many: %+v, %d blocks", st, s.pool.used)
	}
	for port := range 6 { // nothing of these is lost
		newSender(10+port, 0).add(s, 0, 0, framed(a))
	}
	if st := s.Stats(); s.flows.count != 4 || st.Evicted != 6 || s.pool.used != 0 {
		t.Errorf("whole messages: %+v, %d blocks", st, s.pool.used)
	}
	for port := range 4 {
		newSender(port, 0).add(s, 0, 0, framed(a)[:30])
	}
	c.p.Time = 1001
	c.add(s, 0, decode.TCPSyn, nil)
	if s.flows.count != 0 || s.pool.used != 0 {
		t.Errorf("idle: %d streams, %d blocks", s.flows.count, s.pool.used)
	}
}

// TestFloods: an attacker fills every table, and memory and tables stay within their bounds.
func TestFloods(t *testing.T) {
	s := collectStreams(StreamsConfig{MaxFlows: 1000, MaxBytes: 1})
	a := query(1, 5000)
	c := newSender(0, 0)
	good := newSender(53, 0)
	good.p.SrcPort = 60000
	wantMessages(t, "one before", good.add(s, 0, decode.TCPSyn, framed(query(7, 40))), query(7, 40))
	for i := range 5000 {
		c.p.SrcPort = uint16(i)
		c.add(s, 0, decode.TCPSyn, nil)
	}
	wantMessages(t, "one after a flood of SYNs", good.add(s, 43, 0, framed(query(8, 40))), query(8, 40))
	for i := range 5000 {
		c.p.SrcPort = uint16(i)
		c.add(s, 0, 0, framed(a)[:3000])
	}
	if st := s.Stats(); s.flows.count > 1000 || s.pool.used > len(s.pool.pieces) || st.Evicted < 4000 {
		t.Errorf("%+v, %d blocks of %d", st, s.pool.used, len(s.pool.pieces))
	}
}

func TestStreamsAllocations(t *testing.T) {
	messages := 0
	s := NewStreams(StreamsConfig{MaxFlows: 8, Message: func(*Message) { messages++ }})
	c := newSender(1, 0)
	b := framed(query(1, 50), query(2, 5000), query(3, 60))
	run := func() {
		seg := func(seq uint32, flags uint8, b []byte) {
			c.p.Seq, c.p.TCPFlags, c.p.CapLen, c.p.PayloadLen = seq, flags, uint32(len(b)), uint32(len(b))
			s.Add(&c.p, b, 0)
		}
		c.p.SrcPort++
		seg(0, decode.TCPSyn, nil)
		seg(1, 0, b[:1460])
		seg(2921, 0, b[2920:])
		seg(1461, 0, b[1460:2920])
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if messages != 3003 {
		t.Errorf("%d messages", messages)
	}
}

func BenchmarkStreams(b *testing.B) {
	one := framed(query(1, 50))
	big := framed(query(1, 65535))
	for _, bb := range []struct {
		name string
		data []byte
		step int
	}{{"whole", one, len(one)}, {"split", one, 2}, {"64KiB", big, 1460}} {
		b.Run(bb.name, func(b *testing.B) {
			s := NewStreams(StreamsConfig{Message: func(*Message) {}})
			c := newSender(1, 0)
			seq := uint32(0)
			b.SetBytes(int64(len(bb.data)))
			b.ReportAllocs()
			for b.Loop() {
				for at := 0; at < len(bb.data); {
					n := min(bb.step, len(bb.data)-at)
					if bb.name == "split" && at > 0 {
						n = len(bb.data) - at
					}
					c.p.Seq, c.p.CapLen, c.p.PayloadLen = seq, uint32(n), uint32(n)
					s.Add(&c.p, bb.data[at:at+n], 0)
					at, seq = at+n, seq+uint32(n)
				}
			}
		})
	}
}

// TestGapsBeforeFIN: the sequence number of FIN shows what was lost at a connection's end, even if nothing follows it.
func TestGapsBeforeFIN(t *testing.T) {
	a := framed(query(1, 50))
	for _, tc := range []struct {
		name string
		data []byte
		fin  uint32 // its sequence number; the connection starts at 1
		gaps uint64
	}{
		{"nothing was sent", nil, 1, 0},
		{"nothing was captured", nil, 101, 1},
		{"all was captured", a, 53, 0},
		{"the last was not", a, 153, 1},
		{"the end of a message was not", a[:40], 53, 0}, // its captured part counts
		{"the same, and what followed it", a[:40], 153, 1},
	} {
		s, c := collectStreams(StreamsConfig{}), newSender(1, 0)
		c.add(s, 0, decode.TCPSyn, nil)
		if tc.data != nil {
			c.add(s, 1, 0, tc.data)
		}
		c.add(s, tc.fin, decode.TCPFin, nil)
		s.Finish()
		if st := s.Stats(); st.Gaps != tc.gaps {
			t.Errorf("%s: %+v, want %d gaps", tc.name, st, tc.gaps)
		}
	}
}
