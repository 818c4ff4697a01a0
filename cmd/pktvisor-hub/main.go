// Pktvisor-hub merges the summaries of a fleet of agents into one view, with history. This package holds its flags and
// wiring. The hub is in package hub and the packages below it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/hub/simulate"
	"pktvisor/internal/logging"
	"pktvisor/internal/manual"
	"pktvisor/internal/program"
	"pktvisor/internal/version"
	"pktvisor/sandbox"
)

// gcPercent is how much garbage may come together before it is collected, as a share of what is in use. A hub gets all minutes
// of a fleet at once, so most of its memory is in use for seconds, and garbage beside it would double the peak. What is in use
// has few pointers, so it is cheap to collect. A limit of the memory would make a hub of more hosts collect all the time.
const gcPercent = 25

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := runWith(ctx, sandbox.Enter, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// stopWait is how long the program may take to end by itself after a signal.
const stopWait = 15 * time.Second

// enter confines the process: see [sandbox.Enter].
type enter = func(sandbox.Options, sandbox.Needs) (*sandbox.State, error)

// runWith runs the program and returns its exit code. Without a function that confines the process, it stays as it is,
// because it is not the program's own.
func runWith(ctx context.Context, enter enter, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == "simulate" {
		return runSimulate(ctx, args[1:], stdout, stderr)
	}
	if manual.Asked(args) {
		text, err := describe(args[1])
		if err != nil {
			printError(stderr, err)
			return exitUsage
		}
		fmt.Fprint(stdout, text)
		return exitOK
	}
	o, err := parse(args)
	o.enter = enter
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, usage(o))
		return exitOK
	case err != nil:
		printError(stderr, err)
		fmt.Fprintln(stderr, "pktvisor-hub: see pktvisor-hub --help")
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "pktvisor-hub %s\n", version.String())
		return exitOK
	}
	return exitCode(stderr, program.Bounded(ctx, stopWait, func() error { return o.start(ctx, stderr) }))
}

// exitCode prints an error and returns the program's exit code for it.
func exitCode(stderr io.Writer, err error) int {
	if err == nil || errors.Is(err, context.Canceled) {
		return exitOK
	}
	printError(stderr, err)
	return exitFailure
}

func printError(w io.Writer, err error) { program.PrintError(w, "pktvisor-hub", err) }

const simulateHead = `Usage:
  pktvisor-hub simulate [options]

Simulate feeds a hub with the minutes of invented agents, for tests of its load.

Options:
`

// simulateFlags returns the flags of the subcommand simulate, and what they fill.
func simulateFlags() (*pflag.FlagSet, *simulate.Options) {
	f := pflag.NewFlagSet("pktvisor-hub simulate", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	o := simulate.Flags(f)
	f.BoolP("help", "h", false, "show this help")
	return f, o
}

// describe returns the completions for a shell, or the manual page.
func describe(kind string) (string, error) {
	o, _ := parse([]string{"--help"})
	simulated, _ := simulateFlags()
	p := manual.Program{
		Name: "pktvisor-hub", Section: 8, Summary: "merge the summaries of a fleet of pktvisord agents", Usage: usageHead, Flags: o.flags,
		Commands: []manual.Command{{Name: "simulate", Flags: simulated}, manual.Completion()},
	}
	return p.Write(kind)
}

// runSimulate runs the subcommand simulate.
func runSimulate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f, o := simulateFlags()
	err := f.Parse(args)
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	switch {
	case err != nil:
		printError(stderr, err)
		fmt.Fprintln(stderr, "pktvisor-hub: see pktvisor-hub simulate --help")
		return exitUsage
	case f.Changed("help"):
		fmt.Fprint(stdout, simulateHead+f.FlagUsages())
		return exitOK
	}
	log, err := logging.New(stderr, "text", "info")
	if err != nil {
		return exitCode(stderr, err)
	}
	o.Log, o.Out = log, stdout
	return exitCode(stderr, simulate.Run(ctx, *o))
}
