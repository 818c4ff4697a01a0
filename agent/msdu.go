package agent

import (
	"pktvisor/capture"
	"pktvisor/decode"
)

// splitMSDUs returns a source of src's frames that splits each 802.11 frame with several packets (an A-MSDU) into as
// many frames. They are split before a shard is chosen, because their addresses differ.
func splitMSDUs(src capture.Source) capture.Source { return &msduSource{Source: src} }

type msduSource struct {
	capture.Source
	subs [][]byte
	lens []uint32
}

// ReadBatch implements [capture.Source].
func (s *msduSource) ReadBatch(b *capture.Batch) error {
	err := s.Source.ReadBatch(b)
	frames := b.Frames
	for i := range frames {
		if frames[i].Link != capture.LinkEthernet { // for nearly all, all that there is to do
			b.Frames = s.split(frames, i)
			break
		}
	}
	return err
}

// split returns the frames with those from a place on split.
func (s *msduSource) split(frames []capture.Frame, from int) []capture.Frame {
	out := frames
	changed := false
	for i := from; i < len(frames); i++ {
		f := &frames[i]
		s.subs, s.lens = s.subs[:0], s.lens[:0]
		if decode.HasMSDUs(uint16(f.Link)) {
			s.subs, s.lens = decode.MSDUs(s.subs, s.lens, f.Data, f.WireLen, uint16(f.Link))
		}
		if len(s.subs) > 0 && !changed {
			// Room of its own: the batch goes on to use its slice for the source's frames.
			out, changed = append(make([]capture.Frame, 0, len(frames)+len(s.subs)), frames[:i]...), true
		}
		for j, sub := range s.subs {
			part := *f
			part.Data, part.WireLen, part.Link = sub, s.lens[j], capture.LinkEthernet
			out = append(out, part)
		}
		if changed && len(s.subs) == 0 {
			out = append(out, *f)
		}
	}
	return out
}
