package capture

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// testRing is a ring of two blocks without a kernel.
func testRing() *ring {
	r := &ring{mem: make([]byte, 2*blockBytes)}
	for i := range 2 {
		r.status = append(r.status, statusWord(r.mem[i*blockBytes:], blkStatus))
	}
	return r
}

// testFrame is what the kernel writes for a frame.
type testFrame struct {
	status    uint32
	tci, tpid uint16
	hatype    uint16
	pktType   byte
	linkLen   int // of data, the link header
	data      []byte
}

// put writes frames into a block and hands the block over, as the kernel does.
func (r *ring) put(block int, frames ...testFrame) {
	b := r.mem[block*blockBytes:][:blockBytes]
	ne := binary.NativeEndian
	ne.PutUint32(b[blkFrames:], uint32(len(frames)))
	off := 48
	ne.PutUint32(b[blkFirst:], uint32(off))
	for _, f := range frames {
		h := b[off:]
		netOff := (hdrBytes + max(f.linkLen, 16) + 15) &^ 15
		mac := netOff - f.linkLen
		next := (mac + len(f.data) + 15) &^ 15
		ne.PutUint32(h[hdrNext:], uint32(next))
		ne.PutUint32(h[hdrSec:], 4_000_000_000)
		ne.PutUint32(h[hdrNsec:], 999_999_999)
		ne.PutUint32(h[hdrSnapLen:], uint32(len(f.data)))
		ne.PutUint32(h[hdrLen:], uint32(len(f.data)))
		ne.PutUint32(h[hdrStatus:], f.status)
		ne.PutUint16(h[hdrMAC:], uint16(mac))
		ne.PutUint16(h[hdrNet:], uint16(netOff))
		ne.PutUint32(h[hdrTCI:], uint32(f.tci))
		ne.PutUint16(h[hdrTPID:], f.tpid)
		ne.PutUint16(h[sllType:], f.hatype)
		h[sllPktType] = f.pktType
		copy(h[mac:], f.data)
		off += next
	}
	*r.status[block] = unix.TP_STATUS_USER
}

func TestRingFrames(t *testing.T) {
	const valid, tpidValid = unix.TP_STATUS_VLAN_VALID, unix.TP_STATUS_VLAN_TPID_VALID
	plain := etherFrame([]byte{8, 0, 1, 2, 3})
	// Longer link headers than usual leave less space before the frame.
	tagged := func(n int) []byte {
		return etherFrame(bytes.Repeat(tag(0x8100, 9), n), []byte{8, 0, 1, 2, 3})
	}
	tests := []struct {
		name string
		in   testFrame
		want []byte // nil: skipped
		link linktype.Type
		dir  Direction
	}{
		{"plain", testFrame{hatype: unix.ARPHRD_ETHER, linkLen: 14, data: plain}, plain, 1, DirIn},
		{"promiscuous", testFrame{hatype: unix.ARPHRD_ETHER, linkLen: 14, pktType: unix.PACKET_OTHERHOST, data: plain}, plain, 1, DirIn},
		{"sent", testFrame{hatype: unix.ARPHRD_ETHER, linkLen: 14, pktType: unix.PACKET_OUTGOING, data: plain}, plain, 1, DirOut},
		{"loopback", testFrame{hatype: unix.ARPHRD_LOOPBACK, linkLen: 14, data: plain}, plain, 1, DirUnknown},
		{"tagged", testFrame{status: valid | tpidValid, tci: 9, tpid: 0x88a8, hatype: unix.ARPHRD_ETHER, linkLen: 14, data: plain},
			etherFrame(tag(0x88a8, 9), []byte{8, 0, 1, 2, 3}), 1, DirIn},
		{"tagged, of an older kernel", testFrame{status: valid, tci: 9, hatype: unix.ARPHRD_ETHER, linkLen: 14, data: plain},
			tagged(1), 1, DirIn},
		{"tagged, 18 bytes before", testFrame{status: valid, tci: 9, hatype: unix.ARPHRD_ETHER, linkLen: 18, data: tagged(1)}, tagged(2), 1, DirIn},
		{"tagged, 26 bytes before", testFrame{status: valid, tci: 9, hatype: unix.ARPHRD_ETHER, linkLen: 26, data: tagged(3)}, tagged(4), 1, DirIn},
		{"tagged, 28 bytes before", testFrame{status: valid, tci: 9, hatype: unix.ARPHRD_ETHER, linkLen: 28, data: tagged(4)}, tagged(5), 1, DirIn},
		{"tagged, too short", testFrame{status: valid, tci: 9, hatype: unix.ARPHRD_ETHER, data: plain[:13]}, plain[:13], 1, DirIn},
		{"tun", testFrame{hatype: unix.ARPHRD_NONE, data: plain}, plain, 101, DirIn},
		{"tunnel with a header", testFrame{hatype: unix.ARPHRD_IPGRE, linkLen: 4, data: plain}, plain[4:], 101, DirIn},
		{"wireless monitor", testFrame{hatype: unix.ARPHRD_IEEE80211_RADIOTAP, data: plain}, nil, 0, 0},
		{"empty", testFrame{hatype: unix.ARPHRD_NONE}, []byte{}, 101, DirIn},
	}
	r := testRing()
	if r.advance() {
		t.Fatal("a block that belongs to the kernel was taken")
	}
	r.put(0) // empty blocks come from older kernels
	var in []testFrame
	for _, tt := range tests {
		in = append(in, tt.in)
	}
	r.put(1, in...)
	if !r.advance() || r.block != 1 || *r.status[0] != unix.TP_STATUS_KERNEL {
		t.Fatalf("block %d, status of block 0: %d", r.block, *r.status[0])
	}
	b := Batch{Frames: make([]Frame, 0, ringBatchFrames)}
	skipped := r.fill(&b)
	got := b.Frames
	if skipped != 1 || r.left != 0 {
		t.Errorf("%d skipped, %d left", skipped, r.left)
	}
	for _, tt := range tests {
		if tt.want == nil {
			continue
		}
		if len(got) == 0 {
			t.Fatalf("%s: missing", tt.name)
		}
		f := got[0]
		got = got[1:]
		if !bytes.Equal(f.Data, tt.want) || int(f.WireLen) != len(tt.want) {
			t.Errorf("%s: %d bytes of %d: %x; want %x", tt.name, len(f.Data), f.WireLen, f.Data, tt.want)
		}
		if end := cap(f.Data) - 1; &f.Data[:end+1][end] != &r.mem[2*blockBytes-1] {
			t.Errorf("%s: a capacity of %d bytes does not end with the block", tt.name, end+1)
		}
		if f.Link != tt.link || f.Direction != tt.dir || f.Time != 4_000_000_000_999_999_999 {
			t.Errorf("%s: link %d, direction %d, time %d", tt.name, f.Link, f.Direction, f.Time)
		}
	}
	if len(got) > 0 {
		t.Errorf("%d frames more than were put in", len(got))
	}
	if *r.status[1] != unix.TP_STATUS_USER {
		t.Error("the block was given back while its frames were in use")
	}
	if r.advance() || *r.status[1] != unix.TP_STATUS_KERNEL || r.block != 0 {
		t.Error("the block was not given back")
	}
}

func TestRingBatches(t *testing.T) {
	r := testRing()
	r.put(0, slices.Repeat([]testFrame{{hatype: unix.ARPHRD_ETHER, data: etherFrame([]byte{8, 0})}}, 600)...)
	if !r.advance() {
		t.Fatal("no block")
	}
	var sizes []int
	for r.left > 0 {
		b := Batch{Frames: make([]Frame, 0, ringBatchFrames)}
		r.fill(&b)
		sizes = append(sizes, len(b.Frames))
	}
	if len(sizes) != 3 || sizes[0] != 256 || sizes[1] != 256 || sizes[2] != 88 {
		t.Errorf("batches of %d", sizes)
	}
}

func BenchmarkRingFill(b *testing.B) {
	r := testRing()
	frames := make([]testFrame, ringBatchFrames)
	for i := range frames {
		frames[i] = testFrame{hatype: unix.ARPHRD_ETHER, linkLen: 14, data: make([]byte, 100)}
	}
	r.put(0, frames...)
	batch := Batch{Frames: make([]Frame, 0, ringBatchFrames)}
	b.ReportAllocs()
	for b.Loop() {
		r.left, r.off = ringBatchFrames, 48
		r.fill(&batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Frames)), "ns/frame")
}

// TestRingFull: the ring knows how much of it is full beyond the block that is being read.
func TestRingFull(t *testing.T) {
	for _, blocks := range []int{4, 16, 64, 100} {
		r := &ring{mem: make([]byte, blocks*blockBytes)}
		for i := range blocks {
			r.status = append(r.status, statusWord(r.mem[i*blockBytes:], blkStatus))
		}
		if got := r.full(); got != 0 {
			t.Errorf("%d blocks: %v of an empty ring", blocks, got)
		}
		const first = 3 // the blocks in use begin here, and go around
		r.block = first
		for n := 1; n <= blocks; n++ {
			r.put((first+n-1)%blocks, testFrame{hatype: unix.ARPHRD_ETHER, linkLen: 14, data: make([]byte, 60)})
			if got, want := r.full(), float64(n)/float64(blocks); got > want || got < want-1.0/16 {
				t.Errorf("%d of %d blocks: %v", n, blocks, got)
			}
		}
		if !r.advance() {
			t.Fatal("no block")
		}
		if got, want := r.full(), float64(blocks-1)/float64(blocks); got > want || got < want-2.0/16 {
			t.Errorf("%d blocks, one being read: %v", blocks, got)
		}
	}
}
