// Pktvisord summarises packets. It prints the summary of a capture file as one JSON object on standard output, or
// serves the summary of a network interface as an HTTP API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/internal/manual"
	"pktvisor/internal/program"
	"pktvisor/internal/version"
	"pktvisor/sandbox"
)

func main() {
	// With SIGPIPE ignored, a write to a closed pipe is an error that the program can report.
	signal.Ignore(syscall.SIGPIPE)
	// One signal ends the program in bounded time. Further signals change nothing.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := runWith(ctx, sandbox.Enter, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// stopWait is how long the program may take to end by itself after a signal.
const stopWait = 10 * time.Second

// enter confines the process: see [sandbox.Enter].
type enter = func(sandbox.Options, sandbox.Needs) (*sandbox.State, error)

// runWith runs the program and returns its exit code. Without a function that confines the process, it stays as it is,
// because it is not the program's own.
func runWith(ctx context.Context, enter enter, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if manual.Asked(args) {
		text, err := describe(args[1])
		if err != nil {
			printError(stderr, err)
			return exitUsage
		}
		return exitCode(stderr, writeOut(ctx, stdout, []byte(text)))
	}
	o, err := parse(args)
	o.enter = enter
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return exitCode(stderr, writeOut(ctx, stdout, []byte(usage(o))))
	case errors.As(err, new(documentError)):
		return exitCode(stderr, err)
	case err != nil:
		printError(stderr, err)
		fmt.Fprintln(stderr, "pktvisord: see pktvisord --help")
		return exitUsage
	case o.version:
		return exitCode(stderr, writeOut(ctx, stdout, fmt.Appendf(nil, "pktvisord %s\n", version.String())))
	}
	return exitCode(stderr, program.Bounded(ctx, stopWait, func() error { return o.start(ctx, stdin, stdout, stderr) }))
}

// exitCode prints an error and returns the program's exit code for it.
func exitCode(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	if filter := (*filterError)(nil); errors.As(err, &filter) {
		printError(stderr, filter)
		return exitUsage
	}
	printError(stderr, err)
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	return exitFailure
}

func printError(w io.Writer, err error) { program.PrintError(w, "pktvisord", err) }
