package capture

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const corpusDir = "../../shared/corpus"

// truth is what tshark says of a capture.
type truth struct {
	Packets       *uint64 `json:"packets"`
	BytesWire     uint64  `json:"bytes_wire"`
	BytesCaptured uint64  `json:"bytes_captured"`
	Cut           uint64  `json:"packets_cut_by_snaplen"`
	Time          struct {
		First float64 `json:"first_record"`
		Min   float64 `json:"min"`
		Max   float64 `json:"max"`
	} `json:"time"`
	Status struct {
		Net struct {
			Code   int    `json:"rc"`
			Stderr string `json:"stderr"`
		} `json:"net"`
	} `json:"tshark_status"`
}

// totals is what this package says of it.
type totals struct {
	packets, wire, captured, cut uint64
	first, min, max              int64
}

func (a *totals) add(f *Frame) {
	if a.packets == 0 {
		a.first, a.min, a.max = f.Time, f.Time, f.Time
	}
	a.packets++
	a.wire += uint64(f.WireLen)
	a.captured += uint64(len(f.Data))
	if int(f.WireLen) > len(f.Data) {
		a.cut++
	}
	a.min, a.max = min(a.min, f.Time), max(a.max, f.Time)
}

// readAll reads a source to its end and returns the error there, nil for io.EOF.
func readAll(s Source, each func(*Frame)) error {
	var b Batch
	for {
		if err := s.ReadBatch(&b); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		for i := range b.Frames {
			each(&b.Frames[i])
		}
	}
}

// corpusExceptions are the captures where tshark's record count is not the frame count.
var corpusExceptions = map[string]struct {
	packets uint64
	reason  string
}{
	"gopacket+gopacket/pcapgo/tests/be/test017.pcapng": {0, "its 4 records are custom blocks, which tshark numbers too"},
	"gopacket+gopacket/pcapgo/tests/le/test202.pcapng": {7, "4 of its 11 records are custom blocks"},
}

func TestCorpus(t *testing.T) {
	if _, err := os.Stat(corpusDir); err != nil {
		t.Skip("no corpus at " + corpusDir)
	}
	n := 0
	root := filepath.Join(corpusDir, "truth")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".pvports.json") {
			return err
		}
		name, _ := strings.CutSuffix(filepath.ToSlash(path[len(root)+1:]), ".json")
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var want truth
		if err := json.Unmarshal(b, &want); err != nil {
			return err
		}
		if want.Packets == nil {
			return nil // dnstap
		}
		n++
		t.Run(name, func(t *testing.T) { checkTruth(t, name, want) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 150 {
		t.Errorf("only %d captures with a truth file", n)
	}
}

func checkTruth(t *testing.T, name string, want truth) {
	s, err := OpenFile(filepath.Join(corpusDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var got totals
	err = readAll(s, got.add)
	if damaged := errors.As(err, new(*DamageError)); damaged != (want.Status.Net.Code != 0) {
		t.Errorf("error %v, tshark: %d %s", err, want.Status.Net.Code, want.Status.Net.Stderr)
	}
	if cut := strings.Contains(want.Status.Net.Stderr, "cut short"); cut != errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, tshark: %s", err, want.Status.Net.Stderr)
	}
	if x, ok := corpusExceptions[name]; ok {
		if got.packets != x.packets {
			t.Errorf("%d frames, want %d: %s", got.packets, x.packets, x.reason)
		}
		return
	}
	if got.packets != *want.Packets || got.wire != want.BytesWire || got.captured != want.BytesCaptured || got.cut != want.Cut {
		t.Errorf("got %+v, want %d packets, %d bytes, %d captured, %d cut", got, *want.Packets, want.BytesWire, want.BytesCaptured, want.Cut)
	}
	if st := s.Stats(); st.Received != got.packets || err == nil && (st.Bytes != st.Size || st.Size == 0) {
		t.Errorf("stats %+v of %d frames", st, got.packets)
	}
	for _, c := range []struct {
		what string
		got  int64
		want float64
	}{{"first", got.first, want.Time.First}, {"min", got.min, want.Time.Min}, {"max", got.max, want.Time.Max}} {
		if math.Abs(float64(c.got)/1e9-c.want) > 1e-6 {
			t.Errorf("%s time %d, want %f", c.what, c.got, c.want)
		}
	}
}
