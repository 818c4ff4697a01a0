package main

import (
	"context"
	"io"
)

// run runs the program in the process of the test, which it does not confine.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runWith(ctx, nil, args, stdout, stderr)
}
