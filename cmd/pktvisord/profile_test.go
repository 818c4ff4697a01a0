package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"reflect"
	"runtime"
	"testing"

	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/reassemble"
)

// TestProfileKnowsTheProgram: the profile that the compiler optimises with has the functions that each packet passes
// through. Of functions that were renamed or are new, the compiler does not know that they are busy: after a larger change, make
// the profile again, as docs/performance.md says.
func TestProfileKnowsTheProgram(t *testing.T) {
	f, err := os.Open("default.pgo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	profile, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, busy := range []any{
		(*packets.Analyzer).Packets, (*dns.Reader).Packets, (*dns.Analyzer).Messages,
		(*reassemble.Streams).Add,
	} {
		name := runtime.FuncForPC(reflect.ValueOf(busy).Pointer()).Name()
		if !bytes.Contains(profile, []byte(name)) {
			t.Errorf("default.pgo does not have %s", name)
		}
	}
}
