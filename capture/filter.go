package capture

import "sync/atomic"

// Matcher tells which frames of one link layer to keep.
type Matcher interface {
	Match(frame []byte, wireLen uint32) bool
}

// Filter returns a source of those frames of src that match. compile makes the matcher of a link
// layer, once for each that occurs; its error ends the reading. It is for files: a live source
// filters in the kernel.
func Filter(src Source, compile func(LinkType) (Matcher, error)) Source {
	return &filtered{Source: src, compile: compile, matchers: map[LinkType]Matcher{}}
}

type filtered struct {
	Source
	compile   func(LinkType) (Matcher, error)
	matchers  map[LinkType]Matcher
	link      LinkType // of the frame before
	matcher   Matcher  // of that link; nil before the first frame
	restart   bool     // a recording has started again, and no frame of it was kept yet
	discarded atomic.Uint64
}

// ReadBatch reads a batch and leaves out the frames that do not match.
func (f *filtered) ReadBatch(b *Batch) error {
	err := f.Source.ReadBatch(b)
	b.Restart = b.Restart || f.restart
	kept := b.Frames[:0]
	for i := range b.Frames {
		frame := &b.Frames[i]
		if frame.Link != f.link || f.matcher == nil {
			if err := f.use(frame.Link); err != nil {
				b.Frames = kept
				return err
			}
		}
		if f.matcher.Match(frame.Data, frame.WireLen) {
			kept = append(kept, *frame)
		}
	}
	f.discarded.Add(uint64(len(b.Frames) - len(kept)))
	b.Frames = kept
	f.restart = b.Restart && len(kept) == 0 // the first frame to be kept is still to come
	return err
}

func (f *filtered) use(link LinkType) error {
	m, ok := f.matchers[link]
	if !ok {
		var err error
		if m, err = f.compile(link); err != nil {
			return err
		}
		f.matchers[link] = m
	}
	f.link, f.matcher = link, m
	return nil
}

// Stats counts the frames that were left out as discarded, not as received.
func (f *filtered) Stats() Stats {
	st := f.Source.Stats()
	n := f.discarded.Load()
	st.Received -= min(n, st.Received)
	st.Discarded += n
	return st
}
