package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// The bounds of the corpus that is kept of a target: the smallest of the inputs that have covered something new.
const (
	maxCorpusInputs = 64
	maxCorpusBytes  = 12 << 10
	maxInputBytes   = 1 << 10
)

// unpack writes the kept corpus of a target where the fuzzer looks for it.
func unpack(o *options, t *target) error {
	a, err := txtar.ParseFile(filepath.Join(o.corpora, t.file(t.name)+".txtar"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir := filepath.Join(t.cache(o), t.name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range a.Files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Name)), f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pack keeps the corpus of a target.
func pack(o *options, t *target) error {
	dir := filepath.Join(t.cache(o), t.name)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var files []txtar.File
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Size() > maxInputBytes {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		files = append(files, txtar.File{Name: e.Name(), Data: data})
	}
	slices.SortFunc(files, func(a, b txtar.File) int {
		return cmp.Or(cmp.Compare(len(a.Data), len(b.Data)), strings.Compare(a.Name, b.Name))
	})
	a, size := new(txtar.Archive), 0
	for _, f := range files[:min(len(files), maxCorpusInputs)] {
		if size += len(f.Data); size > maxCorpusBytes {
			break
		}
		a.Files = append(a.Files, f)
	}
	if len(a.Files) == 0 {
		return nil
	}
	if err := os.MkdirAll(o.corpora, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.corpora, t.file(t.name)+".txtar"), txtar.Format(a), 0o644)
}

// sums are what was done for each target in all runs.
type sums struct{ of map[string]*sum }

type sum struct {
	executions int
	cpu        time.Duration
}

const sumsName = "executions.tsv"

func readSums(dir string) (*sums, error) {
	s := &sums{map[string]*sum{}}
	b, err := os.ReadFile(filepath.Join(dir, sumsName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("%s: want three columns: %q", sumsName, line)
		}
		n, err1 := strconv.Atoi(f[1])
		seconds, err2 := strconv.ParseFloat(f[2], 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("%s: %w", sumsName, err)
		}
		s.add(f[0], n, time.Duration(seconds*float64(time.Second)))
	}
	return s, nil
}

func (s *sums) add(target string, executions int, cpu time.Duration) {
	if s.of[target] == nil {
		s.of[target] = new(sum)
	}
	s.of[target].executions += executions
	s.of[target].cpu += cpu
}

// names returns the targets in alphabetical order.
func (s *sums) names() (all []string) {
	for name := range s.of {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

func (s *sums) write(dir string) error {
	var b strings.Builder
	for _, name := range s.names() {
		fmt.Fprintf(&b, "%s\t%d\t%.1f\n", name, s.of[name].executions, s.of[name].cpu.Seconds())
	}
	return errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, sumsName), []byte(b.String()), 0o644))
}

func (s *sums) total() string {
	all := sum{}
	for _, one := range s.of {
		all.executions += one.executions
		all.cpu += one.cpu
	}
	return fmt.Sprintf("in all runs: %d executions in %.2f hours of CPU", all.executions, all.cpu.Hours())
}
