package main

import (
	"github.com/spf13/pflag"

	"pktvisor/internal/manual"
)

// describe returns the completions for a shell, or the manual page.
func describe(kind string) (string, error) {
	flagsOf := func(command ...string) *pflag.FlagSet {
		o, _ := parse(append(command, "--help"))
		return o.flags
	}
	p := manual.Program{
		Name: "pktvisord", Section: 8, Summary: "summarise packet streams in real time", Usage: usageHead, Flags: flagsOf(),
		Commands: []manual.Command{{Name: "report", Flags: flagsOf("report")}, {Name: "check", Flags: flagsOf("check")}, {Name: "show-config", Flags: flagsOf("show-config")}, {Name: "load-bpf", Flags: flagsOf("load-bpf")}, manual.Completion()},
		Targets:  manual.Targets{Interfaces: true, Files: true, Words: []string{"any", "auto"}},
	}
	return p.Write(kind)
}
