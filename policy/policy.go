// Package policy is the agent's configuration as data: what to observe ([Tap]), what to summarise and how long to keep
// it ([Policy]), how the program runs and publishes it ([Program]), where it pushes it ([Push],
// [OTLP]), and who may read it ([Access]).
//
// [Default] returns the defaults. Flags or a file change fields. [Config.Validate] reports all mistakes, using the
// names of the fields. A [Fault] can also be described with the flags that fill the fields.
package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pktvisor/analyze"
	"pktvisor/anon"
	"pktvisor/minute"
)

// Config is everything that a user configures. Its fields and those of its parts have names, which faults use:
// "policy.periods".
type Config struct {
	Tap     Tap     `name:"tap"`
	Policy  Policy  `name:"policy"`
	Program Program `name:"program"`
	Push    Push    `name:"push"`
	Access  Access  `name:"access"`
	OTLP    OTLP    `name:"otlp"`
}

// Default returns the configuration without any choice of the user. It lacks a target.
func Default() Config {
	return Config{Tap: DefaultTap(), Policy: DefaultPolicy(), Program: DefaultProgram(), Push: DefaultPush(), OTLP: DefaultOTLP()}
}

// The limits of a window.
const (
	MinPeriods = 2
	MaxPeriods = minute.MaxKept
)

// Policy is what to summarise of a tap's packets, and how long to keep it.
type Policy struct {
	// Hosts is the list of host subnets, separated by commas.
	Hosts string `name:"hosts"`
	// AutoHost adds the addresses of the interface to Hosts, in live capture.
	AutoHost bool `name:"auto_host"`
	// Periods is the number of minutes in the window: [MinPeriods] to [MaxPeriods].
	Periods int `name:"periods"`
	// Summary makes one bucket for a whole file.
	Summary bool `name:"summary"`
	// DeepSamplePercent is the percentage of address pairs that are analysed in depth, at most. MinDeepSamplePercent is the least
	// to which a live capture lowers it. A default that is more than DeepSamplePercent counts as that.
	DeepSamplePercent    int `name:"deep_sample"`
	MinDeepSamplePercent int `name:"min_deep_sample"`
	// MaxCPU is the CPU that a live capture may take, in percent of one core, on all cores together. 0 means no limit.
	MaxCPU Percent `name:"max_cpu"`
	// DNSPorts is a list of ports, separated by commas.
	DNSPorts string `name:"dns_ports"`
	// DNSTimeout is how long a query waits for its response: 1 ms to 5 minutes.
	DNSTimeout time.Duration `name:"dns_timeout"`
	// Anonymize replaces addresses by pseudonyms in what leaves the process: see package anon. AnonymizeKeyFile has their key, which
	// is derived with AnonymizeSalt; without it, each run has a new one. AnonymizeNames says what is left of names: see
	// [anon.ParseNames].
	Anonymize        bool   `name:"anonymize"`
	AnonymizeKeyFile string `name:"anonymize_key_file"`
	AnonymizeSalt    string `name:"anonymize_salt"`
	AnonymizeNames   string `name:"anonymize_names"`
	// Budget bounds the memory of the policy, in bytes. No flag fills it.
	Budget Budget `name:"budget"`
}

const (
	defaultMinDeepSample = 1
	maxCPU               = Percent(100 * 1024) // of more cores than a machine has
)

// DefaultPolicy returns the defaults of a policy.
func DefaultPolicy() Policy {
	return Policy{AutoHost: true, Periods: 5, DeepSamplePercent: 100, MinDeepSamplePercent: defaultMinDeepSample, DNSPorts: "53,5353,5355", DNSTimeout: 5 * time.Second, AnonymizeSalt: anon.DefaultSalt}
}

func (p *Policy) validate(f faults) {
	if p.Periods < MinPeriods || p.Periods > MaxPeriods {
		f.value("periods", p.Periods, "give a number of minutes from %d to %d", MinPeriods, MaxPeriods)
	}
	if p.DeepSamplePercent < 0 || p.DeepSamplePercent > 100 {
		f.value("deep_sample", p.DeepSamplePercent, "give a percentage from 0 to 100")
	} else if least := p.MinDeepSamplePercent; least > p.DeepSamplePercent && least <= 100 && least != defaultMinDeepSample {
		f.sentence("min_deep_sample", func(names ...string) string {
			return fmt.Sprintf("%s %d is more than %s %d: give no more than that", names[0], least, names[1], p.DeepSamplePercent)
		}, "policy.deep_sample")
	}
	if p.MinDeepSamplePercent < 0 || p.MinDeepSamplePercent > 100 {
		f.value("min_deep_sample", p.MinDeepSamplePercent, "give a percentage from 0 to 100")
	}
	if p.MaxCPU < 0 || p.MaxCPU > maxCPU {
		f.value("max_cpu", p.MaxCPU, "give a percentage of one core from 1%% to %v, or 0 for no limit", maxCPU)
	}
	if _, err := analyze.ParseHosts(p.Hosts); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			f.problem("hosts", line)
		}
	}
	if _, err := ParsePorts(p.DNSPorts); err != nil {
		f.problem("dns_ports", err.Error())
	}
	if p.DNSTimeout < time.Millisecond || p.DNSTimeout > 5*time.Minute {
		f.value("dns_timeout", p.DNSTimeout, "give a time from 1ms to 5m")
	}
	p.validateAnonymity(f)
}

// minSalt is the least length of a salt of Argon2, in bytes.
const minSalt = 8

func (p *Policy) validateAnonymity(f faults) {
	if p.AnonymizeKeyFile != "" && !p.Anonymize {
		f.sentence("anonymize_key_file", func(names ...string) string { return names[0] + " is for " + names[1] + ": give both" }, "policy.anonymize")
	}
	if len(p.AnonymizeSalt) < minSalt {
		f.value("anonymize_salt", strconv.Quote(p.AnonymizeSalt), "give at least %d bytes", minSalt)
	} else if p.AnonymizeSalt != anon.DefaultSalt && p.AnonymizeKeyFile == "" {
		f.sentence("anonymize_salt", func(names ...string) string { return names[0] + " is for " + names[1] + ": give both" }, "policy.anonymize_key_file")
	}
	if _, err := anon.ParseNames(p.AnonymizeNames); err != nil {
		f.value("anonymize_names", p.AnonymizeNames, "%v", err)
	}
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
