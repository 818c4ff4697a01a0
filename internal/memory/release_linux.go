package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Start is what only the start of the program needs.
type Start struct{ file []mapping }

// FindStart finds the pages of the program's own file. Call it before the process confines itself: afterwards it cannot look at
// its own mappings.
func FindStart() (*Start, error) {
	all, err := programMappings()
	if err != nil {
		return nil, fmt.Errorf("find the pages of the program's file: %w", err)
	}
	return &Start{all}, nil
}

// Release returns to the system what only the start of the program needed: garbage, and the pages of the program's own file. The
// kernel maps 16 pages of the file around each one that is touched, so most of the file is resident after the start. A page that is
// needed again is still in the kernel's cache, and costs a page fault. A nil Start returns only the garbage.
func (s *Start) Release() (err error) {
	debug.FreeOSMemory()
	if s == nil {
		return nil
	}
	for _, m := range s.file {
		// The address is not that of Go's memory, so there is no slice of it.
		if _, _, e := unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED); e != 0 {
			err = errors.Join(err, fmt.Errorf("release the pages of the program's file: %w", e))
		}
	}
	return err
}

// mapping is a part of the address space that shows the program's file, unchanged.
type mapping struct {
	start, end uintptr
	resident   int // KiB
}

// programMappings returns where the program's file is mapped and all pages are as in the file: no relocations, and no breakpoints
// of a debugger. So nothing is lost if the kernel forgets these pages.
func programMappings() ([]mapping, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	return readMappings(b, exe), nil
}

// readMappings reads /proc/self/smaps.
func readMappings(smaps []byte, exe string) (all []mapping) {
	var m mapping
	ours := false
	lines := bufio.NewScanner(bytes.NewReader(smaps))
	for lines.Scan() {
		line := lines.Text()
		name, value, _ := strings.Cut(line, ":")
		n := 0
		if f := strings.Fields(value); len(f) > 0 {
			n, _ = strconv.Atoi(f[0])
		}
		switch {
		case name == "Rss":
			m.resident = n
		case name == "Anonymous":
			if ours && n == 0 {
				all = append(all, m)
			}
		case strings.Contains(name, "-"): // START-END MODE OFFSET DEVICE INODE PATH
			m, ours = mapping{}, false
			if f := strings.Fields(line); len(f) >= 6 && f[1][1] == '-' && f[1][3] == 'p' && strings.HasSuffix(line, " "+exe) {
				start, end, _ := strings.Cut(f[0], "-")
				a, err1 := strconv.ParseUint(start, 16, 64)
				z, err2 := strconv.ParseUint(end, 16, 64)
				m.start, m.end, ours = uintptr(a), uintptr(z), err1 == nil && err2 == nil
			}
		}
	}
	return all
}
