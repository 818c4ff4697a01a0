//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// built returns the directory with a release that `make release` has made, for this system at least.
func built(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("RELEASE")
	if dir == "" {
		t.Skip("RELEASE does not name a directory with a release: see make release-check")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// one returns the only file of a release that matches a pattern.
func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(built(t), pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: found %v, %v", pattern, found, err)
	}
	return found[0]
}

// TestChecksums: SHA256SUMS has each file with its sum, as sha256sum reads it.
func TestChecksums(t *testing.T) {
	dir := built(t)
	cmd := exec.Command("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	sums, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
	files, err2 := os.ReadDir(dir)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(sums, []byte("\n")); lines != len(files)-1 {
		t.Errorf("%d sums of %d files", lines, len(files)-1)
	}
}

// TestSize: the agent stays below its budget, and the programs know their version.
func TestSize(t *testing.T) {
	list := untar(t, one(t, "pktvisor_*_linux_"+runtime.GOARCH+".tar.gz"))
	dir := t.TempDir()
	for _, e := range list {
		name := filepath.Base(e.path)
		if !slices.Contains(all, name) || e.mode != 0o755 {
			continue
		}
		if limit := map[string]int{"pktvisord": 16 << 20, "pktvisor": 13 << 20, "pktvisor-hub": 24 << 20}[name]; len(e.body) > limit {
			t.Errorf("%s has %d bytes, more than %d: docs/decisions/0042 says what costs what", name, len(e.body), limit)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, e.body, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err != nil || len(out) != len(name+" 0.1.0+0123456789ab\n") {
			t.Errorf("%s --version: %v, %q", name, err, out)
		}
	}
}

// TestImage follows the image from its index to the files, as a container runtime does, checks each digest, and runs the agent in
// a root file system that has nothing else.
func TestImage(t *testing.T) {
	files := map[string][]byte{}
	for _, e := range untar(t, one(t, "pktvisor_*_image.tar")) {
		files[e.path] = e.body
	}
	blob := func(d descriptor) []byte {
		t.Helper()
		body := files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
		if d.Digest != fmt.Sprintf("sha256:%x", sha256.Sum256(body)) || d.Size != len(body) {
			t.Fatalf("%s has %d bytes, want %d, or another digest", d.Digest, len(body), d.Size)
		}
		return body
	}
	type list struct{ Manifests []descriptor }
	var outer, inner list
	decode(t, files["index.json"], &outer)
	decode(t, blob(outer.Manifests[0]), &inner)
	i := slices.IndexFunc(inner.Manifests, func(d descriptor) bool { return *d.Platform == imageSystem{"linux", runtime.GOARCH} })
	if i < 0 {
		t.Fatalf("no image for this system: %+v", inner)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, blob(inner.Manifests[i]), &manifest)
	var config imageConfig
	decode(t, blob(manifest.Config), &config)
	layer := blob(manifest.Layers[0])
	z, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil || config.RootFS.DiffIDs[0] != fmt.Sprintf("sha256:%x", sha256.Sum256(plain)) {
		t.Errorf("the layer is not %v: %v", config.RootFS.DiffIDs, err)
	}
	var loadable []dockerImage
	decode(t, files["manifest.json"], &loadable)
	if len(loadable) != len(inner.Manifests) || files[loadable[i].Layers[0]] == nil || files[loadable[i].Config] == nil {
		t.Errorf("docker load gets %+v", loadable)
	}
	runImage(t, untarBytes(t, layer), config.Config)
}

func decode(t *testing.T, body []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(body, v); err != nil {
		t.Fatalf("%v: %.100s", err, body)
	}
}

// runImage runs the agent on any, in a network namespace of its own, with the files of the image as its root.
func runImage(t *testing.T, files []entry, c runConfig) {
	if os.Getuid() != 0 {
		t.Skip("chroot needs root")
	}
	root := t.TempDir()
	for _, e := range files {
		path := filepath.Join(root, e.path)
		var err error
		if strings.HasSuffix(e.path, "/") {
			err = os.Mkdir(path, os.FileMode(e.mode&0o777))
		} else {
			err = os.WriteFile(path, e.body, os.FileMode(e.mode))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// The namespace has only lo, which is down. So the agent serves on a Unix socket.
	cmd := exec.Command("/usr/local/bin/pktvisord", "-l", "unix:/tmp/api.sock", "any")
	cmd.Dir, cmd.Env = "/", c.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	client := http.Client{Transport: &http.Transport{DialContext: dialUnix(filepath.Join(root, "tmp/api.sock"))}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if answer, err := client.Get("http://localhost/healthz"); err == nil {
			answer.Body.Close()
			break
		}
		if len(ended) > 0 || time.Now().After(end) {
			t.Fatalf("the agent does not serve: %s", &log)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil || !strings.Contains(log.String(), "msg=stopped") {
		t.Errorf("%v: %s", err, &log)
	}
}

// TestDebian installs, upgrades, removes and purges the packages in a copy of this system, which must be Debian.
func TestDebian(t *testing.T) {
	if _, err := exec.LookPath("dpkg"); err != nil || os.Getuid() != 0 {
		t.Skip("needs root and dpkg")
	}
	agent, hub := one(t, "pktvisor_*_"+runtime.GOARCH+".deb"), one(t, "pktvisor-hub_*_"+runtime.GOARCH+".deb")
	script, err := filepath.Abs("testdata/debian.sh")
	if err != nil {
		t.Fatal(err)
	}
	// The copy is an overlay in a mount namespace of its own, which disappears with the script.
	out, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", script, agent, hub).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 77 {
		t.Skipf("needs an overlay over this system: %s", out)
	}
	if err != nil || !strings.HasSuffix(string(out), "\nall is well\n") {
		t.Errorf("%v:\n%s", err, out)
	}
}
