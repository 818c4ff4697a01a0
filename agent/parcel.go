package agent

import (
	"pktvisor/capture"

	"pktvisor/linktype"
)

// The size of a parcel, unless one frame is longer.
const (
	parcelBytes  = 64 << 10
	parcelFrames = 512
	parcelMarks  = 128
	shortFrame   = 256 // bytes; up to there, a frame is copied without a loop
)

// parcel is frames that one shard has read for another, and the steps of the clock between them. They lie in
// memory of the parcel's own: frames between others, read by another CPU, would be slow to look at.
type parcel struct {
	marks  []mark
	long   []byte // of a frame that is too long for bytes, alone
	n      uint   // frames in use
	used   uint   // bytes in use
	frames [parcelFrames]parcelFrame
	bytes  [parcelBytes]byte
}

// parcelFrame is a [capture.Frame] whose bytes lie in the parcel, from start to end.
type parcelFrame struct {
	time       int64
	start, end uint32
	wireLen    uint32
	link       linktype.Type
}

// mark is a step of the clock before frame at of a parcel.
type mark struct {
	at   uint
	step step
}

func newParcel() *parcel {
	return &parcel{marks: make([]mark, 0, parcelMarks)}
}

// add copies a frame into the parcel, unless there is no room.
func (p *parcel) add(f *capture.Frame) bool {
	if p.n == parcelFrames || p.long != nil {
		return false
	}
	room := p.bytes[p.used:]
	if len(f.Data) > len(room) {
		if p.n > 0 {
			return false
		}
		p.long = make([]byte, len(f.Data))
		room = p.long
	}
	copy(room, f.Data)
	p.frames[p.n].set(f, int(p.used))
	p.n++
	p.used += uint(len(f.Data))
	return true
}

// addShort copies frames from the given places on, as far as they are as nearly all are and there is room, and
// returns how many: behind a frame's bytes, and behind their place, must lie as many as are copied. It calls nothing,
// so that all that it needs stays in registers.
func (p *parcel) addShort(frames []capture.Frame, places []uint32) int {
	if p.long != nil {
		return 0
	}
	slots, room := p.frames[p.n:], p.bytes[p.used:]
	places = places[:min(len(places), len(slots))]
	for n, at := range places {
		f := &frames[at]
		if len(room) < shortFrame || len(f.Data) > shortFrame || cap(f.Data) < shortFrame {
			places = places[:n]
			break
		}
		slots[n].set(f, parcelBytes-len(room))
		// There is no loop that would end now here, now there; 16 bytes at a time go through one register.
		to, from := (*[shortFrame]byte)(room), (*[shortFrame]byte)(f.Data[:shortFrame])
		*(*[16]byte)(to[0:]) = *(*[16]byte)(from[0:])
		*(*[16]byte)(to[16:]) = *(*[16]byte)(from[16:])
		*(*[16]byte)(to[32:]) = *(*[16]byte)(from[32:])
		*(*[16]byte)(to[48:]) = *(*[16]byte)(from[48:])
		*(*[16]byte)(to[64:]) = *(*[16]byte)(from[64:])
		*(*[16]byte)(to[80:]) = *(*[16]byte)(from[80:])
		*(*[16]byte)(to[96:]) = *(*[16]byte)(from[96:])
		*(*[16]byte)(to[112:]) = *(*[16]byte)(from[112:])
		if len(f.Data) > 128 {
			*(*[16]byte)(to[128:]) = *(*[16]byte)(from[128:])
			*(*[16]byte)(to[144:]) = *(*[16]byte)(from[144:])
			*(*[16]byte)(to[160:]) = *(*[16]byte)(from[160:])
			*(*[16]byte)(to[176:]) = *(*[16]byte)(from[176:])
			*(*[16]byte)(to[192:]) = *(*[16]byte)(from[192:])
			*(*[16]byte)(to[208:]) = *(*[16]byte)(from[208:])
			*(*[16]byte)(to[224:]) = *(*[16]byte)(from[224:])
			*(*[16]byte)(to[240:]) = *(*[16]byte)(from[240:])
		}
		room = room[len(f.Data):]
	}
	p.n, p.used = p.n+uint(len(places)), parcelBytes-uint(len(room))
	return len(places)
}

// set makes f a frame whose bytes lie in the parcel from start on.
func (to *parcelFrame) set(f *capture.Frame, start int) {
	to.time, to.wireLen, to.link = f.Time, f.WireLen, f.Link
	to.start, to.end = uint32(start), uint32(start+len(f.Data))
}

// mark adds a step of the clock, unless there is no room.
func (p *parcel) mark(st step) bool {
	if len(p.marks) == cap(p.marks) {
		return false
	}
	p.marks = append(p.marks, mark{p.n, st})
	return true
}

func (p *parcel) reset() {
	p.n, p.used, p.marks, p.long = 0, 0, p.marks[:0], nil
}

func (p *parcel) empty() bool { return p.n == 0 && len(p.marks) == 0 }
