package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"pktvisor/linktype"
)

// The pcapng blocks and options that are read (draft-ietf-opsawg-pcapng). All others are skipped.
const (
	blockInterface = 1
	blockPacket    = 2 // obsolete, still in old files
	blockSimple    = 3
	blockEnhanced  = 6
	blockSection   = 0x0a0d0d0a // the same in both byte orders

	sectionMagic = 0x1a2b3c4d

	optEnd      = 0
	optFlags    = 2  // of a packet block: the direction is in its lowest two bits
	optTSResol  = 9  // of an interface block: 10^-n, or 2^-n with the highest bit set
	optTSOffset = 14 // of an interface block: seconds to add, signed
)

// The lengths of blocks and of their fixed parts. A block is its type, its total length, its
// body, and its total length again.
const (
	blockOverhead   = 12
	sectionMinBlock = 28
	sectionHead     = 16 // as much of a section block as newPcapNGFormat examines

	// maxBlock is the length of the longest block that is parsed, in bytes. It has space for the longest frame
	// and several comments of the greatest length. A longer block is damage.
	maxBlock = 1 << 20
	// maxCheckedSkip is the length of the longest skipped block whose closing length is checked.
	maxCheckedSkip = 64 << 10
	// maxInterfaces bounds the interfaces of a section.
	maxInterfaces = 65536
)

// sectionStart is what a pcapng file starts with.
var sectionStart = [4]byte{0x0a, 0x0d, 0x0d, 0x0a}

// ngInterface is what is known about an interface of the current section.
type ngInterface struct {
	link      linktype.Type
	captured  uint32 // greatest length of the frame in a simple packet block; 0 is unlimited
	unitNanos uint64 // nanoseconds in a unit of time, or 0 if that is not a whole number
	perSecond uint64 // units of time a second
	offset    int64  // seconds to add
}

// pcapngFormat parses the blocks of a pcapng file.
type pcapngFormat struct {
	swapped    bool // the section is big-endian
	interfaces []ngInterface
	last       int64 // time of the last frame that had a time
	timed      bool  // there was such a frame

	named bool          // there was an interface, in this section or before
	link  linktype.Type // of the first of them
	mixed bool          // another one has another link type
}

// newPcapNGFormat checks the first sectionHead bytes of a file.
func newPcapNGFormat(head []byte) (format, error) {
	p := &pcapngFormat{}
	if binary.LittleEndian.Uint32(head[8:]) != sectionMagic && binary.BigEndian.Uint32(head[8:]) != sectionMagic {
		return nil, notCapture(head)
	}
	if _, err := p.openSection(head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return p, nil
}

func (p *pcapngFormat) u16(b []byte) uint16 {
	if p.swapped {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (p *pcapngFormat) u32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if p.swapped {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (p *pcapngFormat) linkTypes() []linktype.Type {
	var links []linktype.Type
	for _, i := range p.interfaces {
		links = append(links, i.link)
	}
	return links
}

func (p *pcapngFormat) sameLink() bool { return !p.mixed }

// parse implements format.
func (p *pcapngFormat) parse(frames []Frame, data []byte) (_ []Frame, used int64, need int, err error) {
	off := 0
	for len(frames) < cap(frames) {
		rest := data[off:]
		if len(rest) < blockOverhead {
			return frames, int64(off), blockOverhead, nil
		}
		kind, total := p.u32(rest), p.u32(rest[4:])
		known := false
		switch kind {
		case blockEnhanced, blockPacket, blockSimple, blockInterface:
			known = true
		case blockSection:
			if len(rest) < sectionHead {
				return frames, int64(off), sectionHead, nil
			}
			if off, need, err = p.section(rest, off); need > 0 || err != nil {
				return frames, int64(off), need, err
			}
			continue
		default:
			if startsFile(rest) {
				return frames, int64(off), 0, errNextFile
			}
		}
		switch {
		case total < blockOverhead || total%4 != 0:
			return frames, int64(off), 0, fmt.Errorf("a block of %d bytes is impossible", total)
		case known && total > maxBlock:
			return frames, int64(off), 0, fmt.Errorf("a block claims %d bytes; the maximum is %d", total, maxBlock)
		case !known && total > maxCheckedSkip && int64(total) > int64(len(rest)):
			return frames, int64(off) + int64(total), 0, nil
		}
		// From here on the length is at most that of data or maxBlock.
		if int64(len(rest)) < int64(total) {
			return frames, int64(off), int(total), nil
		}
		body, err := p.body(rest[:total])
		if err != nil {
			return frames, int64(off), 0, err
		}
		switch kind {
		case blockEnhanced, blockPacket, blockSimple:
			frames = frames[:len(frames)+1]
			if err := p.packet(&frames[len(frames)-1], kind, body); err != nil {
				return frames[:len(frames)-1], int64(off), 0, err
			}
			if kind != blockSimple && !p.timed {
				p.timed = true
				for i := range frames {
					frames[i].Time = p.last
				}
			}
		case blockInterface:
			if err := p.addInterface(body); err != nil {
				return frames, int64(off), 0, err
			}
		}
		off += int(total)
	}
	return frames, int64(off), 0, nil
}

// body returns the part between a whole block's header and its closing length, which it checks.
func (p *pcapngFormat) body(block []byte) ([]byte, error) {
	first, second := p.u32(block[4:]), p.u32(block[len(block)-4:])
	if first != second {
		return nil, fmt.Errorf("a block's two lengths differ: %d and %d", first, second)
	}
	return block[8 : len(block)-4], nil
}

// section parses the section block at the start of rest, which is at offset off. It returns the offset after the
// block, or how many bytes it needs.
func (p *pcapngFormat) section(rest []byte, off int) (next, need int, err error) {
	total, err := p.openSection(rest)
	if err != nil {
		return off, 0, err
	}
	if len(rest) < total {
		return off, total, nil
	}
	if _, err := p.body(rest[:total]); err != nil {
		return off, 0, err
	}
	return off + total, 0, nil
}

// openSection starts a section from the first sectionHead bytes of its block, and returns the block's length.
func (p *pcapngFormat) openSection(head []byte) (total int, err error) {
	switch uint32(sectionMagic) {
	case binary.LittleEndian.Uint32(head[8:]):
		p.swapped = false
	case binary.BigEndian.Uint32(head[8:]):
		p.swapped = true
	default:
		return 0, fmt.Errorf("a section has an unknown byte-order mark, % x", head[8:12])
	}
	// Versions 1.0 and 1.2, which some writers write by mistake, are the same.
	major, minor := p.u16(head[12:]), p.u16(head[14:])
	if major != 1 || minor != 0 && minor != 2 {
		return 0, fmt.Errorf("pcapng version %d.%d (supported: 1.0)", major, minor)
	}
	length := p.u32(head[4:])
	if length < sectionMinBlock || length%4 != 0 || length > maxBlock {
		return 0, fmt.Errorf("a section block of %d bytes is impossible", length)
	}
	p.interfaces = p.interfaces[:0]
	return int(length), nil
}

var errBlockShort = errors.New("a block is too short for its content")

// packet parses the body of a packet block into f.
func (p *pcapngFormat) packet(f *Frame, kind uint32, body []byte) error {
	if kind == blockSimple {
		return p.simplePacket(f, body)
	}
	// The enhanced and the obsolete block differ in the first four bytes: an interface number, or a number of two
	// bytes and a drop count.
	const fixed = 20
	if len(body) < fixed {
		return errBlockShort
	}
	id := p.u32(body)
	if kind == blockPacket {
		id = uint32(p.u16(body))
	}
	if uint64(id) >= uint64(len(p.interfaces)) {
		return fmt.Errorf("a packet names interface %d of %d", id, len(p.interfaces))
	}
	captured := p.u32(body[12:])
	if captured > maxCaptured {
		return tooLong(captured)
	}
	options := fixed + int(captured+3)&^3
	if len(body) < options {
		return errBlockShort
	}
	iface := &p.interfaces[id]
	p.last = iface.nanos(uint64(p.u32(body[4:]))<<32 | uint64(p.u32(body[8:])))
	f.Data = body[fixed : fixed+captured]
	f.Time = p.last
	f.WireLen = max(p.u32(body[16:]), captured)
	f.Link = iface.link
	f.Direction = DirUnknown
	if len(body) > options {
		f.Direction = p.direction(body[options:])
	}
	return nil
}

// simplePacket parses the body of a simple packet block, which belongs to the first interface and has no time. It
// gets the time of the packet before it. If no packet before it has a time, it gets the time of the next one that
// has, if this is in the same batch, and otherwise 0.
func (p *pcapngFormat) simplePacket(f *Frame, body []byte) error {
	if len(p.interfaces) == 0 {
		return errors.New("a packet comes before any interface")
	}
	if len(body) < 4 {
		return errBlockShort
	}
	iface := &p.interfaces[0]
	wire := p.u32(body)
	captured := wire
	if iface.captured != 0 {
		captured = min(captured, iface.captured)
	}
	if captured > maxCaptured {
		return tooLong(captured)
	}
	if len(body)-4 < int(captured) {
		return errBlockShort
	}
	*f = Frame{
		Data:    body[4 : 4+captured],
		Time:    p.last,
		WireLen: wire,
		Link:    iface.link,
	}
	return nil
}

// addInterface parses the body of an interface block.
func (p *pcapngFormat) addInterface(body []byte) error {
	if len(body) < 8 {
		return errBlockShort
	}
	if len(p.interfaces) == maxInterfaces {
		return fmt.Errorf("a section has more than %d interfaces", maxInterfaces)
	}
	iface := ngInterface{
		link:      linktype.Type(p.u16(body)),
		captured:  p.u32(body[4:]),
		unitNanos: 1000,
		perSecond: 1_000_000,
	}
	for opts := body[8:]; ; {
		code, value, rest, ok := p.option(opts)
		if !ok {
			return errors.New("an interface's options do not fit its block")
		}
		if code == optEnd {
			break
		}
		opts = rest
		switch {
		case code == optTSResol && len(value) == 1:
			if !iface.setResolution(value[0]) {
				return fmt.Errorf("an interface's time resolution, %#x, is too fine", value[0])
			}
		case code == optTSOffset && len(value) == 8:
			hi, lo := p.u32(value), p.u32(value[4:])
			if !p.swapped {
				hi, lo = lo, hi
			}
			iface.offset = int64(uint64(hi)<<32 | uint64(lo))
		case code == optTSResol, code == optTSOffset:
			return fmt.Errorf("an interface's option %d has %d bytes", code, len(value))
		}
	}
	if !p.named {
		p.named, p.link = true, iface.link
	}
	p.mixed = p.mixed || iface.link != p.link
	p.interfaces = append(p.interfaces, iface)
	return nil
}

// option splits the first option off opts. At the end of the list, marked or not, the code is optEnd.
func (p *pcapngFormat) option(opts []byte) (code uint16, value, rest []byte, ok bool) {
	if len(opts) == 0 {
		return optEnd, nil, nil, true
	}
	if len(opts) < 4 {
		return 0, nil, nil, false
	}
	code, n := p.u16(opts), int(p.u16(opts[2:]))
	padded := (n + 3) &^ 3
	if len(opts)-4 < padded {
		return 0, nil, nil, false
	}
	return code, opts[4 : 4+n], opts[4+padded:], true
}

// direction finds the direction in a packet's options. If the options do not fit the block, the direction is unknown,
// but the packet counts.
func (p *pcapngFormat) direction(opts []byte) Direction {
	for {
		code, value, rest, ok := p.option(opts)
		switch {
		case !ok || code == optEnd:
			return DirUnknown
		case code == optFlags && len(value) == 4:
			switch p.u32(value) & 3 {
			case 1:
				return DirIn
			case 2:
				return DirOut
			}
			return DirUnknown
		}
		opts = rest
	}
}

// setResolution takes the value of the option if_tsresol, and reports whether the units in a second fit into 64 bits.
func (i *ngInterface) setResolution(v byte) bool {
	exponent := v & 0x7f
	if v&0x80 != 0 {
		if exponent > 63 {
			return false
		}
		i.perSecond = 1 << exponent
	} else {
		if exponent > 19 {
			return false
		}
		i.perSecond = 1
		for range exponent {
			i.perSecond *= 10
		}
	}
	i.unitNanos = 0
	if nanosPerSecond%i.perSecond == 0 {
		i.unitNanos = nanosPerSecond / i.perSecond
	}
	return true
}

// nanos converts a packet's time to nanoseconds since the epoch, from 0 to maxTime.
func (i *ngInterface) nanos(units uint64) int64 {
	if i.unitNanos != 0 && i.offset == 0 {
		// Nearly every file takes this path, without a division.
		if hi, t := bits.Mul64(units, i.unitNanos); hi == 0 && t <= maxTime {
			return int64(t)
		}
		return maxTime
	}
	const maxSeconds = maxTime / nanosPerSecond
	sec, frac := units/i.perSecond, units%i.perSecond
	hi, lo := bits.Mul64(frac, nanosPerSecond)
	nanos, _ := bits.Div64(hi, lo, i.perSecond) // frac < perSecond, so the quotient fits
	if sec > 1<<62 {
		return maxTime
	}
	switch sum := int64(sec) + max(min(i.offset, 1<<62-1), -1<<62); {
	case sum < 0:
		return 0
	case sum > maxSeconds:
		return maxTime
	default:
		return sum*nanosPerSecond + int64(nanos)
	}
}
