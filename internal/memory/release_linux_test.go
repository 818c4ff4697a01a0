package memory

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// resident returns the resident part of the program's file, in KiB, and its size.
func resident(t *testing.T) (kib, size int) {
	t.Helper()
	all, err := programMappings()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		kib, size = kib+m.resident, size+int(m.end-m.start)>>10
	}
	return kib, size
}

// TestRelease: the pages of the program's file are no longer resident, and the program runs on.
func TestRelease(t *testing.T) {
	all, err := programMappings()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_POPULATE_READ); e != 0 {
			t.Skipf("the kernel does not load pages on request (Linux 5.14): %v", e)
		}
	}
	before, size := resident(t)
	if before < size*9/10 || size < 1000 {
		t.Fatalf("%d of %d KiB are resident", before, size)
	}
	start, err := FindStart()
	if err != nil {
		t.Fatal(err)
	}
	if err := start.Release(); err != nil {
		t.Fatal(err)
	}
	if after, _ := resident(t); after >= before {
		t.Errorf("%d KiB are resident, and before it was %d", after, before)
	}
}

// TestReadMappings: only private mappings of the program's own file count, if they are read-only and unchanged.
func TestReadMappings(t *testing.T) {
	const smaps = `00400000-00c9d000 r-xp 00000000 fe:00 10625840                           /opt/a program
Size:               8820 kB
Rss:                7604 kB
Anonymous:             0 kB
00c9d000-0162d000 r--p 0089d000 fe:00 10625840                           /opt/a program
Rss:                7680 kB
Anonymous:             4 kB
0162d000-016e7000 rw-p 0122d000 fe:00 10625840                           /opt/a program
Rss:                 744 kB
Anonymous:             0 kB
016e7000-03734000 r--p 00000000 00:00 0
Rss:                 140 kB
Anonymous:             0 kB
7f7c8a000000-7f7c8a016000 r-xp 00000000 fe:00 326269                     /lib/libc.so.6
Rss:                  64 kB
Anonymous:             0 kB
7f7c8a016000-7f7c8a076000 r--s 00000000 fe:00 10625840                   /opt/a program
Rss:                 232 kB
Anonymous:             0 kB
`
	want := []mapping{{0x400000, 0xc9d000, 7604}}
	if got := readMappings([]byte(smaps), "/opt/a program"); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
