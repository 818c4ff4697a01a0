package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// command runs a program, and returns what it printed if it fails.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	return nil
}

// mount mounts the ext4 file system in an image.
func (p *play) mount(image, at string) error {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	if err := command("mount", "-o", "loop", image, at); err != nil {
		return err
	}
	p.mounts = append([]string{at}, p.mounts...)
	return nil
}

// newDisk makes and mounts a file system of the given size in MiB.
func (p *play) newDisk(mib int64) (image, at string, err error) {
	image, at = filepath.Join(p.dir, "disk.img"), filepath.Join(p.dir, "disk")
	f, err := os.Create(image)
	if err != nil {
		return "", "", err
	}
	if err := f.Truncate(mib << 20); err != nil {
		return "", "", err
	}
	if err := f.Close(); err != nil {
		return "", "", err
	}
	if err := command("mkfs.ext4", "-q", "-F", image); err != nil {
		return "", "", err
	}
	return image, at, p.mount(image, at)
}

// cutPower copies the disk of a hub while a fleet delivers, and continues with a hub on the copy, as after a power cut: what
// the kernel had not written is gone. The disk is copied just after the fleet has got its last acknowledgement.
func cutPower(ctx context.Context, p *play) error {
	image, at, err := p.newDisk(1024)
	if err != nil {
		return err
	}
	h, err := p.startBoth(filepath.Join(at, "data"))
	if err != nil {
		return err
	}
	select {
	case <-p.sim.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := p.sim.wait(0); err != nil {
		return err
	}
	copied := filepath.Join(p.dir, "copy.img")
	if err := command("cp", "--sparse=always", image, copied); err != nil {
		return err
	}
	p.hits++
	h.proc.kill()
	if err := p.mount(copied, filepath.Join(p.dir, "copy")); err != nil {
		return err
	}
	h.args = append(h.args, "--data", filepath.Join(p.dir, "copy", "data"))
	if err := p.startAgain(h); err != nil {
		return err
	}
	return p.compare(h)
}

// fillDisk fills the disk of a hub while a fleet delivers, and makes room again.
func fillDisk(ctx context.Context, p *play) error {
	_, at, err := p.newDisk(1024)
	if err != nil {
		return err
	}
	h, err := p.startBoth(filepath.Join(at, "data"))
	if err != nil {
		return err
	}
	full := filepath.Join(at, "full")
	err = p.harm(ctx, 1, func() error {
		if err := fill(full); err != nil {
			return err
		}
		time.Sleep(time.Duration(5000+p.rng.IntN(10_000)) * time.Millisecond)
		return os.Remove(full)
	})
	if err != nil {
		return err
	}
	return p.compare(h)
}

// fill writes a file until its disk has no room.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); ; {
		if _, err := f.Write(block); err != nil {
			return nil // full
		}
	}
}
