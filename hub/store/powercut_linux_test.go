package store

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"pktvisor/hub/rollup"
)

// image makes a file with an ext4 file system, and mounts it.
func image(t *testing.T, megabytes int64) (file, dir string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, megabytes<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", file).CombinedOutput(); err != nil {
		t.Skipf("a power cut needs mkfs.ext4: %v: %s", err, out)
	}
	return file, mountImage(t, file)
}

func mountImage(t *testing.T, file string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", file, dir).CombinedOutput(); err != nil {
		t.Skipf("a power cut needs root and loop devices: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}

// TestPowerCut copies the disk below a store that is open, which is what a power cut leaves. All that was acknowledged must
// be there.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	file, dir := image(t, 96)
	c := testConfig(t)
	c.Dir, c.RawBytes = dir, 32<<20
	s := open(t, c)
	const rolls, raws = 50, 500 // more than a block of 8 MB
	revisions := map[Key]uint64{}
	for i := range int64(rolls) {
		k := Key{rollup.Minute1, "default", all, i % 10 * 60} // each is replaced four times
		r, err := s.Put(ctx, k, fmt.Append(nil, i), revisions[k])
		if err != nil {
			t.Fatal(err)
		}
		revisions[k] = r
	}
	var puts []Put
	for i := range uint64(raws) {
		puts = append(puts, Put{Data: padded("ns1", i+1, lastMinute(), 20_000)})
	}
	for i, err := range s.PutRaws(ctx, puts) {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	if err := s.Hosts().Put(ctx, "ns1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	after := filepath.Join(t.TempDir(), "after")
	copyFile(t, after, file)
	c.Dir = mountImage(t, after)
	s = open(t, c)
	for k, revision := range revisions {
		if data, r, err := s.Get(ctx, k); err != nil || r != revision || string(data) != fmt.Sprint(40+k.Start/60) {
			t.Errorf("%v: %q, revision %d, %v", k, data, r, err)
		}
	}
	seen := map[uint64]bool{}
	for _, d := range consume(t, s, raws) {
		if d.Err != nil {
			t.Error(d.Err)
		}
		seen[d.Info.Identity.Seq] = true
	}
	if len(seen) != raws {
		t.Errorf("%d of %d snapshots", len(seen), raws)
	}
	if h, err := s.Hosts().Get(ctx, "ns1"); err != nil || string(h.Value) != "x" {
		t.Errorf("%v, %v", h, err)
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}
