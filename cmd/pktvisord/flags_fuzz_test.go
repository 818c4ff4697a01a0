package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"pktvisor/internal/testkit"
)

// FuzzCommandLine: any command line is accepted, or refused with lines that each say what is wrong, without a panic. What is accepted
// can be translated.
func FuzzCommandLine(f *testing.F) {
	for _, seed := range []string{"\x00eth0", "\x01\x05x.pcap", "\x03\x01\x02\x03\x04\x05\x06\x07\x08", "\x10-1\x00\x11x\x00y"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := testkit.NewChoices(b)
		args := commandLine(c)
		o, err := parse(args)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if strings.TrimSpace(line) == "" && !errors.Is(err, pflag.ErrHelp) {
					t.Errorf("%q: an error with an empty line: %q", args, err)
				}
			}
			return
		}
		if o.version || o.loadsBPF {
			return
		}
		if again := o.check(); again != nil {
			t.Errorf("%q was accepted, then: %v", args, again)
		}
		if o.Periods < 2 || o.Periods > 1440 || o.DeepSamplePercent < 0 || o.DeepSamplePercent > 100 || o.Shards < 0 || o.Shards > 256 || o.Port < 0 || o.Port > 65535 || o.Target == "" {
			t.Errorf("%q was accepted: %+v", args, o)
		}
	})
}

// commandLine returns flags of the program with values that fit some of them, and some that fit none.
func commandLine(c *testkit.Choices) (args []string) {
	var names []string
	o, _ := parse([]string{"--help"})
	o.flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	for range c.IntN(12) {
		name := "--" + names[c.IntN(len(names))]
		switch c.IntN(3) {
		case 0:
			args = append(args, name)
		case 1:
			args = append(args, name+"="+valueOf(c))
		default:
			args = append(args, name, valueOf(c))
		}
	}
	if c.Chance(8) {
		args = append([]string{testkit.Pick(c, "report", "load-bpf", "repor")}, args...)
	}
	return append(args, testkit.Pick(c, "eth0", "any", "x.pcap", "-", "192.0.2.1", "", "auto"))
}

func valueOf(c *testkit.Choices) string {
	return testkit.Pick(c, "1", "0", "-1", "5", "100", "65536", "1e9", "10.0.0.0/8", "2001:db8::/32,192.0.2.1", "53,5353", "5s", "1ns", "25%", "labels:2", "domain",
		"https://a.example", "nats://192.0.2.1:4222", "pop=ams1", "text", "json", "debug", "", "x", string(c.Bytes(c.IntN(16))))
}
