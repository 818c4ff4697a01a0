package main

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"pktvisor/config"
)

// successor holds the flags of the original's successor that this program does not have itself. So what starts the successor, such
// as a unit file or an Orb agent, can start this program. They are not in the help; docs/successor.md lists them.
type successor struct {
	verbose, tls    bool
	geoCity, geoASN string            // used unless the user gives others
	instance        string            // the label instance of its metrics
	withoutEffect   map[string]string // the reasons, by flag
	ignored         bool              // the value of the switches without effect
}

// switches are the flags without effect that take no value, with their letters.
var switches = map[string]string{"no-track": "", "daemon": "d", "syslog": "", "prometheus": "", "module-list": "", "cp-disable": ""}

// successorFlags adds the flags, except those that the program has meanwhile.
func (o *options) successorFlags() {
	s, f := &o.successor, pflag.NewFlagSet("", pflag.ContinueOnError)
	f.BoolVarP(&s.verbose, "verbose", "v", false, "")
	f.BoolVar(&s.tls, "tls", false, "")
	f.StringVar(&s.geoCity, "default-geo-city", "", "")
	f.StringVar(&s.geoASN, "default-geo-asn", "", "")
	f.StringVar(&s.instance, "prom-instance", "", "")
	s.withoutEffect = map[string]string{}
	for key, why := range config.NoEffect() {
		name := strings.ReplaceAll(key, "_", "-")
		s.withoutEffect[name] = why
		if letter, isSwitch := switches[name]; isSwitch {
			f.BoolVarP(&s.ignored, name, letter, false, "")
		} else {
			f.String(name, "", "")
		}
	}
	f.VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
	o.flags.AddFlagSet(f) // it skips names that are there already
}

// applySuccessor gives the successor's flags their meaning.
func (o *options) applySuccessor() error {
	s := &o.successor
	if s.verbose && !o.flags.Changed("log-level") {
		o.LogLevel = "debug"
	}
	if o.GeoCity == "" {
		o.GeoCity = s.geoCity
	}
	if o.GeoASN == "" {
		o.GeoASN = s.geoASN
	}
	if s.tls && o.Access.Cert == "" {
		return errors.New("--tls: give --tls-cert and --tls-key")
	}
	return nil
}

// logNoEffect logs which of the given flags have no effect, in one line.
func (o *options) logNoEffect(log *slog.Logger) {
	var given []string
	o.flags.Visit(func(f *pflag.Flag) {
		if why := o.successor.withoutEffect[f.Name]; why != "" {
			given = append(given, "--"+f.Name+" ("+why+")")
		}
	})
	if len(given) > 0 {
		log.Info("flags without effect", "flags", strings.Join(given, ", "))
	}
}
