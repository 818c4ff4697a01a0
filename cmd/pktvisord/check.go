package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"pktvisor/config"
	"pktvisor/geo"
)

// checkSettings returns the mistakes in the settings of a document that is not run.
func (o *options) checkSettings() error {
	if o.document == nil {
		o.document = new(config.Set)
	}
	return o.check()
}

// printCheck checks the document, without running it. It writes warnings to w.
func (o *options) printCheck(w io.Writer) error {
	for _, note := range o.notes {
		fmt.Fprintln(w, "pktvisord: note: "+note)
	}
	for i := range o.document.Policies {
		if hint := o.document.Policies[i].Hint(); hint != "" {
			fmt.Fprintln(w, "pktvisord: note: "+hint)
		}
	}
	p, err := newWanted(o).plan()
	if err != nil {
		return err
	}
	l, err := o.newLive(slog.New(slog.DiscardHandler), geo.Open)
	if err != nil {
		return err
	}
	defer l.geo.Close()
	l.wanted = newWanted(o)
	c := &change{plan: p}
	var errs []error
	for _, q := range p.policies {
		r, err := l.newRunning(q)
		if err == nil {
			c.add = append(c.add, r)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := l.fit(c); err != nil {
		return err
	}
	o.warnOfTargets(w)
	memory := int64(0)
	for _, r := range c.add {
		memory += r.most()
	}
	fmt.Fprintf(w, "pktvisord: %s is good: %s, %s, %s, at most %s in a flood\n", o.configFile,
		counted(len(o.document.Taps), "tap", "taps"), counted(len(p.policies), "policy", "policies"), counted(p.windows(), "window", "windows"), mebibytes(memory))
	return nil
}

// counted returns a number with its noun.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// warnOfTargets warns of what is not there now, and may be when the agent runs.
func (o *options) warnOfTargets(w io.Writer) {
	for i := range o.document.Taps {
		t := &o.document.Taps[i]
		if isInterface(t.Target) {
			continue
		}
		if _, err := os.Stat(t.Target); err != nil {
			fmt.Fprintln(w, "pktvisord: warning: "+t.Note("there is neither an interface nor a file %q now: an agent that starts would fail", t.Target))
		}
	}
}

// windows returns the number of windows.
func (p *plan) windows() (n int) {
	for _, q := range p.policies {
		n += len(q.windows)
	}
	return n
}

// showConfig prints what is in force, defaults included, in the short form.
func (o *options) showConfig(ctx context.Context, out io.Writer) error {
	w := newWanted(o)
	set, err := w.set()
	if err != nil {
		return err
	}
	var settings []config.Setting
	o.eachSetting(func(f *pflag.Flag) {
		s := config.Setting{Flag: f.Name, Values: []string{f.Value.String()}}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			s.Values = list.GetSlice()
		}
		settings = append(settings, s)
	})
	text, err := set.YAML(settings)
	if err != nil {
		return err
	}
	return writeOut(ctx, out, text)
}
