package capture

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The errors of opening a capture name the limit that was exceeded, and say what to change. The kernel uses the same
// error number for different limits, so each step has its own explanation.

// packetError explains why there is no packet socket.
func packetError(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return errors.New("no permission: it needs the capability CAP_NET_RAW; run as root or: setcap cap_net_raw,cap_bpf,cap_perfmon+ep pktvisord")
	}
	return socketError(err)
}

// socketError explains why there is no socket.
func socketError(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		var limit unix.Rlimit
		unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
		return fmt.Errorf("%w: the process may have %d; use fewer shards, or raise the limit (ulimit -n, or LimitNOFILE= of the service)", err, limit.Cur)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: this is the limit of the whole machine; raise it with: sysctl -w fs.file-max=N", err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: the kernel has no such sockets, or the service may not have them (RestrictAddressFamilies= needs AF_PACKET, AF_NETLINK and AF_UNIX)", err)
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("make a socket: %w: the kernel has no memory for it", err)
	}
	return fmt.Errorf("make a socket: %w", err)
}

const (
	// maxInstructions is the length of the longest filter that the kernel accepts (linux/bpf_common.h: BPF_MAXINSNS).
	maxInstructions = 4096
	// enoughOptmem is more than the longest filter needs, in bytes. The kernel translates an instruction to up to
	// 19 instructions of 8 bytes (Linux 6.18: 8 bytes for a jump, 112 for a load, 152 for the length of an IP
	// header).
	enoughOptmem = 1 << 20
)

// filterError explains why the kernel rejected a filter of n instructions.
func filterError(err error, n int) error {
	err = fmt.Errorf("attach filter of %d instructions: %w", n, err)
	switch {
	case errors.Is(err, unix.EINVAL) && n > maxInstructions:
		return fmt.Errorf("%w: the kernel accepts at most %d; use a shorter filter", err, maxInstructions)
	case errors.Is(err, unix.ENOMEM):
		limit := optmemMax()
		if limit == 0 {
			return fmt.Errorf("%w: it does not fit into net.core.optmem_max; use a shorter filter, or: sysctl -w net.core.optmem_max=%d", err, enoughOptmem)
		}
		if limit < enoughOptmem {
			return fmt.Errorf("%w: it does not fit into net.core.optmem_max, which is %d bytes; use a shorter filter, or: sysctl -w net.core.optmem_max=%d", err, limit, enoughOptmem)
		}
		return fmt.Errorf("%w: the kernel has no memory for it, although net.core.optmem_max allows %d bytes", err, limit)
	}
	return err
}

// optmemMax returns the value of the sysctl, or 0 if it cannot be read. Each network namespace has its own value, and
// the file shows that of the thread.
func optmemMax() int {
	b, err := os.ReadFile("/proc/sys/net/core/optmem_max")
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return n
}

// fanoutError explains why the sockets of the shards do not share an interface.
func fanoutError(err error) error {
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("fanout: %w: the kernel does not accept so many sockets; use fewer shards", err)
	}
	return fmt.Errorf("fanout: %w", err)
}

// ringError explains why there is no ring.
func ringError(err error, cfg LiveConfig) error {
	switch {
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS):
		var limit unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
			return fmt.Errorf("%w: there is no memory for %d bytes of ring, or the process may not map it (its address space is limited to %d bytes: ulimit -v, LimitAS=); use a smaller --ring-size", err, cfg.RingBytes, limit.Cur)
		}
		return fmt.Errorf("%w: the kernel has no memory for %d bytes of ring; use a smaller --ring-size", err, cfg.RingBytes)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the process may not lock memory; raise the limit (ulimit -l, or LimitMEMLOCK= of the service) or use a smaller --ring-size", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOPROTOOPT):
		return fmt.Errorf("%w: the kernel does not accept a ring of this kind; it must be Linux 3.2 or later, and --ring-size below 4 GiB for a shard", err)
	}
	return err
}
