package testkit

import (
	"bufio"
	"encoding/binary"
	"io"

	"pktvisor/linktype"
)

// PcapWriter writes a pcap capture file, in little-endian byte order.
type PcapWriter struct {
	w    *bufio.Writer
	nano bool
	head [16]byte
}

// NewPcapWriter writes the file header to w: microsecond timestamps, or nanosecond ones if
// nano, and the link type of all frames.
func NewPcapWriter(w io.Writer, nano bool, link linktype.Type) (*PcapWriter, error) {
	p := &PcapWriter{w: bufio.NewWriterSize(w, 1<<20), nano: nano}
	magic := uint32(0xa1b2c3d4)
	if nano {
		magic = 0xa1b23c4d
	}
	var h [24]byte
	binary.LittleEndian.PutUint32(h[0:], magic)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], 262144)
	binary.LittleEndian.PutUint32(h[20:], uint32(link))
	_, err := p.w.Write(h[:])
	return p, err
}

// Write writes a frame that was captured at the given time, in nanoseconds since the Unix epoch.
func (p *PcapWriter) Write(at int64, frame []byte) error {
	frac := uint32(at % 1e9)
	if !p.nano {
		frac /= 1000
	}
	binary.LittleEndian.PutUint32(p.head[0:], uint32(at/1e9))
	binary.LittleEndian.PutUint32(p.head[4:], frac)
	binary.LittleEndian.PutUint32(p.head[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(p.head[12:], uint32(len(frame)))
	if _, err := p.w.Write(p.head[:]); err != nil {
		return err
	}
	_, err := p.w.Write(frame)
	return err
}

// Flush writes the buffered bytes. The file is complete only after it.
func (p *PcapWriter) Flush() error { return p.w.Flush() }
