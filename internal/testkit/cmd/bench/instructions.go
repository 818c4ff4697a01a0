package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"pktvisor/internal/testkit"
)

// measureInstructions prints how many instructions a packet of the main capture takes in user space with one shard:
// the difference between two captures of different lengths. Callgrind counts them one by one, so the figure is the
// same on a busy machine, to a thousandth. It can guard against regressions.
func (o *options) measureInstructions(stdout io.Writer) error {
	if _, err := exec.LookPath("valgrind"); err != nil {
		fmt.Fprintln(stdout, "install valgrind to count the instructions a packet takes")
		return nil
	}
	const few, many = 100_000, 300_000
	var counts [2]int64
	for i, packets := range [2]int{few, many} {
		file, err := o.capture(mainPreset, packets)
		if err != nil {
			return err
		}
		if counts[i], err = o.instructions(file); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "instructions a packet of %s, start and end not included: %.0f\n",
		mainPreset, float64(counts[1]-counts[0])/(many-few))
	return nil
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// instructions runs pktvisord under callgrind.
func (o *options) instructions(file string) (int64, error) {
	cmd := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file="+os.DevNull,
		o.program, "--summary", "--shards", "1", "-H", testkit.HostSpec, file)
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
