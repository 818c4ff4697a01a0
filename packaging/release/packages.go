package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// distributed is a package of distributions.
type distributed struct {
	name        string
	programs    []string
	service     string // of systemd and OpenRC
	description string
}

var distributions = []distributed{
	{"pktvisor", clients, "pktvisord", "summaries of packet streams in real time\n" +
		"The agent pktvisord watches the packets of a host and keeps counters and sketches\n" +
		"of them, above all of DNS. The terminal UI pktvisor shows them."},
	{"pktvisor-hub", []string{"pktvisor-hub"}, "pktvisor-hub", "one view of a fleet of pktvisor agents\n" +
		"The hub merges the summaries of many agents, with history."},
}

// packages makes the Debian, RPM and Alpine packages of a system.
func (r *release) packages(ctx context.Context, p platform, bin string, texts map[string][]byte, work string) error {
	for _, d := range distributions {
		base := filepath.Join(work, "packages", p.arch, d.name)
		if err := r.stage(d, bin, texts, base); err != nil {
			return err
		}
		out, err := filepath.Abs(r.out)
		if err != nil {
			return err
		}
		if base, err = filepath.Abs(base); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, cmp.Or(os.Getenv("GO"), "go"), "run", ".", "-name", d.name, "-arch", p.arch+p.variant, "-version", r.version, "-description", d.description,
			"-time", strconv.FormatInt(r.made.Unix(), 10), "-tree", filepath.Join(base, "tree"), "-scripts", filepath.Join(base, "scripts"), "-o", out)
		cmd.Dir, cmd.Stderr = filepath.Join(r.root, "packaging/nfpm"), r.log
		cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "CGO_ENABLED=0", "GOWORK=off")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("packages of %s for %v: %w", d.name, p, err)
		}
	}
	return nil
}

// stage writes the files of a package under the paths that they will have, and its scripts.
func (r *release) stage(d distributed, bin string, texts map[string][]byte, base string) error {
	list := map[string]string{ // files of the repository
		"usr/lib/systemd/system/" + d.service + ".service": "systemd/" + d.service + ".service", "usr/lib/sysusers.d/" + d.name + ".conf": "systemd/pktvisor.sysusers",
		"etc/default/" + d.service: "systemd/" + d.service + ".default", "etc/init.d/" + d.service: "openrc/" + d.service,
		"usr/share/doc/" + d.name + "/copyright": "../LICENSE", "usr/share/doc/" + d.name + "/NOTICE": "../NOTICE",
	}
	tree := filepath.Join(base, "tree")
	var errs []error
	put := func(path string, body []byte, mode os.FileMode) {
		path = filepath.Join(tree, path)
		// Chmod, because the umask may have taken something away.
		errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, body, mode), os.Chmod(path, mode))
	}
	for to, from := range list {
		body, err := os.ReadFile(filepath.Join(r.root, "packaging", from))
		mode := os.FileMode(0o644)
		if strings.HasPrefix(to, "etc/init.d/") {
			mode = 0o755
		}
		errs = append(errs, err)
		put(to, body, mode)
	}
	for _, program := range d.programs {
		body, err := os.ReadFile(filepath.Join(bin, program))
		errs = append(errs, err)
		put("usr/bin/"+program, body, 0o755)
		put("usr/share/bash-completion/completions/"+program, texts["completions/bash/"+program], 0o644)
		put("usr/share/zsh/site-functions/_"+program, texts["completions/zsh/_"+program], 0o644)
		put("usr/share/fish/vendor_completions.d/"+program+".fish", texts["completions/fish/"+program+".fish"], 0o644)
		page := program + "." + section(program)
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, err = w.Write(texts["man/"+page])
		errs = append(errs, err, w.Close())
		put("usr/share/man/man"+section(program)+"/"+page+".gz", z.Bytes(), 0o644)
	}
	for _, name := range []string{"postinstall.sh", "preremove.sh", "postremove.sh"} {
		body, err := os.ReadFile(filepath.Join(r.root, "packaging/scripts", name))
		text := strings.NewReplacer("@SERVICE@", d.service, "@NAME@", d.name).Replace(string(body))
		path := filepath.Join(base, "scripts", name)
		// Chtimes, because nfpm 2.48 puts the times of the files into Alpine packages, not the time that it is told.
		errs = append(errs, err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o755), os.Chtimes(path, r.made, r.made))
	}
	return errors.Join(errs...)
}
