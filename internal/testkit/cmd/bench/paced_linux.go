package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pin keeps the calling goroutine on a CPU, if there is more than one, until unpin is called.
func pin(cpu int) (unpin func(), err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, fmt.Errorf("ask for the CPUs: %w", err)
	}
	runtime.LockOSThread()
	if all.Count() > 1 {
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			runtime.UnlockOSThread()
			return nil, fmt.Errorf("use only CPU %d: %w", cpu, err)
		}
	}
	return func() {
		unix.SchedSetaffinity(0, &all)
		runtime.UnlockOSThread()
	}, nil
}

// startOn starts a program on a CPU. The calling goroutine must be pinned, and stays on its CPU.
func startOn(cmd *exec.Cmd, cpu int) error {
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		return err
	}
	if runtime.NumCPU() > 1 {
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil { // a child inherits it
			return err
		}
		defer unix.SchedSetaffinity(0, &mine)
	}
	return cmd.Start()
}

// used returns what a process has used since its start.
func used(pid int) (s spent, err error) {
	// The clock of a process's CPU time: see MAKE_PROCESS_CPUCLOCK in include/linux/posix-timers_types.h.
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return s, fmt.Errorf("ask for the CPU time: %w", err)
	}
	s.cpu = time.Duration(ts.Nano())
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	if f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]); len(f) > 12 {
		ticks, _ := strconv.Atoi(string(f[12])) // stime
		s.system = time.Duration(ticks) * tick
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, t := range threads {
		b, err := os.ReadFile(t)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(b)) {
			if n, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				v, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
				s.switches += v
			}
		}
	}
	return s, err
}

// tick is the unit of times in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// softirq returns the time that a CPU has spent in soft interrupts.
func softirq(cpu int) time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	for line := range strings.Lines(string(b)) {
		// user nice system idle iowait irq softirq
		if f := strings.Fields(line); len(f) > 7 && f[0] == fmt.Sprintf("cpu%d", cpu) {
			n, _ := strconv.Atoi(f[7])
			return time.Duration(n) * tick
		}
	}
	return 0
}

// enlargePipe makes a pipe hold a burst.
func enlargePipe(f *os.File) {
	unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, 1<<20)
}

// openTerminal gives a program that is not started yet a terminal for its input and output, and discards what it prints.
func openTerminal(cmd *exec.Cmd) (io.Closer, error) {
	term, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(int(term.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(term.Fd()), unix.TIOCSPTLCK, 0)
	}
	var own *os.File
	if err == nil {
		own, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		term.Close()
		return nil, fmt.Errorf("open a terminal: %w", err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Env = own, own, append(os.Environ(), "TERM=vt100")
	go io.Copy(io.Discard, term)
	return term, nil
}
