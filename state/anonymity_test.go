package state

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pktvisor/metric"
)

// TestRequire: a run that anonymises restores only what is anonymised in the same way, and removes the rest, also what is damaged or of
// the future. A run that does not anonymise leaves anonymised minutes alone.
func TestRequire(t *testing.T) {
	const mine = metric.Anonymity("key=0011")
	fill := func() string {
		dir := t.TempDir()
		s, _ := open(t, dir)
		s.Load(time.Unix(noon, 0), 100)
		for i, a := range []metric.Anonymity{"", mine, "key=0022", mine + ",names=domain", mine, ""} {
			b := bucket(noon+60*int64(i), i+1)
			b.Anonymity = a
			keep(t, s, b)
		}
		s.Close(nil)
		damaged := strconv.FormatInt(noon, 10) + bucketExt + damagedExt
		if err := os.WriteFile(filepath.Join(dir, damaged), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		// What cannot be read is not known to be another's.
		if err := os.Mkdir(filepath.Join(dir, strconv.FormatInt(noon-60, 10)+bucketExt), 0o700); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, c := range []struct {
		name     string
		required metric.Anonymity
		restored []int
		files    int
		log      string
	}{
		{"anonymised", mine, []int{2, 5}, 3, "buckets of another run removed: they are not anonymised as those of this run"},
		{"not anonymised", "", []int{1}, 8, "its pseudonyms have no place beside addresses"},
	} {
		dir := fill()
		s, log := open(t, dir)
		s.Require(c.required)
		var got []int
		for _, b := range s.Load(time.Unix(noon+60*4+1, 0), 100) { // the last one is of the future
			got = append(got, total(b))
		}
		s.Close(nil)
		files, _ := filepath.Glob(filepath.Join(dir, "*pktvsnap*"))
		if !slices.Equal(got, c.restored) || len(files) != c.files || !strings.Contains(log.String(), c.log) {
			t.Errorf("%s: restored %v of files %q, want %v of %d; log: %s", c.name, got, files, c.restored, c.files, log)
		}
	}
}
