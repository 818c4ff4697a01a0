package agent

import (
	"cmp"
	"slices"

	"pktvisor/linktype"
)

// LinkFrames is how many frames have a link type.
type LinkFrames struct {
	Link   linktype.Type
	Frames int64
}

// Undecoded returns the link types of frames that are not decoded, the one with most frames first. Call it after
// [Agent.Run].
func (t *Tap) Undecoded() []LinkFrames {
	sum := map[linktype.Type]int64{}
	for _, f := range t.fronts {
		for link, n := range f.undecoded {
			sum[link] += n
		}
	}
	var all []LinkFrames
	for link, n := range sum {
		all = append(all, LinkFrames{link, n})
	}
	slices.SortFunc(all, func(a, b LinkFrames) int {
		return cmp.Or(cmp.Compare(b.Frames, a.Frames), cmp.Compare(a.Link, b.Link))
	})
	return all
}
