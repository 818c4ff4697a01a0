package deal

import (
	"bytes"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pktvisor/capture"
)

// TestParcel: a parcel returns the frames, of any length, and the steps that were added to it, in order. After a frame that was
// longer than a parcel, the parcel has the same room as before.
func TestParcel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct {
			frame  []byte
			second int64 // of a step; used if there is no frame
		}
		p := newParcel()
		for range 3 {
			var in, out []item
			size := 0
			for range rapid.IntRange(1, 3*parcelFrames/2).Draw(t, "items") {
				if rapid.IntRange(0, 40).Draw(t, "step") == 0 {
					second := rapid.Int64().Draw(t, "second")
					if !p.step(Step{Second: second}) {
						if len(p.Steps) != parcelSteps {
							t.Fatalf("no room for a step after %d", len(p.Steps))
						}
						break
					}
					in = append(in, item{second: second})
					continue
				}
				n := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, parcelBytes), rapid.Just(4*parcelBytes)).Draw(t, "len")
				f := capture.Frame{Data: bytes.Repeat([]byte{byte(len(in))}, n), Time: int64(len(in)), WireLen: uint32(n + 1), Link: 7}
				if !p.add(&f) {
					if len(p.Frames) < parcelFrames && size+n <= parcelBytes || len(p.Frames) == 0 {
						t.Fatalf("no room for %d bytes after %d frames of %d", n, len(p.Frames), size)
					}
					break
				}
				in = append(in, item{frame: f.Data})
				size += n
				f.Data = nil
			}
			at := 0
			take := func(to int) {
				for _, f := range p.Frames[at:to] {
					if f.Time != int64(len(out)) || int(f.WireLen) != len(f.Data)+1 || f.Link != 7 {
						t.Fatalf("frame %d: %d bytes, time %d, wire length %d, link type %d", len(out), len(f.Data), f.Time, f.WireLen, f.Link)
					}
					out = append(out, item{frame: f.Data})
				}
				at = to
			}
			for _, st := range p.Steps {
				take(st.At)
				out = append(out, item{second: st.Second})
			}
			take(len(p.Frames))
			if diff := gocmp.Diff(in, out, gocmp.AllowUnexported(item{}), gocmp.Comparer(bytes.Equal)); diff != "" {
				t.Fatal(diff)
			}
			p.reset()
			if !p.empty() {
				t.Fatalf("after reset: %d frames, %d steps", len(p.Frames), len(p.Steps))
			}
		}
	})
}
