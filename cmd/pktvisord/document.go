package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"pktvisor/config"
)

// noSetting are the flags that a document cannot set: they are about one call of the program.
var noSetting = []string{"config", "version", "help", "dump-filter", "cpu-profile", "summary", "strict", "output", "base"}

// loadDocument reads the configuration file. Its notes say what has no effect. open opens the file: [os.Open] at the start, where a
// pipe may be read once, and otherwise a function that does not wait for one.
func (o *options) loadDocument(open func(path string) (*os.File, error)) (*config.Set, []string, error) {
	f, err := open(o.configFile)
	if err != nil {
		return nil, nil, fmt.Errorf("--config: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil, nil, errors.Join(err, fmt.Errorf("--config %s: not a file", o.configFile))
	}
	data, err := io.ReadAll(io.LimitReader(f, config.MaxBytes+1)) // Read says that it is too long
	if err != nil {
		return nil, nil, fmt.Errorf("--config: %w", err)
	}
	set, err := config.Read(o.configFile, data)
	if err != nil {
		return nil, nil, err
	}
	return set, set.Notes, nil
}

// documentError is about the content of the configuration file, and not about the command line.
type documentError struct{ error }

func (e documentError) Unwrap() error { return e.error }

// readDocument reads the configuration file at the start, if there is one, and sets the flags that it gives values to. Those of
// the command line win.
func (o *options) readDocument() error {
	if o.configFile == "" {
		if o.checks {
			return errors.New("check: give the FILE to check")
		}
		return nil
	}
	if o.report || o.dumpFilter {
		return errors.New("--config is for a running agent: leave it out")
	}
	var err error
	if o.document, o.notes, err = o.loadDocument(os.Open); err != nil {
		return documentError{err}
	}
	o.notes = slices.Clone(o.notes)
	var errs []error
	for i := range o.document.Settings {
		errs = append(errs, o.set(&o.document.Settings[i]))
	}
	if err := errors.Join(errs...); err != nil {
		return documentError{err}
	}
	return nil
}

// set sets a flag to a value of the document.
func (o *options) set(s *config.Setting) error {
	f := o.flags.Lookup(s.Flag)
	switch {
	case f == nil || slices.Contains(noSetting, s.Flag):
		return s.Fault("unknown setting: give the name of an option of pktvisord without its dashes, such as listen")
	case f.Changed:
		return nil
	}
	for _, v := range s.Values {
		if err := f.Value.Set(v); err != nil {
			return s.Fault("this is %q: %v", v, err)
		}
	}
	return nil
}

// sameSettings reports whether two documents give the same values to flags.
func sameSettings(a, b []config.Setting) bool {
	return slices.EqualFunc(a, b, func(x, y config.Setting) bool { return x.Flag == y.Flag && slices.Equal(x.Values, y.Values) })
}

// eachSetting calls f for each flag that a document can set.
func (o *options) eachSetting(f func(*pflag.Flag)) {
	o.flags.VisitAll(func(flag *pflag.Flag) {
		if !slices.Contains(noSetting, flag.Name) && !flag.Hidden {
			f(flag)
		}
	})
}
