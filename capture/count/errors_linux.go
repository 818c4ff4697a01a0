//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// maxReason is the greatest length of a verifier's message, in bytes.
const maxReason = 160

// explained is an error that says what to do.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }

// explain says why the program is not in use, and what can be done. It does not repeat what package ebpf says about a
// refusal: that the limit of locked memory may be too low, which does not matter since Linux 5.11.
func explain(err error) error {
	if done := (*explained)(nil); errors.As(err, &done) {
		return err
	}
	text := ""
	var refused *ebpf.VerifierError
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !errors.As(err, &refused):
		text = "no permission: it needs the capability CAP_BPF besides CAP_NET_RAW (setcap cap_net_raw,cap_bpf,cap_perfmon+ep pktvisord), or root runs: pktvisord load-bpf"
	case errors.Is(err, unix.ENOSYS):
		text = "this kernel has no eBPF"
	case errors.As(err, &refused):
		text = "the kernel refuses the program: " + verdict(refused) + "; it needs Linux 5.11 or later"
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOSPC):
		text = fmt.Sprintf("%v: the kernel has no memory for it; the limit of the control group or service (MemoryMax=) also counts here", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, ebpf.ErrNotSupported):
		text = fmt.Sprintf("%v: this kernel cannot do it; it needs Linux 5.11 or later", firstLine(err.Error()))
	default:
		text = firstLine(err.Error())
	}
	return &explained{text, err}
}

// verdict returns the line of the verifier's log that says what is wrong.
func verdict(v *ebpf.VerifierError) string {
	for i := len(v.Log) - 1; i >= 0; i-- {
		line := strings.TrimSpace(v.Log[i])
		if line != "" && !strings.HasPrefix(line, "processed ") && !strings.HasPrefix(line, "verification time") && !strings.HasPrefix(line, "stack depth") {
			return clip(line)
		}
	}
	return clip(firstLine(v.Cause.Error()))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return clip(line)
}

func clip(s string) string {
	if len(s) > maxReason {
		return s[:maxReason] + "…"
	}
	return s
}
