package capture

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"
)

// FuzzOpenReader checks what must hold for any content. For pcap files it checks that gopacket's reader finds the
// same frames.
func FuzzOpenReader(f *testing.F) {
	for _, content := range captures() {
		f.Add(content[:4000])
	}
	small := mixedPcap()[:2000]
	for _, compress := range compressors {
		f.Add(compress(small))
	}
	for _, a := range smallCaptures() {
		for _, b := range smallCaptures() {
			f.Add(append(a.content[:len(a.content):len(a.content)], b.content...))
		}
	}
	// If there is no corpus, it adds nothing.
	filepath.WalkDir(corpusDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Size() < 4096 {
			if s, err := OpenFile(path); err == nil {
				s.Close()
				if b, err := os.ReadFile(path); err == nil {
					f.Add(b)
				}
			}
		}
		return nil
	})
	f.Fuzz(func(t *testing.T, content []byte) {
		frames, err := readLimited(t, bytes.NewReader(content))
		for i, p := range frames {
			if uint64(p.Wire) < uint64(len(p.Data)) || len(p.Data) > maxCaptured || p.Time < 0 || p.Time > maxTime {
				t.Errorf("frame %d: %d of %d bytes at %d", i, len(p.Data), p.Wire, p.Time)
			}
		}
		if damage, ok := errors.AsType[*DamageError](err); ok && (damage.Frames > fuzzLimit+batchFrames || damage.Offset < 0) {
			t.Errorf("damage %+v after %d frames", damage, len(frames))
		}
		again, errAgain := readLimited(t, iotest.HalfReader(bytes.NewReader(content)))
		n := min(len(frames), len(again), fuzzLimit)
		if diff := cmp.Diff(frames[:n], again[:n]); diff != "" || len(frames) != len(again) && n < fuzzLimit {
			t.Errorf("read in halves: %d frames, not %d: %s", len(again), len(frames), diff)
		}
		if n < fuzzLimit && (err == nil) != (errAgain == nil) {
			t.Errorf("read in halves: error %v, not %v", errAgain, err)
		}
		if _, _, ok := pcapMagic(append(content[:len(content):len(content)], 0, 0, 0, 0)); ok {
			compareGopacket(t, content, frames, err)
		}
	})
}

// fuzzLimit is how many frames are read from a file, which may expand to very many.
const fuzzLimit = 5000

func readLimited(t *testing.T, r io.Reader) (frames []plain, err error) {
	s, err := OpenReader(r, 0)
	if err != nil {
		if s != nil {
			t.Error("a source is returned with an error")
		}
		return nil, err
	}
	defer s.Close()
	var b Batch
	for len(frames) < fuzzLimit {
		err := s.ReadBatch(&b)
		if err != nil && len(b.Frames) > 0 {
			t.Error("frames are returned with an error")
		}
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		if len(b.buf) > 2*maxBlock {
			t.Errorf("a batch of %d bytes", len(b.buf))
		}
		for i := range b.Frames {
			f := &b.Frames[i]
			frames = append(frames, plain{string(f.Data), f.Time, f.WireLen, f.Link, f.Direction})
		}
	}
	return frames, nil
}

// compareGopacket compares a pcap file's frames with those that gopacket finds, up to the first frame that gopacket
// rejects. gopacket is stricter about lengths.
func compareGopacket(t *testing.T, content []byte, frames []plain, err error) {
	magic, swapped, _ := pcapMagic(content)
	order := byteOrders[0]
	if swapped {
		order = byteOrders[1]
	}
	if magic != pcapMicros && magic != pcapNanos || len(content) < pcapHeaderLen ||
		order.Uint16(content[4:]) != 2 || order.Uint16(content[6:]) != 4 {
		return // gopacket does not know the others
	}
	r, openErr := pcapgo.NewReader(bytes.NewReader(content))
	if openErr != nil {
		return
	}
	off := pcapHeaderLen
	for i := 0; ; i++ {
		if rest := content[min(off, len(content)):]; len(rest) >= pcapRecordLen && (startsFile(rest) || [pcapRecordLen]byte(rest) == [pcapRecordLen]byte{}) {
			return // gopacket takes these for frames
		}
		data, info, readErr := r.ReadPacketData()
		off += pcapRecordLen + len(data)
		if readErr == io.EOF && len(frames) > i && len(frames) < fuzzLimit {
			t.Errorf("gopacket ends after %d frames, this package after %d", i, len(frames))
		}
		if readErr != nil || len(data) > maxCaptured {
			return
		}
		if i == len(frames) {
			if len(frames) < fuzzLimit {
				t.Errorf("gopacket finds a frame %d: %+v, this package %v", i, info, err)
			}
			return
		}
		p := frames[i]
		seconds := info.Timestamp.Unix()
		if p.Data != string(data) || p.Wire != uint32(info.Length) {
			t.Errorf("frame %d: %d bytes of %d, gopacket %+v", i, len(p.Data), p.Wire, info)
		}
		if inSecond := p.Time%nanosPerSecond < nanosPerSecond-1; inSecond && seconds <= math.MaxUint32 && p.Time != info.Timestamp.UnixNano() {
			t.Errorf("frame %d at %d, gopacket %v", i, p.Time, info.Timestamp)
		}
	}
}
