package main

import (
	"bytes"
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"pktvisor/internal/testkit"
)

// TestMain lets the test binary act as the program, under the name pktvisor-hub.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pktvisor-hub": main})
}

// TestScripts runs the scripts that test the command line as users see it. They have an additional command: "exits CODE
// COMMAND…".
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits},
	})
}

// TestHelp compares the help texts, which are the reference of the options, with golden files.
func TestHelp(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	for name, args := range map[string][]string{"help": {"--help"}, "simulate": {"simulate", "-h"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != 0 || errs.Len() > 0 {
			t.Errorf("%s: exit code %d: %s", args, code, &errs)
		}
		testkit.Golden(t, "testdata/"+name+".golden", out.Bytes())
	}
}

// exits runs a command that must exit with the given code. The script can check its output with stdout and stderr.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}
