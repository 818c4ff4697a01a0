package capture

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// longFilter is a filter of n instructions that accepts every frame.
func longFilter(n int) func(linktype.Type) ([]bpf.RawInstruction, error) {
	return func(linktype.Type) ([]bpf.RawInstruction, error) {
		var prog []bpf.Instruction
		for range n - 1 {
			prog = append(prog, bpf.LoadMemShift{Off: 14}) // the kernel translates this instruction to more than any other
		}
		return bpf.Assemble(append(prog, bpf.RetConstant{Val: 1 << 20}))
	}
}

// TestLiveFilterTooLong: the error names the limit that a filter exceeds, and following its advice helps.
func TestLiveFilterTooLong(t *testing.T) {
	enterNetns(t, vethPair...)
	const sysctl = "/proc/sys/net/core/optmem_max"
	set := func(n string) {
		t.Helper()
		if err := os.WriteFile(sysctl, []byte(n), 0); err != nil {
			t.Skipf("needs an optmem_max of the namespace: %v", err) // older kernels have one value for the machine
		}
	}
	set("20480")
	cfg := LiveConfig{Interface: "vrx", Shards: 2, Filter: longFilter(4000)}
	_, err := OpenLive(cfg)
	if err == nil || strings.Contains(err.Error(), "ring") || !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("an error about the ring, or no error: %v", err)
	}
	m := regexp.MustCompile(`^capture on vrx: attach filter of 400\d instructions: cannot allocate memory: it does not fit into net\.core\.optmem_max, which is 20480 bytes; use a shorter filter, or: sysctl -w net\.core\.optmem_max=(\d+)$`).FindStringSubmatch(err.Error())
	if m == nil {
		t.Fatal(err)
	}
	set(m[1])
	sources := openLiveTest(t, cfg)
	send(t, rawSender(t, "vtx"), packetsFrom(20)...)
	receive(t, sources, 20)
	// The longest possible filter also fits.
	openLiveTest(t, LiveConfig{Interface: "vrx", Filter: longFilter(maxInstructions)})
	_, err = OpenLive(LiveConfig{Interface: "vrx", Filter: longFilter(maxInstructions + 1)})
	if want := "capture on vrx: attach filter of 4097 instructions: invalid argument: the kernel accepts at most 4096; use a shorter filter"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// TestErrorsNameTheLimit: the same error number can mean different limits.
func TestErrorsNameTheLimit(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("step: %w", err) }
	cfg := LiveConfig{RingBytes: 7 << 20}
	for _, c := range []struct {
		err  error
		want string
	}{
		{packetError(unix.EPERM), "CAP_NET_RAW"},
		{packetError(unix.EACCES), "CAP_NET_RAW"},
		{packetError(unix.EMFILE), "too many open files: the process may have "},
		{packetError(unix.EMFILE), "LimitNOFILE="},
		{packetError(unix.ENFILE), "fs.file-max"},
		{packetError(unix.EAFNOSUPPORT), "RestrictAddressFamilies="},
		{packetError(unix.ENOBUFS), "the kernel has no memory for it"},
		{packetError(unix.EINVAL), "make a socket: invalid argument"},
		{filterError(unix.EPERM, 10), "attach filter of 10 instructions: operation not permitted"},
		{filterError(unix.EINVAL, 10), "attach filter of 10 instructions: invalid argument"},
		{filterError(unix.ENOMEM, 10), "net.core.optmem_max"},
		{ringError(wrap(unix.ENOMEM), cfg), "step: cannot allocate memory: the kernel has no memory for 7340032 bytes of ring; use a smaller --ring-size"},
		{ringError(wrap(unix.EAGAIN), cfg), "LimitMEMLOCK="},
		{ringError(wrap(unix.EPERM), cfg), "LimitMEMLOCK="},
		{ringError(wrap(unix.EINVAL), cfg), "Linux 3.2 or later"},
		{ringError(wrap(unix.EBUSY), cfg), "step: device or resource busy"},
		{fanoutError(unix.ENOSPC), "use fewer shards"},
		{fanoutError(unix.EBUSY), "fanout: device or resource busy"},
	} {
		if !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%v, want %q in it", c.err, c.want)
		}
	}
	if s := socketError(unix.EPERM).Error(); strings.Contains(s, "CAP_NET_RAW") {
		t.Errorf("a socket that needs no capability: %s", s)
	}
}
