//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// bpfDir mounts a BPF file system, and returns a directory in it that does not exist yet.
func bpfDir(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Skipf("mount a BPF file system: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return filepath.Join(dir, "pktvisor")
}

// TestPin: what was pinned counts for the next process from zero, for one at a time, and not for another version.
func TestPin(t *testing.T) {
	dir := bpfDir(t)
	cfg := Config{Pinned: dir, SnapLen: 65535, Threshold: All}
	for range 2 { // the second replaces the first
		if err := Pin(dir, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	frame := make([]byte, 60)
	frame[12], frame[13] = 8, 6 // ARP
	for range 2 {
		c := OpenTest(t, cfg)
		if c.lock == nil {
			t.Fatal("the pinned program is not in use")
		}
		c.Run(t, frame)
		if got := c.Total()[Sampled].Frames; got != 1 {
			t.Errorf("%d frames, want 1", got)
		}
		if _, err := openPinned(dir); err == nil || !strings.Contains(err.Error(), "in use by another agent") {
			t.Errorf("a second process: %v", err)
		}
		own := OpenTest(t, cfg) // which may load its own
		own.Run(t, frame)
		if mine, other := own.Total()[Sampled].Frames, c.Total()[Sampled].Frames; own.lock != nil || mine != 1 || other != 1 {
			t.Errorf("a second process with permission has counted %d frames, and the first %d; want 1 each", mine, other)
		}
		if err := c.lock.Close(); err != nil { // as when the process ends
			t.Fatal(err)
		}
		c.lock = nil
	}
	c := OpenTest(t, cfg)
	c.conf.version++
	if err := c.lock.Close(); err != nil {
		t.Fatal(err)
	}
	c.lock = nil
	if _, err := openPinned(dir); err == nil || !strings.Contains(err.Error(), "by another version of pktvisord") {
		t.Errorf("another version: %v", err)
	}
	if err := Pin(t.TempDir(), 0, 0); err == nil || !strings.Contains(err.Error(), "mount -t bpf") {
		t.Errorf("not a BPF file system: %v", err)
	}
}

// TestChangingHosts: subnets move between the few that are compared and the tries, and go.
func TestChangingHosts(t *testing.T) {
	c := OpenTest(t, Config{Threshold: All})
	frame := make([]byte, 60)
	frame[12], frame[14], frame[17], frame[23] = 8, 0x45, 40, 1
	copy(frame[26:], []byte{198, 51, 100, 1, 192, 0, 2, 1})
	few := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	mapped := []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")}
	var many, without []netip.Prefix
	for i := range 10_000 {
		without = append(without, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32))
	}
	many = append(append(many, without...), few...)
	for i, step := range []struct {
		hosts []netip.Prefix
		in    bool
	}{{few, true}, {nil, false}, {many, true}, {without, false}, {many, true}, {nil, false}, {mapped, true}} {
		if err := c.SetHosts(step.hosts); err != nil {
			t.Fatal(err)
		}
		before := c.Total()[Sampled].Cells[8].Packets
		c.Run(t, frame)
		if in := c.Total()[Sampled].Cells[8].Packets > before; in != step.in {
			t.Errorf("step %d: in %t, want %t", i, in, step.in)
		}
	}
}

// TestThreshold: a share of the pairs of addresses is in the sample, both directions of a pair alike.
func TestThreshold(t *testing.T) {
	c := OpenTest(t, Config{Threshold: 1 << 30, Seed: 7})
	frame := make([]byte, 60)
	frame[12], frame[14], frame[17], frame[23] = 8, 0x45, 40, 1
	const pairs = 2000
	in := 0
	for i := range pairs {
		a, b := []byte{10, 0, byte(i >> 8), byte(i)}, []byte{192, 0, 2, 1}
		copy(frame[26:], append(append([]byte{}, a...), b...))
		one := c.Run(t, frame)
		copy(frame[26:], append(append([]byte{}, b...), a...))
		if c.Run(t, frame) != one {
			t.Fatalf("pair %d: the two directions differ", i)
		}
		if one {
			in++
		}
	}
	if in < pairs/4-100 || in > pairs/4+100 { // five standard deviations
		t.Errorf("%d of %d pairs are in a sample of a quarter", in, pairs)
	}
	got := c.Total()
	if got[Sampled].Frames != uint64(2*in) || got[Skipped].Frames != uint64(2*(pairs-in)) {
		t.Errorf("%d frames sampled, %d skipped, want %d and %d", got[Sampled].Frames, got[Skipped].Frames, 2*in, 2*(pairs-in))
	}
}

// BenchmarkProgram measures a run of the program, with the kernel's test loop: see "loop".
func BenchmarkProgram(b *testing.B) {
	c := OpenTest(b, Config{Ports: []uint16{53}, Threshold: 0, Hosts: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}})
	v4 := make([]byte, 90)
	v4[12], v4[14], v4[17], v4[23], v4[37], v4[39], v4[47] = 8, 0x45, 76, 17, 53, 56, 1
	v6 := make([]byte, 110)
	v6[12], v6[13], v6[14], v6[19], v6[20], v6[57], v6[59], v6[67] = 0x86, 0xdd, 0x60, 56, 17, 53, 56, 1
	for name, frame := range map[string][]byte{"v4 query": v4, "v6 query": v6, "loop": v4} {
		b.Run(name, func(b *testing.B) {
			c.conf.off, c.conf.received = flag(name == "loop"), 0
			least := 1e9
			for b.Loop() {
				_, d, err := c.program.Benchmark(testInput(frame), 2000, nil)
				if err != nil {
					b.Fatal(err)
				}
				least = min(least, float64(d.Nanoseconds()))
			}
			b.ReportMetric(least, "ns/run")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// TestPinDirectory: the directory stays root's, also if an earlier one belongs to the user of the program, who could otherwise put
// links there. The pins are the user's.
func TestPinDirectory(t *testing.T) {
	dir := bpfDir(t)
	const nobody = 65534
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := Pin(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct{ uid, mode uint32 }{dir: {0, 0o750}, filepath.Join(dir, programName): {nobody, 0o660}} {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil || st.Uid != want.uid || st.Gid != nobody || st.Mode&0o7777 != want.mode {
			t.Errorf("%s: uid %d, gid %d, mode %o, %v; want uid %d, mode %o", path, st.Uid, st.Gid, st.Mode&0o7777, err, want.uid, want.mode)
		}
	}
	if err := os.Symlink("/", dir+"2"); err != nil {
		t.Fatal(err)
	}
	if err := Pin(dir+"2", 0, 0); err == nil {
		t.Error("a link to a directory is accepted")
	}
}
