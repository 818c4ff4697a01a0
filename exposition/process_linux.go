package exposition

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ticks is the number of the kernel's clock ticks a second in /proc, on every architecture that Go knows.
const ticks = 100

var (
	cpuSeconds    = NewFamily("process_cpu_seconds_total", "User and system CPU time of the process.", Counter)
	virtualBytes  = NewFamily("process_virtual_memory_bytes", "Virtual memory of the process.", Gauge)
	residentBytes = NewFamily("process_resident_memory_bytes", "Resident memory of the process.", Gauge)
	startTime     = NewFamily("process_start_time_seconds", "Start of the process, in Unix time.", Gauge)
	openFDs       = NewFamily("process_open_fds", "Open file descriptors.", Gauge)
	maxFDs        = NewFamily("process_max_fds", "The most file descriptors that may be open.", Gauge)
	maxVirtual    = NewFamily("process_virtual_memory_max_bytes", "The most virtual memory that the process may have.", Gauge)
	netIn         = NewFamily("process_network_receive_bytes_total", "Bytes of IP packets that came into the network namespace.", Counter)
	netOut        = NewFamily("process_network_transmit_bytes_total", "Bytes of IP packets that left the network namespace.", Counter)
)

// appendProcess writes what /proc says about the process. What cannot be read is left out.
func appendProcess(e *Encoder, started time.Time) {
	value := func(f *Family, v float64) {
		e.Family(f)
		e.Value(v, started)
	}
	if b, err := os.ReadFile("/proc/self/stat"); err == nil {
		if s, ok := parseStat(b); ok {
			value(cpuSeconds, s.cpu)
			value(virtualBytes, s.virtual)
			value(residentBytes, s.resident*float64(os.Getpagesize()))
			if boot, ok := booted(); ok {
				value(startTime, boot+s.start)
			}
		}
	}
	if n, ok := countFDs(); ok {
		value(openFDs, float64(n))
	}
	if b, err := os.ReadFile("/proc/self/limits"); err == nil {
		if v, ok := parseLimit(b, "Max open files"); ok {
			value(maxFDs, v)
		}
		if v, ok := parseLimit(b, "Max address space"); ok {
			value(maxVirtual, v)
		}
	}
	if b, err := os.ReadFile("/proc/self/net/netstat"); err == nil {
		if in, out, ok := parseNetstat(string(b)); ok {
			value(netIn, in)
			value(netOut, out)
		}
	}
}

// stat is what /proc/self/stat says: seconds of CPU, the start in seconds after the boot, bytes of virtual memory, and resident
// pages.
type stat struct{ cpu, start, virtual, resident float64 }

// parseStat reads /proc/self/stat (proc_pid_stat(5)). The name in its second field may have spaces and parentheses.
func parseStat(b []byte) (s stat, ok bool) {
	const user, system, start, virtual, resident = 14, 15, 22, 23, 24 // fields, counted from 1
	const afterName = 3
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) <= resident-afterName {
		return s, false
	}
	ok = true
	at := func(field int) float64 {
		v, err := strconv.ParseFloat(string(fields[field-afterName]), 64)
		ok = ok && err == nil
		return v
	}
	return stat{(at(user) + at(system)) / ticks, at(start) / ticks, at(virtual), at(resident)}, ok
}

// booted is [bootTime], which takes the kernel as long as everything else together.
var booted = sync.OnceValues(bootTime)

// bootTime returns the time of the boot in Unix time.
func bootTime() (float64, bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	_, after, found := strings.Cut(string(b), "\nbtime ")
	text, _, _ := strings.Cut(after, "\n")
	v, err := strconv.ParseFloat(text, 64)
	return v, found && err == nil
}

// countFDs returns the number of open file descriptors. From Linux 6.2 on, it is the size of the directory.
func countFDs() (int64, bool) {
	const dir = "/proc/self/fd"
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return info.Size(), true
	}
	d, err := os.Open(dir)
	if err != nil {
		return 0, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	return int64(len(names)) - 1, err == nil // without that of the directory
}

// parseLimit returns a soft limit of /proc/self/limits. No limit is the greatest number of 64 bits.
func parseLimit(b []byte, name string) (float64, bool) {
	for line := range strings.Lines(string(b)) {
		rest, found := strings.CutPrefix(line, name)
		if !found {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			return 0, false
		}
		if fields[0] == "unlimited" {
			return math.MaxUint64, true
		}
		v, err := strconv.ParseFloat(fields[0], 64)
		return v, err == nil
	}
	return 0, false
}

// parseNetstat returns the bytes of IP packets in and out: two columns of the lines IpExt, of which the first has the names.
func parseNetstat(text string) (in, out float64, ok bool) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "IpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		found := 0
		for i, name := range names[:min(len(names), len(fields))] {
			v, err := strconv.ParseFloat(fields[i], 64)
			switch {
			case err != nil:
			case name == "InOctets":
				in = v
				found++
			case name == "OutOctets":
				out = v
				found++
			}
		}
		return in, out, found == 2
	}
	return 0, 0, false
}
