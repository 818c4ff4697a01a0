package capture

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// The dimensions of a ring.
const (
	// blockBytes is the size of the blocks that the kernel hands over. A block must hold the largest frame (64
	// KiB after segmentation offload, more with jumbo segments). A ring of many small blocks lasts longer than
	// one of few large blocks if a trickle of frames is not read for a while.
	blockBytes = 256 << 10
	minBlocks  = 4

	// retireMillis is how often the kernel checks for a block that has frames but has not become full since the
	// last check. So a frame waits for at most twice as long.
	retireMillis = 40

	// ringBatchFrames bounds the frames of a batch, so that they are still in the cache when they are decoded.
	ringBatchFrames = 256
)

// Offsets in a block: struct tpacket_block_desc is at its start. Before each frame is struct tpacket3_hdr, followed
// by struct sockaddr_ll (linux/if_packet.h).
const (
	blkStatus = 8
	blkFrames = 12
	blkFirst  = 16

	hdrNext    = 0
	hdrSec     = 4
	hdrNsec    = 8
	hdrSnapLen = 12
	hdrLen     = 16
	hdrStatus  = 20
	hdrMAC     = 24
	hdrNet     = 26
	hdrTCI     = 32
	hdrTPID    = 36
	sllIndex   = 48 + 4
	sllType    = 48 + 8
	sllPktType = 48 + 10
	hdrBytes   = 48 + unix.SizeofSockaddrLinklayer

	// vnetSize is the offset of gso_size in struct virtio_net_hdr (linux/virtio_net.h), relative to the frame's
	// first byte, where the ten bytes of the struct end. It is 0 for a frame that is one packet.
	vnetSize = 4 - 10
)

// linkOf returns the link type of an interface by its hardware type (linux/if_arp.h), and whether it can be captured.
func linkOf(hatype uint16) (linktype.Type, bool) {
	switch hatype {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		return linktype.Ethernet, true
	case unix.ARPHRD_NONE, unix.ARPHRD_RAWIP, unix.ARPHRD_PPP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6,
		unix.ARPHRD_SIT, unix.ARPHRD_IPGRE, unix.ARPHRD_IP6GRE:
		return linktype.Raw, true
	}
	return 0, false
}

// ring is memory shared with the kernel, which fills it block by block.
type ring struct {
	mem    []byte
	status []*uint32 // the status word of each block
	vnet   bool      // each frame has a struct virtio_net_hdr before it
	seen   *seenBy   // on any, leaves out the frames that count on another device; otherwise nil

	block int       // the index of the block that is being read, or is next
	held  bool      // the block belongs to the program, not the kernel
	left  uint32    // the number of its frames that have not been handed over
	taken int       // the number of blocks that were taken since the last rest
	rests uint      // how often the reader has rested
	hurry time.Time // until when the reader does not rest
	tight bool      // a larger ring would have let the reader rest for longer
	had   uint64    // the number of frames in the blocks that were taken
	off   int       // the offset in mem of the next frame's header
}

// mapRing gives the socket a ring of about size bytes.
func mapRing(fd, size int) (*ring, error) {
	blocks := max(size/blockBytes, minBlocks)
	const frameSize = 2048 // without meaning for a TPACKET_V3 ring, but the kernel checks it
	req := unix.TpacketReq3{
		Block_size:     blockBytes,
		Block_nr:       uint32(blocks),
		Frame_size:     frameSize,
		Frame_nr:       uint32(blocks * (blockBytes / frameSize)),
		Retire_blk_tov: retireMillis,
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("TPACKET_V3: %w", err)
	}
	vnet := tellsSuperFrames() && unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1) == nil
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("ring of %d bytes: %w", blocks*blockBytes, err)
	}
	// The pages belong to the kernel. They are never swapped out, so there is nothing to lock.
	mem, err := unix.Mmap(fd, 0, blocks*blockBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map ring of %d bytes: %w", blocks*blockBytes, err)
	}
	r := &ring{mem: mem, status: make([]*uint32, blocks), vnet: vnet}
	for i := range r.status {
		r.status[i] = statusWord(mem[i*blockBytes:], blkStatus)
	}
	return r, nil
}

// unmap ends the ring. Its frames must not be used after it.
func (r *ring) unmap() error {
	mem := r.mem
	*r = ring{}
	return unix.Munmap(mem)
}

// advance returns the block that has been read to the kernel, and takes the next one. It reports whether there is a
// next one.
func (r *ring) advance() bool {
	for {
		if r.held {
			atomic.StoreUint32(r.status[r.block], unix.TP_STATUS_KERNEL)
			r.held = false
			if r.block++; r.block == len(r.status) {
				r.block = 0
			}
		}
		if atomic.LoadUint32(r.status[r.block])&unix.TP_STATUS_USER == 0 {
			return false
		}
		r.held = true
		r.taken++
		base := r.block * blockBytes
		r.left = binary.NativeEndian.Uint32(r.mem[base+blkFrames:])
		r.off = base + int(binary.NativeEndian.Uint32(r.mem[base+blkFirst:]))
		r.had += uint64(r.left)
		if r.left > 0 { // older kernels hand over empty blocks
			return true
		}
	}
}

// full returns how much of the ring is full beyond the block that is being read, from 0 to 1. It looks at
// one block in each sixteenth.
func (r *ring) full() float64 {
	const parts = 16
	n, full := len(r.status), 0
	for part := 1; part <= parts; part++ {
		blocks := max(part*n/parts, 1)
		last := blocks - 1
		if r.held {
			last++
		}
		if last >= n || atomic.LoadUint32(r.status[(r.block+last)%n])&unix.TP_STATUS_USER == 0 {
			break
		}
		full = blocks
	}
	return float64(full) / float64(n)
}

// filled reports whether the kernel has handed over at least n more blocks after those that have been read.
func (r *ring) filled(n int) bool {
	return atomic.LoadUint32(r.status[(r.block+n-1)%len(r.status)])&unix.TP_STATUS_USER != 0
}

// fill puts the block's next frames, at most ringBatchFrames, into the batch, which must have the capacity for them.
// It returns how many frames it left out because their link layer is not known.
func (r *ring) fill(b *Batch) (skipped uint64) {
	n := min(r.left, ringBatchFrames)
	r.left -= n
	frames, i := b.Frames[:n], 0
	b.Supers = b.Supers[:0]
	mem, off, end := r.mem, r.off, (r.block+1)*blockBytes
	for range n {
		h := (*[hdrBytes]byte)(mem[off:])
		next := off + int(binary.NativeEndian.Uint32(h[hdrNext:]))
		mac := int(binary.NativeEndian.Uint16(h[hdrMAC:]))
		snap := int(binary.NativeEndian.Uint32(h[hdrSnapLen:]))
		wire := binary.NativeEndian.Uint32(h[hdrLen:])
		hatype := binary.NativeEndian.Uint16(h[sllType:])
		link, ok := linktype.Ethernet, true
		if hatype != unix.ARPHRD_ETHER {
			link, ok = linkOf(hatype)
		}
		if link == linktype.Raw {
			// Some tunnels have their own header before the packet. Skip it.
			skip := int(binary.NativeEndian.Uint16(h[hdrNet:])) - mac
			mac, snap, wire = mac+skip, snap-skip, wire-uint32(skip)
			ok = ok && skip >= 0 && snap >= 0
		}
		if !ok {
			skipped++
			off = next
			continue
		}
		start := off + mac
		super := uint16(0)
		if r.vnet { // for raw IP, mac is after a tunnel's header by now
			super = binary.NativeEndian.Uint16(mem[off+int(binary.NativeEndian.Uint16(h[hdrMAC:]))+vnetSize:])
		}
		if binary.NativeEndian.Uint32(h[hdrStatus:])&unix.TP_STATUS_VLAN_VALID != 0 && link == linktype.Ethernet && snap >= 14 {
			putTag(mem[start-4:start+12], h)
			start, snap, wire = start-4, snap+4, wire+4
		}
		// Set field by field: a Frame literal is built elsewhere and copied (27 ns a frame, not 7).
		f := &frames[i]
		f.Data = mem[start : start+snap : end] // the bytes after the block may belong to the kernel
		f.Time = int64(binary.NativeEndian.Uint32(h[hdrSec:]))*1e9 + int64(binary.NativeEndian.Uint32(h[hdrNsec:]))
		f.WireLen = wire
		f.Link = link
		f.Direction = directionOf(h[sllPktType], hatype)
		off = next
		if r.seen != nil && !r.seen.keeps(f, binary.NativeEndian.Uint32(h[sllIndex:]), h[sllPktType]) {
			continue
		}
		if super != 0 {
			b.Supers = append(b.Supers, Super{Frame: i, Size: super})
		}
		i++
	}
	r.off = off
	b.Frames = frames[:i]
	return skipped
}

// directionOf returns the direction for the kernel's packet type. A frame on the loopback interface is sent and
// received at once, so it has none.
func directionOf(pktType byte, hatype uint16) Direction {
	switch {
	case hatype == unix.ARPHRD_LOOPBACK:
		return DirUnknown
	case pktType == unix.PACKET_OUTGOING:
		return DirOut
	}
	return DirIn
}

// putTag puts the VLAN tag that the kernel removed from a frame back after its addresses. b is the four bytes before
// the frame and the twelve bytes of its addresses, which move down. The four bytes are the end of the struct
// virtio_net_hdr. If there is none, they are padding or the end of the frame's sockaddr_ll. They are not read again.
func putTag(b []byte, h *[hdrBytes]byte) {
	tpid := binary.NativeEndian.Uint16(h[hdrTPID:])
	if binary.NativeEndian.Uint32(h[hdrStatus:])&unix.TP_STATUS_VLAN_TPID_VALID == 0 {
		tpid = unix.ETH_P_8021Q
	}
	tci := uint16(binary.NativeEndian.Uint32(h[hdrTCI:]))
	copy(b, b[4:16])
	binary.BigEndian.PutUint16(b[12:], tpid)
	binary.BigEndian.PutUint16(b[14:], tci)
}
