package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target is a fuzz target, or a test that makes its own inputs for the time in an environment variable.
type target struct {
	pkg, dir, name string
	timeIn         string // the variable; "" for a fuzz target
	built          bool
	bin            string // the test binary
	failed         bool
}

// args returns the arguments of the test binary for a run of the given time, and what to add to its environment.
func (t *target) args(o *options, slot time.Duration) (args, env []string) {
	workers := strconv.Itoa(o.parallel)
	env = append(env, "GOMAXPROCS="+workers)
	if t.timeIn != "" {
		return []string{"-test.run=^" + t.name + "$", "-test.timeout=0"}, append(env, t.timeIn+"="+slot.String())
	}
	// Inputs of some targets cover something else in each run, because hashes have seeds. They cannot be made smaller.
	return []string{
		"-test.run=^$", "-test.fuzz=^" + t.name + "$", "-test.fuzztime=" + slot.String(), "-test.fuzzminimizetime=1x",
		"-test.fuzzcachedir=" + t.cache(o), "-test.parallel=" + workers, "-test.timeout=0",
	}, env
}

func (t *target) String() string { return strings.TrimPrefix(t.pkg, "pktvisor/") + " " + t.name }

// file is a name for files of the target, or with an empty name, of its package.
func (t *target) file(name string) string {
	return strings.Trim(strings.ReplaceAll(strings.TrimPrefix(t.pkg, "pktvisor/"), "/", "-")+"."+name, ".")
}

// timedTests are tests that make their own inputs: the package, the test, and the variable with the time.
var timedTests = [][3]string{{"pktvisor/decode", "TestTsharkDifferential", "PKTVISOR_TSHARK"}}

var fuzzFunc = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// listTargets finds the targets that this system can build, by the test files of all packages.
func listTargets(ctx context.Context, only *regexp.Regexp) (all []*target, err error) {
	list, err := exec.CommandContext(ctx, "go", "list", "-f", `{{.ImportPath}}|{{.Dir}}|{{join .TestGoFiles " "}} {{join .XTestGoFiles " "}}`, "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	for line := range strings.Lines(string(list)) {
		parts := strings.Split(strings.TrimSpace(line), "|")
		for _, timed := range timedTests {
			if t := (&target{pkg: parts[0], dir: parts[1], name: timed[1], timeIn: timed[2]}); timed[0] == t.pkg && only.MatchString(t.String()) {
				all = append(all, t)
			}
		}
		for file := range strings.FieldsSeq(parts[2]) {
			source, err := os.ReadFile(filepath.Join(parts[1], file))
			if err != nil {
				return nil, err
			}
			for _, m := range fuzzFunc.FindAllSubmatch(source, -1) {
				if t := (&target{pkg: parts[0], dir: parts[1], name: string(m[1])}); only.MatchString(t.String()) {
					all = append(all, t)
				}
			}
		}
	}
	return all, nil
}

// cache is the directory of what the target has found.
func (t *target) cache(o *options) string { return filepath.Join(o.out, "found", t.file("")) }

// build makes the test binary of the target's package, instrumented for fuzzing.
func (t *target) build(ctx context.Context, o *options) (bin string, err error) {
	bin = filepath.Join(o.out, t.file("")+".test")
	if t.built {
		return t.bin, nil
	}
	args := []string{"test", "-c", "-o", bin, t.pkg}
	if t.timeIn == "" {
		args = slices.Insert(args, 2, "-fuzz="+t.name)
	} else {
		bin = filepath.Join(o.out, t.file(t.name)+".test") // not instrumented
		args[3] = bin
	}
	t.built, t.bin = true, bin
	cmd := exec.CommandContext(ctx, "go", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return bin, nil
}

// execs finds the number of executions so far, as the fuzzer prints it.
var execs = regexp.MustCompile(`execs: (\d+) \(`)

// run fuzzes for a while and adds up what was done.
func (t *target) run(ctx context.Context, o *options, slot time.Duration, sums *sums) error {
	bin, err := t.build(ctx, o)
	if err != nil {
		return err
	}
	args, env := t.args(o, slot)
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir, cmd.Env = t.dir, append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	n := 0
	if all := execs.FindAllSubmatch(out.Bytes(), -1); len(all) > 0 {
		n, _ = strconv.Atoi(string(all[len(all)-1][1]))
	}
	cpu := time.Duration(0)
	if s := cmd.ProcessState; s != nil {
		cpu = s.UserTime() + s.SystemTime()
	}
	sums.add(t.String(), n, cpu)
	fmt.Printf("%s %d executions, %v CPU\n", t, n, cpu.Round(time.Second/10))
	if err == nil || ctx.Err() != nil {
		return nil
	}
	text := out.String()
	if !strings.Contains(text, "Failing input written") && strings.Contains(text, "context deadline exceeded") {
		return nil // only the end of the time: go.dev/issue/75804
	}
	return errors.New(text[max(0, len(text)-4000):])
}
