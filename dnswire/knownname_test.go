package dnswire

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

// takes has a message take the name of another one, and holds the result to that of Parse: the same, or
// nothing changed. It reports whether the name was taken.
func takes(t *testing.T, from, b []byte) bool {
	t.Helper()
	var earlier, header, got, want Message
	var q KnownName
	earlier.Parse(from)
	saved := earlier.SaveName(&q)
	if n := len(earlier.Name()); saved != (n > 0 && n <= HeadLen) {
		t.Fatalf("saved is %v for a name of %d bytes", saved, n)
	}
	header.ParseHeader(b)
	got.ParseHeader(b)
	took := got.TakeName(b, &q)
	if !took {
		if got != header {
			t.Errorf("not taken, but changed: %+v", got)
		}
		return false
	}
	want.Parse(b)
	clear(want.name[max(int(want.nameLen), HeadLen):])
	if got != want {
		t.Errorf("message %x took %+v, Parse finds %+v", b, got, want)
	}
	return true
}

// TestTakeName: a name is taken by a message that has the same bytes of it, and by no other.
func TestTakeName(t *testing.T) {
	const name = "www.example.com."
	q := query(t, name, dns.TypeA)
	changed := func(at int, to byte) []byte {
		b := bytes.Clone(q)
		b[at] = to
		return b
	}
	otherLetter := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[headerLen+at]++
		return b
	}
	longest := query(t, "23456789.23456789.2345678.abcd.", dns.TypeA) // 32 bytes with the root's
	longer := query(t, "23456789.23456789.2345678.abcde.", dns.TypeA)
	for _, c := range []struct {
		name    string
		from, b []byte
		want    bool
	}{
		{"its response", q, response(t, name, 2), true},
		{"itself", q, q, true},
		{"the longest that fits", longest, longest, true},
		{"the longest with another letter in its first word", longest, otherLetter(longest, 5), false},
		{"in its second word", longest, otherLetter(longest, 13), false},
		{"in its third word", longest, otherLetter(longest, 20), false},
		{"in its fourth word", longest, otherLetter(longest, 30), false},
		{"longer", longer, longer, false},
		{"of one label", query(t, "a.", dns.TypeA), query(t, "a.", dns.TypeA), false}, // the memory ends too early
		{"of one label, in more memory", query(t, "a.", dns.TypeA), append(query(t, "a.", dns.TypeA), make([]byte, 32)...), true},
		{"the root", query(t, ".", dns.TypeNS), append(query(t, ".", dns.TypeNS), make([]byte, 32)...), true},
		{"another case", q, changed(13, 'W'), false},
		{"saved from another case", changed(13, 'W'), q, true},
		{"another letter", q, changed(13, 'v'), false},
		{"another last letter", q, changed(13+14, 'n'), false},
		{"other labels", q, changed(12+4, '.'), false},
		{"another type", q, query(t, name, dns.TypeNS), true},
		{"another class", q, changed(12+17+3, 3), true},
		{"cut in its class", q, q[:12+17+3], false},
		{"without a question", q, changed(5, 0), false},
		{"two questions", q, changed(5, 2), true},
		{"none saved", changed(5, 0), q, false},
	} {
		if got := takes(t, c.from, c.b); got != c.want {
			t.Errorf("%s: taken is %v, want %v", c.name, got, c.want)
		}
	}
}

// FuzzTakeName: whatever the messages, a question whose name is taken is the one that Parse reads.
func FuzzTakeName(f *testing.F) {
	a, b := query(f, "www.example.com.", dns.TypeA), response(f, "www.example.com.", 2)
	f.Add(a, b)
	f.Add(a, a[:20])
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\xc0\x0c\x00\x01\x00\x01"), a)
	f.Fuzz(func(t *testing.T, from, b []byte) {
		takes(t, from, b)
		// The first question of from in another message: as it would be answered.
		if len(from) > headerLen && len(b) >= headerLen {
			takes(t, from, append(bytes.Clone(b[:headerLen]), from[headerLen:]...))
		}
	})
}
