package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
)

// measureInstructions prints how many instructions a packet of the main capture takes in user space with one shard.
// Callgrind counts them one by one, so the figure is the same on a busy machine, to a thousandth. It can guard against
// regressions.
func (o *options) measureInstructions(stdout io.Writer) error {
	if _, err := exec.LookPath("valgrind"); err != nil {
		fmt.Fprintln(stdout, "install valgrind to count the instructions a packet takes")
		return nil
	}
	n, err := o.perPacket(o.program, mainPreset, 1)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "instructions a packet of %s, start and end not included: %.0f\n", mainPreset, n)
	return nil
}

// perPacket returns how many instructions a program takes for a packet of a preset: the difference between two captures
// of different lengths, divided by the number of packets that one has more.
func (o *options) perPacket(program, preset string, shards int) (float64, error) {
	const few, many = 100_000, 300_000
	var counts [2]int64
	for i, packets := range [2]int{few, many} {
		file, err := o.capture(preset, packets)
		if err != nil {
			return 0, err
		}
		if counts[i], err = instructions(summarise(program, shards, file)); err != nil {
			return 0, err
		}
	}
	return float64(counts[1]-counts[0]) / (many - few), nil
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// instructions runs a command under callgrind.
func instructions(command []string) (int64, error) {
	cmd := exec.Command("valgrind", append([]string{"--tool=callgrind", "--callgrind-out-file=" + os.DevNull}, command...)...)
	// Go's signals disturb callgrind, and the times of garbage collections vary.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("valgrind: %w\n%s", err, &stderr)
	}
	m := collected.FindSubmatch(stderr.Bytes())
	if m == nil {
		return 0, fmt.Errorf("valgrind counted nothing:\n%s", &stderr)
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}
