// Pktvisord summarises packets: those of a capture file, as one JSON object on standard output, or
// those of a network interface, as an HTTP API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"pktvisor/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// run is the program: it returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		fmt.Fprint(stdout, usage(o))
		return exitOK
	case err != nil:
		complain(stderr, err)
		fmt.Fprintln(stderr, "pktvisord: see pktvisord --help")
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "pktvisord %s\n", version.String())
		return exitOK
	}
	err = o.start(ctx, stdin, stdout, stderr)
	filter := (*filterError)(nil)
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &filter):
		complain(stderr, filter)
		return exitUsage
	case err != nil:
		complain(stderr, err)
		return exitFailure
	}
	return exitOK
}

// complain prints an error, a line for each that was joined into it.
func complain(w io.Writer, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "pktvisord: %s\n", line)
	}
}
