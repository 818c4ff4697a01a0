package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// writeWait is how long a write that is under way may take after a signal.
const writeWait = time.Second

// writeOut writes b to out. When ctx is done it waits no longer than writeWait: a reader that is
// not reading can keep a pipe full for ever.
func writeOut(ctx context.Context, out io.Writer, b []byte) error {
	done := make(chan error, 1)
	go func() {
		_, err := out.Write(b)
		done <- err
	}()
	err := errors.New("nobody reads standard output")
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(writeWait):
		}
	}
	if err != nil {
		return fmt.Errorf("the summary was not written, or not completely: %w", err)
	}
	return nil
}

// checkOutput returns an error if out is a standard output that the program was started without.
func checkOutput(out io.Writer) error {
	if f, ok := out.(*os.File); ok && isStandIn(f) {
		return errors.New("standard output is closed, so the summary would be lost: redirect it to a file, a pipe or /dev/null")
	}
	return nil
}
