package main

import (
	"context"
	"io"
)

// run runs the program in the process of the test, which it does not confine.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runWith(ctx, nil, args, stdin, stdout, stderr)
}
