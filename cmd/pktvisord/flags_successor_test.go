package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// successorFlags are the flags of the successor's pktvisord, from its help, with a value for each that takes one. Those for OTLP,
// --config and --admin-api have tests of their own.
const successorFlags = "-l 127.0.0.1 -p 0 -d -v --no-track --tls --tls-cert c.pem --tls-key k.pem --geo-city city.mmdb --geo-asn asn.mmdb " +
	"--geo-cache-size 10000 --default-geo-city c.mmdb --default-geo-asn a.mmdb --cp-disable --cp-token t --cp-url u --cp-custom c --cp-path p " +
	"--module-list --module-dir d --log-file l --syslog --prometheus --prom-instance ns1 --iana-service-port-registry i " +
	"--default-service-registry s --max-deep-sample 50 --periods 5 -b udp -H 192.0.2.0/24 eth0"

// TestSuccessorFlags: the successor's command line is accepted. What has no effect is logged once, with the reason.
func TestSuccessorFlags(t *testing.T) {
	o, err := parse(strings.Fields(successorFlags))
	if err != nil {
		t.Fatal(err)
	}
	if o.LogLevel != "debug" || o.GeoCity != "city.mmdb" || o.GeoASN != "asn.mmdb" || o.successor.instance != "ns1" || o.Target != "eth0" {
		t.Errorf("%+v", o)
	}
	var log bytes.Buffer
	o.logNoEffect(slog.New(slog.NewTextHandler(&log, nil)))
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "flags without effect") {
		t.Errorf("%d lines: %s", strings.Count(text, "\n"), text)
	}
	for _, flag := range []string{"daemon", "no-track", "geo-cache-size", "cp-disable", "cp-token", "cp-url", "cp-custom", "cp-path", "module-list", "module-dir", "log-file", "syslog", "prometheus", "iana-service-port-registry", "default-service-registry"} {
		if !strings.Contains(text, "--"+flag+" (") {
			t.Errorf("--%s is not in the line: %s", flag, text)
		}
	}
	for _, flag := range []string{"--tls", "--verbose", "--prom-instance", "--default-geo-city", "--periods"} {
		if strings.Contains(text, flag+" (") {
			t.Errorf("%s is in the line: %s", flag, text)
		}
	}
}

// TestSuccessorMeanings: what has a use here has it, and gives way to this program's own flags.
func TestSuccessorMeanings(t *testing.T) {
	for _, c := range []struct{ args, level, city, asn, fault string }{
		{args: "lo", level: "info"},
		{args: "-v lo", level: "debug"},
		{args: "-v --log-level warn lo", level: "warn"},
		{args: "--default-geo-city a.mmdb lo", level: "info", city: "a.mmdb"},
		{args: "--default-geo-city a.mmdb --geo-city b.mmdb --default-geo-asn c.mmdb lo", level: "info", city: "b.mmdb", asn: "c.mmdb"},
		{args: "--tls lo", level: "info", fault: "--tls: give --tls-cert and --tls-key"},
		{args: "--cp-custom lo", fault: "TARGET"}, // it takes a value
	} {
		o, err := parse(strings.Fields(c.args))
		if c.fault != "" {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %v, want %q", c.args, err, c.fault)
			}
			continue
		}
		if err != nil || o.LogLevel != c.level || o.GeoCity != c.city || o.GeoASN != c.asn {
			t.Errorf("%s: %v, %q, %q, %q", c.args, err, o.LogLevel, o.GeoCity, o.GeoASN)
		}
	}
}

// TestSuccessorFlagsAreHidden: the help does not list them, and nothing is logged if none is given.
func TestSuccessorFlagsAreHidden(t *testing.T) {
	o, err := parse([]string{"lo"})
	if err != nil {
		t.Fatal(err)
	}
	for name := range o.successor.withoutEffect {
		if strings.Contains(usage(o), "--"+name+" ") {
			t.Errorf("the help has --%s", name)
		}
	}
	var log bytes.Buffer
	if o.logNoEffect(slog.New(slog.NewTextHandler(&log, nil))); log.Len() > 0 {
		t.Errorf("logged %s", log.String())
	}
}
