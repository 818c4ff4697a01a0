package capture

import (
	"io"
	"slices"
	"sync/atomic"

	"pktvisor/linktype"
)

// Matcher selects the frames of one link layer.
type Matcher interface {
	Match(frame []byte, wireLen uint32) bool
}

// Filter returns a source of those frames of src that match. compile makes the matcher for a link layer, once for
// each that occurs. Filter is for files: a live source filters in the kernel.
//
// If compile fails for a link layer but works for another one in the file, no frame of the former matches. If it
// fails for all of them, its error ends the reading. This happens at the start if the file has named its link layers
// by then, whether it has frames or not.
func Filter(src Source, compile func(linktype.Type) (Matcher, error)) Source {
	return &filtered{Source: src, compile: compile, matchers: map[linktype.Type]compiled{}}
}

// linkTyped is a source that knows the link types of its frames in advance.
type linkTyped interface {
	// linkTypes returns the link types that the file has named so far, in the order of the file. Only the reading
	// goroutine may call it.
	linkTypes() []linktype.Type
}

type filtered struct {
	Source
	compile  func(linktype.Type) (Matcher, error)
	matchers map[linktype.Type]compiled
	began    bool
	link     linktype.Type // of the previous frame
	matcher  Matcher       // for that link; nil before the first frame
	restart  bool          // a recording has started again, and no frame was kept since

	received, discarded atomic.Uint64
}

// compiled is the result of compile for a link layer: a matcher or an error, or both if the error does not matter.
type compiled struct {
	Matcher
	err error
}

// ReadBatch reads a batch and leaves out the frames that do not match.
func (f *filtered) ReadBatch(b *Batch) error {
	b.Frames = b.Frames[:0]
	if !f.began {
		f.began = true
		if err := f.check(); err != nil {
			return err
		}
	}
	err := f.Source.ReadBatch(b)
	if err == io.EOF && f.matcher == nil {
		if err := f.check(); err != nil {
			return err
		}
	}
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
	f.received.Add(uint64(len(kept)))
	f.discarded.Add(uint64(len(b.Frames) - len(kept)))
	b.Frames = kept
	f.restart = b.Restart && len(kept) == 0 // no frame was kept yet
	return err
}

// check compiles the filter for the first link type that the file has named, if there is one.
func (f *filtered) check() error {
	if links := f.linkTypes(); len(links) > 0 {
		return f.use(links[0])
	}
	return nil
}

func (f *filtered) linkTypes() []linktype.Type {
	if src, ok := f.Source.(linkTyped); ok {
		return src.linkTypes()
	}
	return nil
}

// use sets the matcher for the link layer of the next frames.
func (f *filtered) use(link linktype.Type) error {
	m := f.matcherOf(link)
	if m.Matcher == nil {
		if !slices.ContainsFunc(f.linkTypes(), f.compiles) && !f.anyCompiled() {
			return m.err
		}
		m.Matcher = nothing{}
		f.matchers[link] = m
	}
	f.link, f.matcher = link, m.Matcher
	return nil
}

func (f *filtered) matcherOf(link linktype.Type) compiled {
	m, ok := f.matchers[link]
	if !ok {
		if m.Matcher, m.err = f.compile(link); m.err != nil {
			m.Matcher = nil
		}
		f.matchers[link] = m
	}
	return m
}

func (f *filtered) compiles(link linktype.Type) bool { return f.matcherOf(link).err == nil }

func (f *filtered) anyCompiled() bool {
	for _, m := range f.matchers {
		if m.err == nil {
			return true
		}
	}
	return false
}

// nothing matches no frame.
type nothing struct{}

func (nothing) Match([]byte, uint32) bool { return false }

// Stats counts the frames that were left out as discarded, not as received. Neither number ever decreases.
func (f *filtered) Stats() Stats {
	st := f.Source.Stats()
	st.Received = f.received.Load()
	st.Discarded += f.discarded.Load()
	return st
}
