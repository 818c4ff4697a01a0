// Package program has what the mains of all programs do in the same way.
package program

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// PrintError prints an error after the program's name. It prints one line for each error that was joined into it.
func PrintError(w io.Writer, name string, err error) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "%s: %s\n", name, line)
	}
}

// Bounded runs a service and returns its error. When ctx ends, the service has the given time to end by itself. A service
// that takes longer, for example because of a system call on a failed disk, is abandoned, and the error says so.
func Bounded(ctx context.Context, wait time.Duration, service func() error) error {
	done := make(chan error, 1)
	go func() { done <- service() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(wait):
		return fmt.Errorf("did not end within %v after a signal: something that it waits for does not answer", wait)
	}
}
