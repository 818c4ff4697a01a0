//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package regular

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRead reads regular files up to a limit, and nothing else. In particular, it does not wait for a pipe's writer.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(file, 5); err != nil || string(data) != "12345" {
		t.Errorf("%q, %v", data, err)
	}
	for path, want := range map[string]string{
		pipe: "not a regular file", dir: "is a directory", "/dev/zero": "not a regular file", file: "more than 4 bytes", filepath.Join(dir, "none"): "no such file",
	} {
		if data, err := Read(path, 4); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q, %v, want an error with its name and %q", path, data, err, want)
		}
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{" s3cret\n": "s3cret", "a b": "a b", " \n": "", strings.Repeat("x", 8<<10+1): ""} {
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Secret(path)
		if (err != nil) != (want == "") || want != "" && got != want {
			t.Errorf("%.20q: %q, %v; want %q", content, got, err, want)
		}
	}
}
