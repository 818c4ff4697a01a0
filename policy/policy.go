// Package policy is the agent's configuration as data: what to observe, how to analyse it and how
// long to keep it, with the defaults and one check of all of it.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pktvisor/analyze"
	"pktvisor/minute"
)

// The limits of a configuration.
const (
	MinPeriods = 2
	MaxPeriods = minute.MaxKept
)

// Config is what a user asks of the agent. [Default] has the defaults; a field is valid where [Config.Validate]
// finds no fault.
type Config struct {
	// Target is an interface, an address of one, "any", "auto", a capture file, or "-".
	Target string
	// Filter is an expression of the pcap-filter language; empty lets everything through.
	Filter string
	// Hosts is the list of subnets that count as the host, as the user wrote it.
	Hosts string
	// AutoHost adds the addresses of the interface to Hosts, in live capture.
	AutoHost bool
	// Periods is how many minutes the window has.
	Periods int
	// Summary makes one bucket of a whole file.
	Summary bool
	// DeepSamplePercent is the share of flows and transactions that is analysed deeply.
	DeepSamplePercent int
	// GeoCity and GeoASN are paths of MaxMind databases, or empty.
	GeoCity, GeoASN string
	// DNSPorts is a list of ports, separated by commas.
	DNSPorts string
	// DNSTimeout is how long a query waits for its response.
	DNSTimeout time.Duration
	// Decap counts the innermost packet of a tunnel instead of the outermost.
	Decap bool
	// Strict makes a damaged file a failure.
	Strict bool
	// Listen and Port are where the HTTP API is served.
	Listen string
	Port   int
	// Replay plays the target, a capture file, as if it were live, ReplaySpeed times as fast as it was
	// recorded; a speed of 0 is as fast as it can be read.
	Replay      bool
	ReplaySpeed float64
	// RingMiB is the size of the capture ring of all shards together.
	RingMiB int
	// SnapLen is how many bytes of a frame are captured.
	SnapLen int
	// Promisc captures frames to other hosts too.
	Promisc bool
	// Shards is how many goroutines analyse packets; 0 is one a core.
	Shards int
}

// Default is the configuration of someone who asks for nothing.
func Default() Config {
	return Config{
		AutoHost: true, Periods: 5, DeepSamplePercent: 100,
		DNSPorts: "53,5353,5355", DNSTimeout: 5 * time.Second,
		Listen: "localhost", Port: 10853, ReplaySpeed: 1, RingMiB: 32, SnapLen: 65535,
	}
}

// Validate reports everything that is wrong with the configuration, a line each, in terms of the command line.
func (c *Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Periods < MinPeriods || c.Periods > MaxPeriods {
		fault("--periods %d: give a number of minutes from %d to %d", c.Periods, MinPeriods, MaxPeriods)
	}
	if c.DeepSamplePercent < 0 || c.DeepSamplePercent > 100 {
		fault("--max-deep-sample %d: give a percentage from 0 to 100", c.DeepSamplePercent)
	}
	if _, err := analyze.ParseHosts(c.Hosts); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fault("-H: %s", line)
		}
	}
	if _, err := ParsePorts(c.DNSPorts); err != nil {
		fault("--dns-ports: %w", err)
	}
	if c.DNSTimeout < time.Millisecond || c.DNSTimeout > 5*time.Minute {
		fault("--dns-timeout %s: give a time from 1ms to 5m", c.DNSTimeout)
	}
	if c.Port < 0 || c.Port > 65535 {
		fault("-p %d: give a port from 1 to 65535, or 0 for any free one", c.Port)
	}
	if !(c.ReplaySpeed >= 0 && c.ReplaySpeed <= 1e6) { // NaN is neither
		fault("--replay-speed %v: give a factor up to 1000000, or 0 for as fast as possible", c.ReplaySpeed)
	}
	if c.RingMiB < 1 || c.RingMiB > 4096 {
		fault("--ring-size %d: give a number of MiB from 1 to 4096", c.RingMiB)
	}
	if c.SnapLen < 64 || c.SnapLen > 262144 {
		fault("--snaplen %d: give a number of bytes from 64 to 262144", c.SnapLen)
	}
	if c.Summary && c.Replay {
		fault("--summary is for a capture file; --replay plays it as if it were live")
	}
	if c.Shards < 0 || c.Shards > 256 {
		fault("--shards %d: give a number from 1 to 256, or 0 for one a core", c.Shards)
	}
	if c.Target == "" {
		fault("no TARGET: give an interface, an IP address of one, \"any\", a capture file, or \"-\" for a capture on standard input")
	}
	return errors.Join(errs...)
}

// ParsePorts reads a list of ports, separated by commas.
func ParsePorts(list string) ([]uint16, error) {
	var ports []uint16
	for part := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseUint(strings.TrimSpace(part), 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is not a port: give numbers from 1 to 65535, separated by commas", part)
		}
		if !slices.Contains(ports, uint16(n)) {
			ports = append(ports, uint16(n))
		}
	}
	return ports, nil
}
