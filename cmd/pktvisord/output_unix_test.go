//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// TestStandardStreams starts the program with its standard streams in all states in which programs are started.
func TestStandardStreams(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 10})
	for _, c := range []struct {
		name    string
		streams string // redirections of a shell
		code    int
	}{
		{"closed", `>&-`, exitFailure},
		{"all closed", `<&- >&-`, exitFailure},
		{"closed, without input", `</dev/null >&-`, exitFailure},
		{"/dev/null", `>/dev/null`, exitOK},
		{"all /dev/null, one by one", `</dev/null >/dev/null`, exitOK},
		{"a daemon's: opened once", `<>/dev/null >&0`, exitOK},
		{"output and errors, opened once", `1<>/dev/null 2>&1`, exitOK},
		{"a file to read and write", `1<>"$OUT"`, exitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/bin/sh", "-c", `exec "$PKTVISORD" -H `+testkit.HostSpec+` "$CAPTURE" `+c.streams)
			cmd.Env = append(os.Environ(), "PKTVISORD="+testkit.Named(t, "pktvisord"), "CAPTURE="+path, "OUT="+t.TempDir()+"/out")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d, want %d: %q", code, c.code, stderr.String())
			}
			if says := strings.Contains(stderr.String(), "standard output is closed"); says != (c.code != exitOK) {
				t.Errorf("standard error: %q", stderr.String())
			}
		})
	}
}
