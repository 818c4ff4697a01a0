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

// truth is what tshark says about a capture.
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

// totals is what this package says about it.
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
	if uint64(f.WireLen) > uint64(len(f.Data)) {
		a.cut++
	}
	a.min, a.max = min(a.min, f.Time), max(a.max, f.Time)
}

// readAll reads a source to its end and returns the error there, or nil for io.EOF.
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

const regressions = "seladb+PcapPlusPlus/Tests/Fuzzers/RegressionTests/regression_samples/"

const (
	whyCustom   = "tshark also counts custom blocks as records; they are not frames"
	whyFraction = "the fraction of a second exceeds a second; tshark prints it wrapped, and here it stays in its second"
	whyLength   = "tshark caps a claimed wire length at 2^31-1"
	whyNokia    = "random bytes that tshark takes for Nokia's variant; libpcap and this package take them for pcap"
	whyZeros    = "zeros at the end are damage here, and an empty frame from 1970 in tshark"
	whyFuture   = "times in the year 586549 are set to the latest, in 2106"
)

// corpusExceptions are the captures for which tshark's totals do not apply here, with the right ones.
var corpusExceptions = map[string]struct {
	why  string
	want totals
}{
	"gopacket+gopacket/pcapgo/tests/be/test017.pcapng": {whyCustom, totals{}},
	"gopacket+gopacket/pcapgo/tests/le/test018.pcapng": {whyCustom + "; the first has no time, and gets that of the next",
		totals{4, 1312, 1312, 0, 1340954905298858000, 1340954905298858000, 1340954905300858000}},
	"gopacket+gopacket/pcapgo/tests/le/test202.pcapng": {whyCustom,
		totals{8, 2304, 1040, 6, 1340954905298858000, 1340954905298858000, 1340954905301858000}},
	"ntop+nDPI/tests/cfgs/default/pcap/fuzz-2021-10-13.pcap": {whyFraction,
		totals{1, 524501, 197, 1, 980658802999999999, 980658802999999999, 980658802999999999}},
	regressions + "clusterfuzz-testcase-FuzzTarget-5781142119907328": {whyFraction,
		totals{1, 2130713855, 184, 1, 81999999999, 81999999999, 81999999999}},
	regressions + "clusterfuzz-testcase-minimized-FuzzTarget-5755755617189888": {whyLength,
		totals{2, 3600161820, 65575, 2, 4294943870023040000, 16416000000000, 4294943870023040000}},
	regressions + "clusterfuzz-testcase-minimized-FuzzTarget-5758569646653440": {whyLength,
		totals{1, 4278452224, 255, 1, 168636954131862000, 168636954131862000, 168636954131862000}},
	regressions + "clusterfuzz-testcase-minimized-FuzzTarget-5766939894087680": {whyFraction,
		totals{1, 538976288, 72, 1, 538976288999999999, 538976288999999999, 538976288999999999}},
	regressions + "crash-8534c61cdf5987482365d7877ade12eef5aaf8b7": {whyZeros,
		totals{1, 130, 130, 0, 1349152693000000000, 1349152693000000000, 1349152693000000000}},
	regressions + "crash-eec28dafde1f1ac2299674a75a914ae16d4046fa": {whyFraction,
		totals{1, 262144, 71, 1, 1515728621999999999, 1515728621999999999, 1515728621999999999}},
	regressions + "igmplayer": {whyNokia,
		totals{2, 136, 129, 1, 1265769109622310000, 1265769109622310000, 1265769109622489000}},
	"seladb+PcapPlusPlus/Tests/Pcap++Test/PcapExamples/pcapng-example.pcapng": {whyFuture,
		totals{159, 57465, 18075, 39, 1422527998578402281, 1422527998578402281, 4294967295999999999}},
	"the-tcpdump-group+tcpdump/tests/timestamp_invalid_nano.pcap": {whyFraction,
		totals{3, 220, 220, 0, 1418145369999999999, 1418145369999999999, 1418145370999999999}},
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
	if x, ok := corpusExceptions[name]; ok {
		if got != x.want {
			t.Errorf("got  %+v\nwant %+v: %s", got, x.want, x.why)
		}
		return
	}
	if cut := strings.Contains(want.Status.Net.Stderr, "cut short"); cut != errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, tshark: %s", err, want.Status.Net.Stderr)
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
