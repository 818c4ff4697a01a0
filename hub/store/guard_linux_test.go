package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pktvisor/internal/testkit"
)

// disk mounts a file system in memory that ends with the test.
func disk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk needs root: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill writes a file until free bytes are left, or until the disk is full.
func fill(t *testing.T, dir string, left uint64) (name string) {
	t.Helper()
	free, _, err := space(dir)
	if err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := uint64(0); n+left < free; n += 4096 {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			break
		}
	}
	return name
}

// padded returns a snapshot of about a size, which has a long body that nobody reads.
func padded(host string, seq uint64, start int64, size int) []byte {
	return pad(snapshot(identity(host, seq), start), size)
}

func TestRoomOf(t *testing.T) {
	for _, c := range []struct {
		free, total uint64
		want        int32
	}{{0, 0, roomEnough}, {100, 1000, roomEnough}, {99, 1000, roomLow}, {30, 1000, roomLow}, {29, 1000, roomFull}, {10, 1000, roomFull}, {9, 1000, roomNone}, {0, 1000, roomNone}} {
		if got := roomOf(c.free, c.total); got != c.want {
			t.Errorf("%d of %d free: %d, want %d", c.free, c.total, got, c.want)
		}
	}
}

func TestRawBytesMustFit(t *testing.T) {
	c := testConfig(t)
	c.space = func(string) (uint64, uint64, error) { return 3 << 30, 10 << 30, nil }
	c.RawBytes = 2100 << 20
	_, err := Open(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "2100 MB for snapshots do not fit") || !strings.Contains(err.Error(), "give at most 2048 MB") {
		t.Errorf("2100 MB of 2048: %v", err)
	}
	c.RawBytes = 0
	s := open(t, c)
	if got := s.streams[0].CachedInfo().Config.MaxBytes; got != 3<<29 {
		t.Errorf("by default %d MB", got>>20)
	}
	s.Close()
	for _, next := range []struct {
		free uint64
		want int64
	}{{4 << 30, 3 << 29}, {2 << 30, 1 << 30}} { // it is kept if it fits
		c.space = func(string) (uint64, uint64, error) { return next.free, 10 << 30, nil }
		s := open(t, c)
		if got := s.streams[0].CachedInfo().Config.MaxBytes; got>>20 != next.want>>20 {
			t.Errorf("with %d MB free: %d MB", next.free>>20, got>>20)
		}
		s.Close()
	}
}

// TestLowDisk fills a disk slowly: the oldest snapshots that are acknowledged are removed, then new ones are refused, then
// rollups, and with room again everything is taken.
func TestLowDisk(t *testing.T) {
	ctx := t.Context()
	c := testConfig(t)
	var free atomic.Uint64
	const total = 1000 << 20
	free.Store(total / 2)
	c.space = func(string) (uint64, uint64, error) { return free.Load(), total, nil }
	c.RawBytes = 100 << 20
	s := open(t, c)
	s.stop() // the test looks itself
	s.work.Wait()
	start := lastMinute()
	var puts []Put
	for i := range 100 {
		puts = append(puts, Put{Data: padded("ns1", uint64(i+1), start, 10_000)})
	}
	for i, err := range s.PutRaws(ctx, puts) {
		if err != nil {
			t.Fatal(i, err)
		}
	}
	for i, d := range consume(t, s, 100) {
		if i < 80 {
			d.Ack()
		}
	}
	testkit.Eventually(t, "acknowledged", func() bool { s.look(ctx); return s.Status().Unacknowledged == 20 })
	left := func() uint64 { s.look(ctx); return s.Status().Streams[0].Messages }

	free.Store(total/10 - 200_000)
	s.guard(ctx)
	if n := left(); n != 100 {
		t.Errorf("below 10%%, %d snapshots of less than half an hour are left", n)
	}
	put := func(want error) {
		t.Helper()
		seq := uint64(1000 + time.Now().Nanosecond())
		if err := s.PutRaw(ctx, snapshot(identity("ns2", seq), start), ""); !errors.Is(err, want) {
			t.Errorf("snapshot: %v, want %v", err, want)
		}
	}
	put(nil)
	free.Store(total/100*3 - 100)
	s.guard(ctx)
	put(ErrFull)
	if _, err := s.Put(ctx, Key{1, "default", all, 60}, []byte("x"), 0); err != nil {
		t.Errorf("a rollup below 3%%: %v", err)
	}
	if st := s.Status(); !st.Full || st.Purged != 80 || left() != 21 {
		t.Errorf("full: %v, purged %d, left %d", st.Full, st.Purged, left())
	}
	free.Store(total/100 - 100)
	s.guard(ctx)
	if _, err := s.Put(ctx, Key{1, "default", all, 120}, []byte("x"), 0); !errors.Is(err, ErrFull) {
		t.Errorf("a rollup below 1%%: %v", err)
	}
	free.Store(total / 2)
	s.guard(ctx)
	put(nil)
	if st := s.Status(); st.Full || st.Lost != 0 || st.Restarts != 0 {
		t.Errorf("%+v", st)
	}
}

// TestFullDisk fills a disk that the store believes to have room. JetStream stalls, and is restarted when there is room.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := testConfig(t)
	c.Dir = disk(t, "48m")
	var full atomic.Bool
	c.space = func(string) (uint64, uint64, error) {
		if full.Load() {
			return 0, 48 << 20, nil
		}
		return 40 << 20, 48 << 20, nil
	}
	c.RawBytes = 16 << 20
	s := open(t, c)
	start := lastMinute()
	acked := uint64(0)
	for ; acked < 20; acked++ {
		if err := s.PutRaw(ctx, padded("ns1", acked+1, start, 50_000), ""); err != nil {
			t.Fatal(err)
		}
	}
	name := fill(t, c.Dir, 0)
	began := time.Now()
	full.Store(true)
	var err error
	for err == nil { // some space is left in the file of the block
		if err = s.PutRaw(ctx, padded("ns1", acked+1, start, 50_000), ""); err == nil {
			acked++
		}
	}
	if !errors.Is(err, ErrFull) && !errors.Is(err, ErrUnavailable) {
		t.Errorf("on a full disk: %v", err)
	}
	t.Logf("%d snapshots, then after %v: %v", acked, time.Since(began), err)
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	full.Store(false)
	began = time.Now()
	for {
		if err = s.PutRaw(ctx, padded("ns1", acked+1, start, 50_000), ""); err == nil {
			break
		}
		if time.Since(began) > 60*time.Second {
			t.Fatalf("with room again: %v", err)
		}
	}
	acked++
	t.Logf("stores again after %v, %d restarts", time.Since(began), s.Status().Restarts)
	seen := map[uint64]bool{}
	for _, d := range consume(t, s, int(acked)) {
		seen[d.Info.Identity.Seq] = true
	}
	if len(seen) != int(acked) {
		t.Errorf("%d of %d snapshots are there", len(seen), acked)
	}
}
