package agent

import (
	"cmp"
	"slices"

	"pktvisor/linktype"
)

// LinkFrames is how many frames were of a link type.
type LinkFrames struct {
	Link   linktype.Type
	Frames int64
}

// linkCounts counts frames by their link type. There are few: a pcapng file may name 65,536.
type linkCounts map[linktype.Type]int64

func (c *linkCounts) add(link linktype.Type) {
	if *c == nil {
		*c = linkCounts{}
	}
	(*c)[link]++
}

// Undecoded returns the link types of frames that are not decoded, the one with most frames first. Call it
// after [Agent.RunFile].
func (a *Agent) Undecoded() []LinkFrames {
	sum := linkCounts{}
	for _, s := range a.shards {
		for link, n := range s.undecoded {
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
