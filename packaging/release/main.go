// Release builds everything that a release has into one directory: programs for each system, archives, Debian, RPM and Alpine
// packages, a container image, lists of what is inside (SBOM), and checksums.
//
//	go run ./packaging/release [-o out/release] [-only linux/amd64,...]
//
// The same commit gives the same bytes, wherever and whenever it is built by the same version of Go: all times are that of the
// commit, all lists are sorted, and no path of the machine is in a program.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"pktvisor/internal/version"
)

// platform is a system that the programs are built for.
type platform struct {
	os, arch string
	variant  string // of the processor, as Go has it in GOARM; empty for the others
	programs []string
	packages bool // Debian, RPM and Alpine packages are made for it
	image    bool // it is in the container image
}

var (
	all     = []string{"pktvisor", "pktvisor-hub", "pktvisord"}
	clients = []string{"pktvisor", "pktvisord"} // the terminal UI, and the agent for files
)

var platforms = []platform{
	{"linux", "amd64", "", all, true, true},
	{"linux", "arm64", "", all, true, true},
	{"linux", "arm", "7", all, true, false},
	{"linux", "386", "", all, true, false},
	{"linux", "riscv64", "", all, true, false},
	{"darwin", "amd64", "", clients, false, false},
	{"darwin", "arm64", "", clients, false, false},
	{"freebsd", "amd64", "", clients, false, false},
	{"windows", "amd64", "", clients, false, false},
}

func (p platform) String() string { return p.os + "/" + p.arch }

// release is what is built, of which commit and where.
type release struct {
	root    string // of the repository
	out     string
	version string
	commit  string
	made    time.Time // of the commit; the time of everything
	chosen  []platform
	log     io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run builds the release that the arguments describe.
func run(ctx context.Context, args []string, log io.Writer) error {
	r := release{version: version.Release, log: log}
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.SetOutput(log)
	f.StringVar(&r.root, "root", ".", "the repository")
	f.StringVar(&r.out, "o", "out/release", "write everything into this directory, which is made anew")
	f.StringVar(&r.commit, "commit", "", "the commit in hexadecimal (default: what git says)")
	only := f.String("only", "", "build only for these systems, such as linux/amd64,linux/arm64")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := r.choose(*only); err != nil {
		return err
	}
	if err := r.identify(ctx); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(r.out), os.MkdirAll(r.out, 0o755)); err != nil {
		return err
	}
	return r.build(ctx)
}

// choose chooses the systems: all, or those in a list.
func (r *release) choose(only string) error {
	r.chosen = platforms
	if only == "" {
		return nil
	}
	r.chosen = nil
	for name := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(platforms, func(p platform) bool { return p.String() == name })
		if i < 0 {
			return fmt.Errorf("-only %s: give some of %v", name, platforms)
		}
		r.chosen = append(r.chosen, platforms[i])
	}
	return nil
}

// identify finds out the commit and its time. SOURCE_DATE_EPOCH has precedence.
func (r *release) identify(ctx context.Context) error {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", r.root}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("git %v: %w (give -commit and SOURCE_DATE_EPOCH if this is not a clone)", args, err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if r.commit == "" {
		commit, err := git("rev-parse", "HEAD")
		if err != nil {
			return err
		}
		changed, err := git("status", "--porcelain", "--untracked-files=no")
		if err != nil {
			return err
		}
		if changed != "" {
			fmt.Fprintln(r.log, "warning: files differ from the commit, so this release cannot be built again")
		}
		r.commit = commit
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		var err error
		if seconds, err = git("log", "-1", "--format=%ct", r.commit); err != nil {
			return err
		}
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	r.made = time.Unix(n, 0).UTC()
	return nil
}

// build builds everything, and the checksums last.
func (r *release) build(ctx context.Context) error {
	work := filepath.Join(r.out, ".build")
	defer os.RemoveAll(work)
	host := platform{os: hostOS, arch: hostArch, programs: all}
	hostBin := filepath.Join(work, host.os+"_"+host.arch)
	if err := r.compile(ctx, host, hostBin); err != nil {
		return err
	}
	texts, err := describe(ctx, host, hostBin)
	if err != nil {
		return err
	}
	var images []imagePlatform
	for _, p := range r.chosen {
		fmt.Fprintln(r.log, "building for", p)
		bin := filepath.Join(work, p.os+"_"+p.arch)
		if bin != hostBin {
			if err := r.compile(ctx, p, bin); err != nil {
				return err
			}
		}
		if err := r.archive(p, bin, texts); err != nil {
			return err
		}
		if err := r.writeSBOM(p, bin); err != nil {
			return err
		}
		if p.packages {
			if err := r.packages(ctx, p, bin, texts, work); err != nil {
				return err
			}
		}
		if p.image {
			images = append(images, imagePlatform{p, bin})
		}
	}
	if len(images) > 0 {
		if err := r.image(images); err != nil {
			return err
		}
	}
	return r.checksums()
}

// compile builds the programs for a system into a directory.
func (r *release) compile(ctx context.Context, p platform, dir string) error {
	for _, program := range p.programs {
		cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("GO"), "go"), "build", "-trimpath", "-buildvcs=false",
			"-ldflags=-s -w -buildid= -X pktvisor/internal/version.Commit="+r.commit, "-o", filepath.Join(dir, p.file(program)), "./cmd/"+program)
		cmd.Dir, cmd.Stderr = r.root, r.log
		// Everything that changes the result is set here, so that the caller's environment does not.
		cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOARM="+p.variant, "GOAMD64=v1", "GOARM64=v8.0",
			"GO386=sse2", "GORISCV64=rva20u64", "GOEXPERIMENT=", "GOWORK=off")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s for %v: %w", program, p, err)
		}
	}
	return nil
}

// file returns the name of a program's file.
func (p platform) file(program string) string {
	if p.os == "windows" {
		return program + ".exe"
	}
	return program
}

// describe returns the completions and manual pages, which the programs print themselves, by their paths in an archive.
func describe(ctx context.Context, host platform, dir string) (map[string][]byte, error) {
	texts := map[string][]byte{}
	for _, program := range all {
		for kind, path := range map[string]string{
			"bash": "completions/bash/" + program, "zsh": "completions/zsh/_" + program, "fish": "completions/fish/" + program + ".fish", "man": "man/" + program + "." + section(program),
		} {
			cmd := exec.CommandContext(ctx, filepath.Join(dir, host.file(program)), "completion", kind)
			cmd.Env = []string{} // defaults from the environment must not get into the page
			out, err := cmd.Output()
			if err != nil {
				return nil, fmt.Errorf("%s completion %s: %w", program, kind, err)
			}
			texts[path] = out
		}
	}
	return texts, nil
}

// section returns the section of a program's manual page.
func section(program string) string {
	if program == "pktvisor" {
		return "1"
	}
	return "8"
}
