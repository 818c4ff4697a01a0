package agent

import (
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/linktype"
)

// msduSource splits each 802.11 frame with several packets (an A-MSDU) into as many frames. Such a frame is split before
// a shard is chosen, because the addresses of its packets differ.
type msduSource struct {
	capture.Source
	subs [][]byte // the packets of one frame
	lens []uint32
}

// ReadBatch implements [capture.Source].
func (s *msduSource) ReadBatch(b *capture.Batch) error {
	err := s.Source.ReadBatch(b)
	frames := b.Frames
	if b.SameLink && len(frames) > 0 && !decode.HasMSDUs(frames[0].Link) {
		return err
	}
	for i := range frames {
		if f := &frames[i]; f.Link != linktype.Ethernet && s.hasMany(f) {
			b.Frames, b.SameLink = s.split(frames, i), false
			break
		}
	}
	return err
}

// hasMany reports whether a frame has several packets, and finds them.
func (s *msduSource) hasMany(f *capture.Frame) bool {
	if !decode.HasMSDUs(f.Link) {
		return false
	}
	s.subs, s.lens = decode.MSDUs(s.subs[:0], s.lens[:0], f.Data, f.WireLen, f.Link)
	return len(s.subs) > 0
}

// split returns the frames with those from a place on split, in new memory: the batch will use its own for the source's
// next frames.
func (s *msduSource) split(frames []capture.Frame, from int) []capture.Frame {
	out := append(make([]capture.Frame, 0, 2*len(frames)), frames[:from]...)
	for _, f := range frames[from:] {
		if f.Link == linktype.Ethernet || !s.hasMany(&f) {
			out = append(out, f)
			continue
		}
		for i, sub := range s.subs {
			f.Data, f.WireLen, f.Link = sub, s.lens[i], linktype.Ethernet
			out = append(out, f)
		}
	}
	return out
}
