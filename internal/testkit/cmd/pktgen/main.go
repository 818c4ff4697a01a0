// Command pktgen writes a capture of generated traffic, and the exact answers about it as JSON.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"pktvisor/internal/testkit"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "pktgen:", err)
		}
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("pktgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	preset := flags.String("preset", "dns-heavy", "one of "+strings.Join(testkit.PresetNames(), ", "))
	packets := flags.Int("packets", 0, "number of packets (0: the preset's own)")
	seed := flags.Uint64("seed", 1, "seed of the traffic")
	rate := flags.Float64("rate", 0, "mean packets a second (0: the preset's own)")
	nano := flags.Bool("nano", false, "nanosecond timestamps")
	out := flags.String("o", "", "capture to write; - is standard output")
	truthFile := flags.String("truth", "", "file for the exact answers, as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, ok := testkit.Presets[*preset]
	if !ok || *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("need -o FILE and a -preset out of %s", strings.Join(testkit.PresetNames(), ", "))
	}
	cfg := config()
	cfg.Seed, cfg.Nano = *seed, *nano
	if *packets > 0 {
		cfg.Packets = *packets
	}
	if *rate > 0 {
		cfg.Rate = *rate
	}
	truth, err := write(*out, cfg)
	if err != nil || *truthFile == "" {
		return err
	}
	js, err := json.MarshalIndent(truth, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(*truthFile, append(js, '\n'), 0o644)
}

// write generates the traffic and writes it to a file.
func write(path string, cfg testkit.TrafficConfig) (*testkit.Truth, error) {
	if path == "-" {
		return testkit.Generate(os.Stdout, cfg)
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	truth, err := testkit.Generate(f, cfg)
	return truth, errors.Join(err, f.Close())
}
