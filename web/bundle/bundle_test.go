package bundle

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write web/dist again")

// TestDist checks that the bundle in the repository is made from its sources, and that it is small.
func TestDist(t *testing.T) {
	files, err := Files("..")
	if err != nil {
		t.Fatal(err)
	}
	dist := filepath.Join("..", "dist")
	if *update {
		for name, body := range files {
			if err := os.WriteFile(filepath.Join(dist, name), body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, body := range files {
		have, err := os.ReadFile(filepath.Join(dist, name))
		if err != nil || !bytes.Equal(have, body) {
			t.Errorf("web/dist/%s is not what web/app makes: run make web (%v)", name, err)
		}
	}
	// What the first view loads, compressed as it is sent.
	first := 0
	for _, name := range []string{"index.html", "first.js", "app.js", "app.css"} {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(files[name])
		z.Close()
		first += b.Len()
	}
	t.Logf("the first view loads %d bytes", first)
	if first > 120_000 {
		t.Errorf("the first view loads %d bytes, want at most 120,000", first)
	}
	entries, err := os.ReadDir(dist)
	if err != nil || len(entries) != len(files) {
		t.Errorf("web/dist has %d files, want %d: %v", len(entries), len(files), err)
	}
}
