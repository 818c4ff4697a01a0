package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testTime = time.Unix(1764547200, 0).UTC()

// fake is a release for one system with small programs.
func fake(t *testing.T) (r *release, bin string) {
	t.Helper()
	bin = t.TempDir()
	for _, program := range all {
		if err := os.WriteFile(filepath.Join(bin, program), []byte("program "+program), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &release{root: "../..", out: t.TempDir(), version: "1.2.3", commit: "0123456789abcdef", made: testTime, log: io.Discard}, bin
}

// files returns the contents of a directory.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range list {
		if all[f.Name()], err = os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestSameBytes: archives and images do not depend on the directory, on the times of files, or on the order of a map.
func TestSameBytes(t *testing.T) {
	texts := map[string][]byte{}
	for _, program := range all {
		texts["man/"+program+".8"] = []byte(program)
		texts["completions/zsh/_"+program] = []byte(program)
	}
	var first map[string][]byte
	for range 5 {
		r, bin := fake(t)
		linux := platforms[0]
		for _, p := range []platform{linux, {os: "freebsd", arch: "arm64", programs: clients}} {
			if err := r.archive(p, bin, texts); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.image([]imagePlatform{{linux, bin}, {platforms[1], bin}}); err != nil {
			t.Fatal(err)
		}
		if err := r.checksums(); err != nil {
			t.Fatal(err)
		}
		got := files(t, r.out)
		if len(got) != 4 {
			t.Fatalf("%d files", len(got))
		}
		if first == nil {
			first = got
		}
		for name, body := range got {
			if !bytes.Equal(body, first[name]) {
				t.Errorf("%s differs", name)
			}
		}
	}
}

// TestArchive: each system has its programs and what belongs to them, and all times are that of the commit.
func TestArchive(t *testing.T) {
	r, bin := fake(t)
	texts := map[string][]byte{"man/pktvisor.1": nil, "man/pktvisor-hub.8": nil, "completions/zsh/_pktvisord": nil}
	if err := r.archive(platform{os: "freebsd", arch: "arm64", programs: clients}, bin, texts); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range untar(t, filepath.Join(r.out, "pktvisor_1.2.3_freebsd_arm64.tar.gz")) {
		names = append(names, fmt.Sprintf("%o %s", e.mode, strings.TrimPrefix(e.path, "pktvisor_1.2.3_freebsd_arm64/")))
	}
	want := []string{"644 CHANGELOG.md", "644 LICENSE", "644 NOTICE", "644 README.md", "644 SECURITY.md", "644 completions/zsh/_pktvisord", "644 man/pktvisor.1", "755 pktvisor", "755 pktvisord"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// TestOptions: a system that does not exist, and a commit that git does not know, are errors that say what to do.
func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"-only linux/vax":      "-only linux/vax: give some of [linux/amd64 linux/arm64 linux/arm linux/386 linux/riscv64 darwin/amd64 darwin/arm64 freebsd/amd64 windows/amd64]",
		"-root " + t.TempDir(): "give -commit and SOURCE_DATE_EPOCH if this is not a clone",
	} {
		if err := run(t.Context(), strings.Fields(args+" -o "+t.TempDir()), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestUnits: systemd understands the units, and finds little to complain of.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze")
	}
	for unit, most := range map[string]string{"pktvisord": "21", "pktvisor-hub": "15"} {
		text, err := os.ReadFile("../systemd/" + unit + ".service")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), unit+".service")
		// The program and the manual page are not installed here.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/"+unit), []byte("/bin/true"))
		text = bytes.ReplaceAll(text, []byte("Documentation=man:"), []byte("#"))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v %s", unit, err, out)
		}
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold="+most, path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// TestScripts: the scripts of packages are right for the shell that runs them.
func TestScripts(t *testing.T) {
	for _, pattern := range []string{"../scripts/*.sh", "../openrc/*", "testdata/*.sh", "../../scripts/release-check.sh"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, path := range list {
			if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
				t.Errorf("%s: %v %s", path, err, out)
			}
		}
	}
}
