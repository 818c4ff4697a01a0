package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// writeWait is how long a pending write may take after a signal.
const writeWait = time.Second

// writeOut writes b to out. When ctx is done, it waits at most writeWait, because a pipe stays full if nothing reads
// from it.
func writeOut(ctx context.Context, out io.Writer, b []byte) error {
	done := make(chan error, 1)
	go func() {
		_, err := out.Write(b)
		done <- err
	}()
	err := errors.New("nothing reads standard output")
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(writeWait):
		}
	}
	if err != nil {
		return fmt.Errorf("the summary was not written completely: %w", err)
	}
	return nil
}

// checkOutput returns an error if the program was started without a standard output and out stands for it.
func checkOutput(out io.Writer) error {
	if f, ok := out.(*os.File); ok && isStandIn(f) {
		return errors.New("standard output is closed, so the summary would be lost: redirect it to a file, a pipe or /dev/null")
	}
	return nil
}
