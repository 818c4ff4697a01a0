package agent

import (
	"pktvisor/capture"
	"pktvisor/decode"
	"pktvisor/linktype"
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
	if i := notEthernet(b.Frames); i < len(b.Frames) {
		b.Frames = s.split(b.Frames, i)
	}
	return err
}

// notEthernet returns the place of a frame before which all are of Ethernet, in steps of eight: for nearly all
// frames, to look for it is all that there is to do.
func notEthernet(frames []capture.Frame) int {
	const e = linktype.Ethernet
	i := 0
	for rest := frames; len(rest) >= 8; rest = rest[8:] {
		f := (*[8]capture.Frame)(rest)
		if f[0].Link != e || f[1].Link != e || f[2].Link != e || f[3].Link != e ||
			f[4].Link != e || f[5].Link != e || f[6].Link != e || f[7].Link != e {
			return i
		}
		i += 8
	}
	for i < len(frames) && frames[i].Link == e {
		i++
	}
	return i
}

// split returns the frames with those from a place on split.
func (s *msduSource) split(frames []capture.Frame, from int) []capture.Frame {
	out := frames
	changed := false
	for i := from; i < len(frames); i++ {
		f := &frames[i]
		s.subs, s.lens = s.subs[:0], s.lens[:0]
		if decode.HasMSDUs(f.Link) {
			s.subs, s.lens = decode.MSDUs(s.subs, s.lens, f.Data, f.WireLen, f.Link)
		}
		if len(s.subs) > 0 && !changed {
			// Room of its own: the batch goes on to use its slice for the source's frames.
			out, changed = append(make([]capture.Frame, 0, len(frames)+len(s.subs)), frames[:i]...), true
		}
		for j, sub := range s.subs {
			part := *f
			part.Data, part.WireLen, part.Link = sub, s.lens[j], linktype.Ethernet
			out = append(out, part)
		}
		if changed && len(s.subs) == 0 {
			out = append(out, *f)
		}
	}
	return out
}
