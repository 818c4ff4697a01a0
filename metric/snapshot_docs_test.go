package metric

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/sketch"
)

// goldenSnapshot was written by the first program that supported the format. Never write it again: every later program
// must be able to read it.
const goldenSnapshot = "testdata/snapshot-v1.pktvsnap"

func TestSnapshotGolden(t *testing.T) {
	data, err := os.ReadFile(goldenSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	b := mustRead(t, snapshotTables, data)
	testkit.Golden(t, "testdata/snapshot-v1.json", append(b.AppendJSON(nil, JSONOptions{Key: "1m", Rows: 20}), '\n'))
	if info, err := ReadSnapshotInfo(data); err != nil || info.Identity.Host != "ns1.example.net" || info.Agent != "pktvisord 0.1.0" {
		t.Errorf("%+v, %v", info, err)
	}
}

// exampleBucket is the bucket of the annotated example in the documentation.
func exampleBucket() *Bucket {
	b := NewBucket(snapshotTables)
	b.Start, b.End = testStart, testStart+4
	b.DeepSamplePercent, b.Lost = 100, 2
	b.Identity = Identity{Host: "ns1", Tap: "eth0", Policy: "default", Tags: "pop=ams1", Boot: 0x1122334455667788, Seq: 5}
	f := Of[fruit](b.Sections[0])
	f.Total = 300
	for i, n := range []uint64{10, 200, 0, 90} {
		f.Rate.Add(testStart+int64(i), n)
	}
	f.Kinds.Add([]byte("gala"))
	f.Size.RecordN(70, 299)
	f.Size.Record(71)
	f.Top.Add([]byte("gala"), 297)
	f.Top.Add([]byte("fuji"), 2)
	f.Top.Add([]byte("plum"), 1)
	f.Top.Trim(2)
	f.Trees.Add([]byte("gala"), 1, 1)
	f.Trees.Add([]byte("gala"), 2, 1)
	f.Juice.AddPrepared(sketch.Prepare([]byte("gala")), 400, &sketch.Asked{Bytes: 40, Queries: 1, Port: 4444, TTL: 64})
	Of[veg](b.Sections[1]).Total = 7
	return b
}

// annotator explains a snapshot byte by byte. It is an independent reader, written from the documentation.
type annotator struct {
	data []byte
	off  int
	out  strings.Builder
}

// take explains the next n bytes, 16 to a line.
func (a *annotator) take(n int, format string, args ...any) []byte {
	b := a.data[a.off : a.off+n]
	text := fmt.Sprintf(format, args...)
	for at := 0; at < n || at == 0; at += 16 {
		fmt.Fprintf(&a.out, "%04x  %-47x  %s\n", a.off+at, spaced(b[at:min(n, at+16)]), text)
		text = "…"
	}
	a.off += n
	return b
}

type spaced []byte

// Format writes the bytes in hexadecimal, separated by spaces.
func (s spaced) Format(f fmt.State, _ rune) {
	text := fmt.Sprintf("% x", []byte(s))
	width, _ := f.Width()
	fmt.Fprintf(f, "%-*s", width, text)
}

func (a *annotator) uvarint(what string) uint64 {
	v, n := binary.Uvarint(a.data[a.off:])
	a.take(n, "%s %d", what, v)
	return v
}

func (a *annotator) varint(what string) int64 {
	v, n := binary.Varint(a.data[a.off:])
	a.take(n, "%s %d", what, v)
	return v
}

func (a *annotator) text(what string) string {
	v, n := binary.Uvarint(a.data[a.off:])
	s := string(a.data[a.off+n:][:v])
	a.take(n+int(v), "%s %q", what, s)
	return s
}

func (a *annotator) snapshot() string {
	le := binary.LittleEndian
	a.take(8, "magic")
	a.take(1, "version 1")
	a.take(1, "compression 0: none")
	a.take(2, "length of the header %d", le.Uint16(a.data[10:]))
	a.take(4, "length of the stored body %d", le.Uint32(a.data[12:]))
	a.take(4, "length of the body without compression %d", le.Uint32(a.data[16:]))
	a.varint("start")
	a.uvarint("length in seconds")
	a.uvarint("deep sample percent")
	a.uvarint("packets lost")
	a.text("host")
	a.text("agent")
	a.uvarint("sections with their own share:")
	a.text("policy")
	a.text("tap")
	a.take(8, "boot %x", le.Uint64(a.data[a.off:]))
	a.uvarint("seal")
	a.uvarint("revision")
	a.uvarint("seconds covered")
	for tags := a.uvarint("tags:"); tags > 0; tags-- {
		a.text("tag")
	}
	for sections := a.uvarint("sections:"); sections > 0; sections-- {
		a.text("section")
		for metrics := a.uvarint("metrics:"); metrics > 0; metrics-- {
			a.text("metric")
			a.metric(a.take(1, "kind %s", [...]string{1: "1: counter", 2: "2: rate", 3: "3: histogram",
				4: "4: cardinality", 5: "5: top", 7: "7: bounds", 8: "8: distinct", 10: "10: amplification", 11: "11: queries"}[a.data[a.off]])[0])
		}
	}
	a.take(4, "CRC-32C of all preceding bytes")
	return a.out.String()
}

func (a *annotator) metric(kind byte) {
	n := int(a.uvarint("length of the value"))
	switch kind {
	case KindCounter.wire:
		a.uvarint("value")
	case KindRate.wire:
		a.uvarint("first second, after the start")
		last := int64(0)
		for seconds := a.uvarint("seconds:"); seconds > 0; seconds-- {
			change, size := binary.Varint(a.data[a.off:])
			last += change
			a.take(size, "%+d: %d", change, last)
		}
	case KindHistogram.wire:
		a.take(n, "exponential histogram (docs/sketches.md)")
	case KindCardinality.wire:
		a.take(n, "DataSketches HLL: a list of one coupon")
	case KindTop.wire:
		a.take(n, "DataSketches frequent items, strings: weights, then keys")
	case KindDistinct.wire:
		a.take(n, "distinct (docs/sketches.md)")
	case KindAmplification.wire:
		a.take(n, "amplification: as frequent items")
	case KindAmplification.beside:
		a.take(n, "queries (docs/sketches.md)")
	case KindTop.beside:
		a.uvarint("of the table's error, does not concern its keys:")
	}
}

// TestSnapshotDocs checks the example in the documentation.
func TestSnapshotDocs(t *testing.T) {
	data := exampleBucket().AppendSnapshot(nil, SnapshotOptions{Agent: "pktvisord 0.1.0", Compression: Uncompressed})
	a := annotator{data: data}
	example := a.snapshot()
	if a.off != len(data) {
		t.Fatalf("%d of %d bytes explained", a.off, len(data))
	}
	path := filepath.Join(testkit.RepoRoot(t), "docs", "snapshot.md")
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const from, to = "<!-- example: written by go test ./metric -update -->\n```\n", "```\n<!-- end of example -->"
	before, rest, ok := strings.Cut(string(doc), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the example", path)
	}
	testkit.Golden(t, path, []byte(before+from+example+to+after))
}
