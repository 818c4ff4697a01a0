package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// The system on which this program runs.
const (
	hostOS   = runtime.GOOS
	hostArch = runtime.GOARCH
)

// entry is a file or a directory in an archive.
type entry struct {
	path string // with slashes; a directory ends in one
	mode int64
	body []byte
}

// documents are the files of the repository that go into each archive.
var documents = []string{"LICENSE", "NOTICE", "README.md", "CHANGELOG.md", "SECURITY.md"}

// contents returns the programs and texts for a system.
func (r *release) contents(p platform, bin string, texts map[string][]byte) ([]entry, error) {
	var list []entry
	for _, program := range p.programs {
		body, err := os.ReadFile(filepath.Join(bin, p.file(program)))
		if err != nil {
			return nil, err
		}
		list = append(list, entry{p.file(program), 0o755, body})
		for path, text := range texts {
			if base := strings.TrimPrefix(filepath.Base(path), "_"); strings.TrimSuffix(base, filepath.Ext(base)) == program {
				list = append(list, entry{path, 0o644, text})
			}
		}
	}
	paths := slices.Clone(documents)
	if p.os == "linux" {
		for _, pattern := range []string{"packaging/systemd/*"} {
			more, err := filepath.Glob(filepath.Join(r.root, pattern))
			if err != nil {
				return nil, err
			}
			for _, path := range more {
				paths = append(paths, "packaging/systemd/"+filepath.Base(path))
			}
		}
	}
	for _, path := range paths {
		body, err := os.ReadFile(filepath.Join(r.root, path))
		if err != nil {
			return nil, err
		}
		list = append(list, entry{strings.TrimPrefix(path, "packaging/"), 0o644, body})
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// name returns the name of a file of the release for a system.
func (r *release) name(p platform) string {
	return fmt.Sprintf("pktvisor_%s_%s_%s", r.version, p.os, p.arch)
}

// archive writes the archive of a system: a zip file for Windows, and else a compressed tar file. Everything is in one directory.
func (r *release) archive(p platform, bin string, texts map[string][]byte) error {
	list, err := r.contents(p, bin, texts)
	if err != nil {
		return err
	}
	dir := r.name(p)
	for i := range list {
		list[i].path = dir + "/" + list[i].path
	}
	if p.os == "windows" {
		return writeFile(filepath.Join(r.out, dir+".zip"), func(w io.Writer) error { return writeZip(w, list, r.made) })
	}
	return writeFile(filepath.Join(r.out, dir+".tar.gz"), func(w io.Writer) error { return writeTarGz(w, list, r.made) })
}

// writeFile creates a file with what write writes.
func writeFile(path string, write func(w io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// writeTar writes an archive whose files belong to root.
func writeTar(w io.Writer, list []entry, made time.Time) error {
	t := tar.NewWriter(w)
	for _, e := range list {
		h := &tar.Header{Name: e.path, Mode: e.mode, Size: int64(len(e.body)), ModTime: made, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(e.path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(e.body); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeTarGz(w io.Writer, list []entry, made time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression) // without a name or a time
	if err != nil {
		return err
	}
	return errors.Join(writeTar(z, list, made), z.Close())
}

func writeZip(w io.Writer, list []entry, made time.Time) error {
	z := zip.NewWriter(w)
	for _, e := range list {
		h := &zip.FileHeader{Name: e.path, Method: zip.Deflate, Modified: made}
		h.SetMode(os.FileMode(e.mode))
		f, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := f.Write(e.body); err != nil {
			return err
		}
	}
	return z.Close()
}

// checksums writes SHA256SUMS, which sha256sum -c reads.
func (r *release) checksums() error {
	files, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	sums := map[string]string{}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		body, err := os.ReadFile(filepath.Join(r.out, f.Name()))
		if err != nil {
			return err
		}
		sums[f.Name()] = fmt.Sprintf("%x", sha256.Sum256(body))
	}
	return writeFile(filepath.Join(r.out, "SHA256SUMS"), func(w io.Writer) error {
		for _, name := range slices.Sorted(maps.Keys(sums)) {
			if _, err := fmt.Fprintf(w, "%s  %s\n", sums[name], name); err != nil {
				return err
			}
		}
		return nil
	})
}
