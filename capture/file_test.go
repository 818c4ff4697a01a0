package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// captures returns two files with something of everything.
func captures() map[string][]byte {
	return map[string][]byte{"pcap": mixedPcap(), "pcapng": mixedNG()}
}

func TestBoundaries(t *testing.T) {
	for name, content := range captures() {
		want, err := readPlain(openBytes(t, content))
		if err != nil {
			t.Fatal(err)
		}
		if frames := map[string]int{"pcap": 300, "pcapng": 84}[name]; len(want) != frames {
			t.Fatalf("%s: %d frames, want %d", name, len(want), frames)
		}
		for reader, slow := range slowReaders {
			s, err := OpenReader(slow(bytes.NewReader(content)), 0)
			if err != nil {
				t.Fatal(name, reader, err)
			}
			got, err := readPlain(s)
			if err != nil {
				t.Error(name, reader, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: %s", name, reader, diff)
			}
		}
	}
}

// TestManyFrames: a batch's memory holds more frames than a batch may have.
func TestManyFrames(t *testing.T) {
	order := binary.LittleEndian
	b := pcapHeader(order, pcapMicros, 2, 4, 1)
	const n = 10 * batchFrames
	for i := range uint32(n) {
		b = record(b, order, i, 0, 0, 60, "")
	}
	s := openBytes(t, b)
	var batch Batch
	for i := 0; i < n; {
		if err := s.ReadBatch(&batch); err != nil {
			t.Fatal(err)
		}
		if len(batch.Frames) == 0 || len(batch.Frames) > batchFrames {
			t.Fatalf("a batch of %d frames", len(batch.Frames))
		}
		for j := range batch.Frames {
			if f := &batch.Frames[j]; f.Time != int64(i)*nanosPerSecond || f.WireLen != 60 || len(f.Data) != 0 {
				t.Fatalf("frame %d: %+v", i, f)
			}
			i++
		}
	}
	if err := s.ReadBatch(&batch); err != io.EOF || len(batch.Frames) != 0 {
		t.Errorf("at the end: %v, %d frames", err, len(batch.Frames))
	}
	if st := s.Stats(); st.Received != n || st.Bytes != int64(len(b)) || st.Size != int64(len(b)) {
		t.Errorf("stats %+v", st)
	}
}

// TestBatchesKeep reads all batches before it checks the first.
func TestBatchesKeep(t *testing.T) {
	for name, content := range captures() {
		want, _ := readPlain(openBytes(t, content))
		s := openBytes(t, content)
		var batches []Batch
		for {
			var b Batch
			if err := s.ReadBatch(&b); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			batches = append(batches, b)
		}
		if len(batches) < 2 {
			t.Fatalf("%s: only %d batches", name, len(batches))
		}
		i := 0
		for _, b := range batches {
			for _, f := range b.Frames {
				if string(f.Data) != want[i].Data || f.Time != want[i].Time {
					t.Fatalf("%s: frame %d changed", name, i)
				}
				i++
			}
		}
	}
}

// TestCutAnywhere cuts small files after every byte: the frames that can be read are a prefix of all frames.
func TestCutAnywhere(t *testing.T) {
	order := binary.BigEndian
	ng := ngIface(section(nil, order), order, 1, 0, option(nil, order, optTSResol, []byte{9}))
	pcap := pcapHeader(order, pcapNanos, 2, 4, 1)
	for i := range uint32(3) {
		ng = block(ng, order, 77, make([]byte, 10))
		ng = enhanced(ng, order, 0, uint64(i), 60, "hello"[:2+i], option(nil, order, optFlags, make([]byte, 4)))
		pcap = record(pcap, order, i, i, i, 60, "hello"[:i])
	}
	files := map[string][]byte{"pcap": pcap, "pcapng": ng}
	for name, compress := range compressors {
		files[name] = compress(pcap)
	}
	for name, content := range files {
		want, err := readPlain(openBytes(t, content))
		if err != nil || len(want) != 3 {
			t.Fatal(name, len(want), err)
		}
		for n := range content {
			s, err := OpenReader(bytes.NewReader(content[:n]), 0)
			if err != nil {
				if damage := new(DamageError); n >= minHead && !errors.As(err, &damage) && !errors.Is(err, ErrNotCapture) {
					t.Errorf("%s, %d bytes: %v", name, n, err)
				}
				continue
			}
			got, err := readPlain(s)
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("%s, %d bytes: %v is not a prefix", name, n, got)
			}
			switch damage := new(DamageError); {
			case err == nil:
				// A file may end after any record.
				if name != "pcap" && name != "pcapng" {
					t.Errorf("%s, %d of %d bytes: no error", name, n, len(content))
				}
			case !errors.As(err, &damage) || !errors.Is(err, io.ErrUnexpectedEOF):
				t.Errorf("%s, %d of %d bytes: %v", name, n, len(content), err)
			}
		}
	}
}

func TestCompressed(t *testing.T) {
	for name, compress := range compressors {
		for inner, content := range captures() {
			want, _ := readPlain(openBytes(t, content))
			packed := compress(content)
			half := len(content) / 2
			for what, b := range map[string][]byte{
				"one":     packed,
				"members": append(compress(content[:half]), compress(content[half:])...),
			} {
				s := openBytes(t, b)
				got, err := readPlain(s)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s %s %s: %d frames of %d, %v", name, inner, what, len(got), len(want), err)
				}
				if st := s.Stats(); st.Bytes != int64(len(b)) || st.Size != int64(len(b)) {
					t.Errorf("%s %s %s: stats %+v of %d bytes", name, inner, what, st, len(b))
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			// First without the last byte, then with one wrong byte in the middle.
			got, err := readPlain(openBytes(t, packed[:len(packed)-1]))
			if damage := new(DamageError); !errors.As(err, &damage) || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s cut: %v", name, inner, err)
			}
			if name == "gzip" && len(got) != len(want) {
				t.Errorf("%s %s cut in its checksum: %d frames of %d", name, inner, len(got), len(want))
			}
			wrong := bytes.Clone(packed)
			wrong[len(wrong)/2] ^= 0x55
			s, err := OpenReader(bytes.NewReader(wrong), 0)
			if err == nil {
				_, err = readPlain(s)
			}
			if !errors.As(err, new(*DamageError)) {
				t.Errorf("%s %s wrong: %v", name, inner, err)
			}
		}
	}
}

// TestWindowLimit: a zstd frame asks for a window of 2 GiB.
func TestWindowLimit(t *testing.T) {
	b := append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3}, make([]byte, 64)...)
	_, err := OpenReader(bytes.NewReader(b), 0)
	if damage := new(DamageError); !errors.As(err, &damage) || !strings.Contains(err.Error(), "window") {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gz := func(s string) string { return string(compressors["gzip"]([]byte(s))) }
	for _, c := range []struct {
		path string
		is   error
		says string
	}{
		{dir, nil, "is a directory: give a capture file"},
		{filepath.Join(dir, "none"), fs.ErrNotExist, "no such file or directory: check the name"},
		{file("empty", ""), ErrEmpty, "empty file: give a pcap or pcapng file"},
		{file("empty.gz", gz("")), ErrNotCapture, "it has only 0 bytes"},
		{file("short", "ab"), ErrNotCapture, "it has only 2 bytes"},
		{file("text", "grüße\nan alle\n"), ErrNotCapture, "it looks like text: give a pcap"},
		{file("text.gz", gz("hello, world")), ErrNotCapture, "it looks like text"},
		{file("gz.gz", gz(gz("hello, world"))), ErrNotCapture, "its content is compressed again, with gzip"},
		{file("a.xz", "\xfd7zXZ\x00\x00"), ErrNotCapture, "compressed with xz"},
		{file("a.bz2", "BZh91AY"), ErrNotCapture, "compressed with bzip2"},
		{file("a.zip", "PK\x03\x04..."), ErrNotCapture, "a zip archive"},
		{file("a.out", "\x7fELF...."), ErrNotCapture, "a program"},
		{file("snoop", "snoop\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x04"), ErrUnsupported, "snoop version 3 (supported: 2)"},
		{file("snoop token bus", "snoop\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x01"), ErrUnsupported, "data-link type 1, which is not decoded"},
		{file("cut.snoop", "snoop\x00\x00\x00\x00\x00\x00\x02"), io.ErrUnexpectedEOF, "12 of 16 bytes"},
		{file("snoopy", "snoopy is a dog"), ErrNotCapture, "it looks like text"},
		{file("a.cap", "GMBU\x00\x02...."), ErrNotCapture, "a Network Monitor capture, which pktvisord cannot read (try editcap -F pcapng FILE - | pktvisord -)"},
		{file("a.erf", "iptrace 2.0...."), ErrNotCapture, "an iptrace capture"},
		{file("dnstap", "\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x02protobuf:dnstap.Dnstap"), ErrNotCapture, "a dnstap file"},
		{file("zeros", string(make([]byte, 4096))), ErrNotCapture, "it starts with zeros"},
		{file("binary", "\x01\x02\x03\xff\x05"), ErrNotCapture, "it starts with 01 02 03 ff"},
		{file("almost pcapng", "\x0a\x0d\x0d\x0a123412341234"), ErrNotCapture, "it looks like text"},
		{file("cut.pcap", "\xd4\xc3\xb2\xa1\x02"), io.ErrUnexpectedEOF, "5 of 24 bytes"},
		{file("cut.pcapng", "\x0a\x0d\x0d\x0a\x1c"), io.ErrUnexpectedEOF, "5 of 16 bytes"},
		{file("cut.gz", gz("hello")[:5]), io.ErrUnexpectedEOF, "gzip data"},
	} {
		s, err := OpenFile(c.path)
		if err == nil {
			s.Close()
			t.Errorf("%s: no error", c.path)
			continue
		}
		if !strings.HasPrefix(err.Error(), "open "+c.path+": ") || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q, want %q", err, c.says)
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("error %q does not wrap %q", err, c.is)
		}
	}
}

func TestUnreadable(t *testing.T) {
	err := openError("x.pcap", &fs.PathError{Op: "open", Path: "x.pcap", Err: fs.ErrPermission})
	if want := "open x.pcap: permission denied: make it readable, or run as a user who may read it"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

// TestReadError: an error of the reader below is not damage.
func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	content := mixedPcap()
	want, _ := readPlain(openBytes(t, content))
	for name, b := range map[string][]byte{"plain": content, "gzip": compressors["gzip"](content), "zstd": compressors["zstd"](content)} {
		r := io.MultiReader(bytes.NewReader(b[:len(b)-3]), iotest.ErrReader(broken))
		s, err := OpenReader(r, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readPlain(s)
		if !errors.Is(err, broken) || errors.As(err, new(*DamageError)) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "plain" && !slices.Equal(got, want[:len(want)-1]) {
			t.Errorf("%s: %d frames of %d", name, len(got), len(want))
		}
	}
	if _, err := OpenReader(iotest.ErrReader(broken), 0); !errors.Is(err, broken) {
		t.Error(err)
	}
	s, err := OpenReader(io.MultiReader(bytes.NewReader(content), &silent{}), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := readPlain(s); !errors.Is(err, io.ErrNoProgress) || errors.As(err, new(*DamageError)) || !slices.Equal(got, want) {
		t.Errorf("silent reader: %d frames of %d, %v", len(got), len(want), err)
	}
}

// silent returns nothing, without an error.
type silent struct{}

func (*silent) Read([]byte) (int, error) { return 0, nil }

// TestStatsWhileReading is for the race detector.
func TestStatsWhileReading(t *testing.T) {
	content := compressors["gzip"](mixedPcap())
	s := openBytes(t, content)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for last := (Stats{}); last.Received < 300; {
			st := s.Stats()
			if st.Received < last.Received || st.Bytes < last.Bytes || st.Size != int64(len(content)) {
				t.Errorf("stats go back: %+v, then %+v", last, st)
				return
			}
			last = st
		}
	}()
	if _, err := readPlain(s); err != nil {
		t.Fatal(err)
	}
	<-done
}

// TestPipe: frames of a stream are returned as they come, without waiting for a full batch.
func TestPipe(t *testing.T) {
	order := binary.LittleEndian
	r, w := io.Pipe()
	next := make(chan struct{})
	go func() {
		w.Write(pcapHeader(order, pcapMicros, 2, 4, 1))
		for range next {
			w.Write(record(nil, order, 1, 0, 5, 5, "hello"))
		}
		w.Close()
	}()
	s, err := OpenReader(r, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	for range 3 {
		next <- struct{}{}
		if err := s.ReadBatch(&b); err != nil || len(b.Frames) != 1 || string(b.Frames[0].Data) != "hello" {
			t.Errorf("%v, %d frames", err, len(b.Frames))
		}
	}
	close(next)
	if err := s.ReadBatch(&b); err != io.EOF {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	s, err := OpenFile(writeTemp(t, mixedPcap()))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var b Batch
	if err := s.ReadBatch(&b); !errors.Is(err, fs.ErrClosed) {
		t.Error(err)
	}
}
