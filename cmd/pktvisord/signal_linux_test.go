package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// blocked is an output that accepts nothing.
type blocked struct{ ctx context.Context }

func (b blocked) Write([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

// summaryOf returns the number of packets in the printed summary.
func summaryOf(t *testing.T, out []byte) (packets int) {
	t.Helper()
	var window map[string]struct {
		Packets struct {
			Total int `json:"total"`
		} `json:"packets"`
	}
	if err := json.Unmarshal(out, &window); err != nil || len(window) != 1 {
		t.Fatalf("%v: %q", err, out)
	}
	for _, b := range window {
		packets = b.Packets.Total
	}
	return packets
}

// TestSignalWhileWaiting: while the program waits for the capture or the rest of it, one signal ends the program. It
// prints the summary of what has come.
func TestSignalWhileWaiting(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 100, Rate: 500})
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		packets int
	}{
		{"nothing", nil, 0},
		{"half a magic number", content[:2], 0},
		{"half a header", content[:11], 0},
		{"half of gzip's header", []byte("\x1f\x8b\x08"), 0},
		{"all of it, but not the end", content, 100},
	} {
		for _, from := range []string{"a pipe's name", "standard input"} {
			t.Run(c.name+" from "+from, func(t *testing.T) {
				fifo := filepath.Join(t.TempDir(), "fifo")
				if err := syscall.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer writer.Close()
				if _, err := writer.Write(c.content); err != nil {
					t.Fatal(err)
				}
				args, stdin := []string{"--summary", "-H", testkit.HostSpec, fifo}, io.Reader(nil)
				if from == "standard input" {
					args[3], stdin = "-", writer
				}
				testInterrupted(t, args, stdin, writer, c.packets)
			})
		}
	}
	t.Run("no writer", func(t *testing.T) {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		testInterrupted(t, []string{"--summary", "-H", testkit.HostSpec, fifo}, nil, nil, 0)
	})
}

// testInterrupted runs the program, interrupts it when it has read everything in the pipe, and checks its summary.
func testInterrupted(t *testing.T, args []string, stdin io.Reader, pipe *os.File, packets int) {
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, stdin, &stdout, &stderr) }()
	if pipe != nil {
		empty := func() bool {
			left, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
			return err == nil && left == 0
		}
		testkit.Eventually(t, "the pipe is empty", empty)
		if packets > 0 {
			// Another byte is read only after the bytes before it have been processed.
			if _, err := pipe.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "the pipe is empty again", empty)
		}
	}
	interrupt()
	select {
	case got := <-code:
		if got != exitInterrupted || !strings.Contains(stderr.String(), "interrupted: the summary covers what was read so far") {
			t.Errorf("exit code %d, %q", got, stderr.String())
		}
	case <-time.After(stuckWait):
		t.Fatal("it does not end")
	}
	if got := summaryOf(t, stdout.Bytes()); got != packets {
		t.Errorf("%d packets, want %d", got, packets)
	}
}

// TestBlockedOutput: if nothing reads the summary, a signal still ends the program, a little later.
func TestBlockedOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end, cancel := context.WithCancel(t.Context())
		defer cancel()
		ctx, interrupt := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Hour)
			interrupt()
		}()
		start := time.Now()
		err := writeOut(ctx, blocked{end}, []byte("summary"))
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "nothing reads") || took != time.Hour+writeWait {
			t.Errorf("%v, after %v", err, took)
		}
	})
}

// TestOutputErrors: a summary that cannot be written gives a one-line error.
func TestOutputErrors(t *testing.T) {
	path, _ := writeTraffic(t, testkit.TrafficConfig{Packets: 10})
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /dev/full")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	standIn, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer standIn.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, c := range []struct {
		name string
		out  *os.File
		args []string
		code int
		says string
	}{
		{"full", full, []string{"-H", testkit.HostSpec, path}, exitFailure, "pktvisord: the summary was not written completely: write /dev/full: no space left on device\n"},
		{"full, help", full, []string{"--help"}, exitFailure, "no space left"},
		{"closed", standIn, []string{"-H", testkit.HostSpec, path}, exitFailure, "pktvisord: standard output is closed, so the summary would be lost"},
		{"/dev/null", null, []string{"-H", testkit.HostSpec, path}, exitOK, ""},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), c.args, nil, c.out, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
			t.Errorf("%s: exit code %d, %q", c.name, code, stderr.String())
		}
	}
}

// TestUndecoded: frames of link types that are not decoded are reported for each type, ordered by number.
func TestUndecoded(t *testing.T) {
	var all bytes.Buffer
	frames := 0
	for i, link := range []linktype.Type{1, 147, 148, 149, 150, 151, 152, 153} {
		w, err := testkit.NewPcapWriter(&all, false, link)
		if err != nil {
			t.Fatal(err)
		}
		for range i + 1 {
			w.Write(1_700_000_000e9, []byte("no frame that can be decoded"))
			frames++
		}
		w.Flush()
	}
	path := filepath.Join(t.TempDir(), "all.pcap")
	if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, shards := range []string{"1", "3"} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"-H", testkit.HostSpec, "--shards", shards, path}, nil, &stdout, &stderr); code != exitOK {
			t.Errorf("exit code %d", code)
		}
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		if want := "pktvisord: warning: 8 of " + strconv.Itoa(frames) + " frames have link type 153, which is not decoded"; len(lines) != 6 || !strings.HasPrefix(lines[0], want) {
			t.Errorf("%d lines, the first %q, want %q", len(lines), lines[0], want)
		}
		if want := "pktvisord: warning: 2 more link types are not decoded"; lines[len(lines)-1] != want {
			t.Errorf("%q, want %q", lines[len(lines)-1], want)
		}
	}
}

// TestReplayPipe plays a pipe. One signal ends the program while the pipe has no more data or no writer.
func TestReplayPipe(t *testing.T) {
	path, truth := writeTraffic(t, testkit.TrafficConfig{Packets: 50, Rate: 500})
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("open", func(t *testing.T) {
		writer, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		if _, err := writer.Write(content); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, "--replay", "--replay-speed", "0", "-H", testkit.HostSpec, fifo)
		testkit.Eventually(t, "all is played", func() bool {
			return p.summary(t, "/api/v1/metrics/app")["app.sources[0].received"] == float64(truth.Total.Packets)
		})
		if took, code := p.Stop(t, syscall.SIGTERM); took > stopLimit || code != exitOK {
			t.Errorf("SIGTERM: took %v, exit code %d", took, code)
		}
	})
	t.Run("no writer", func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		interrupt()
		var stderr bytes.Buffer
		if code := run(ctx, []string{"--replay", "-l", "127.0.0.1", "-p", "0", fifo}, nil, io.Discard, &stderr); code != exitInterrupted {
			t.Errorf("exit code %d, %q", code, stderr.String())
		}
	})
}
