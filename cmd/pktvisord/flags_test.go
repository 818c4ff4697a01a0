package main

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pktvisor/capture"
	"pktvisor/policy"
)

// fields returns the value of each field of the configuration, by its path.
func fields(o *options) map[string]string {
	all := map[string]string{}
	for part, of := range map[string]any{"tap": o.Tap, "policy": o.Policy, "program": o.Program, "push": o.Push, "access": o.Access, "otlp": o.otlp} {
		v := reflect.ValueOf(of)
		for i := range v.NumField() {
			all[part+"."+v.Type().Field(i).Tag.Get("name")] = fmt.Sprint(v.Field(i))
		}
	}
	return all
}

// TestFlagOf: each field of the configuration has one flag, and that flag fills only this field.
func TestFlagOf(t *testing.T) {
	before, err := parse([]string{"lo"})
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]string{
		"-H": "192.0.2.0/24", "--dns-timeout": "1s", "--log-level": "warn", "--log-format": "json", "--prom-disable": "geo", "TARGET": "any",
		"-b": "udp", "--replay-speed": "2", "--otlp-interval": "1s", "--otlp-compression": "none", "--otlp-scale": "3", "--otlp-disable": "geo",
	}
	for field := range fields(before) {
		if field != "policy.budget" && rowOf(field) < 0 {
			t.Errorf("no flag fills %s", field)
		}
	}
	seen := map[string]bool{}
	for _, row := range flagOf {
		if seen[row.field] || seen[row.flag] {
			t.Errorf("%s or %s is listed twice", row.field, row.flag)
		}
		seen[row.field], seen[row.flag] = true, true
		value, target := given[row.flag], "lo"
		if value == "" {
			value = "70"
		}
		args := []string{row.flag, value}
		flag := before.flags.Lookup(strings.TrimPrefix(row.flag, "--"))
		if len(row.flag) == 2 {
			flag = before.flags.ShorthandLookup(row.flag[1:])
		}
		switch {
		case row.flag == "TARGET":
			args, target = nil, value
		case flag == nil:
			t.Errorf("there is no flag %s", row.flag)
			continue
		case flag.NoOptDefVal != "": // bool, or a value that may be left out
			args = []string{row.flag}
		}
		o, _ := parse(append(args, target)) // some are wrong together with the target
		var changed []string
		for field, value := range fields(o) {
			if value != fields(before)[field] {
				changed = append(changed, field)
			}
		}
		if want := []string{row.field}; !slices.Equal(changed, want) {
			t.Errorf("%s changes %v, want %v", row.flag, changed, want)
		}
	}
}

// TestFaults: mistakes are reported with the names of flags, in their order. A mistake in a combination names both
// flags.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--summary --replay x.pcap --snaplen 1 --shards -1", "--snaplen 1: give a number of bytes from 64 to 262144\n" +
			"--summary is for a capture file; --replay plays it as if it were live\n--shards -1: give a number from 1 to 256, or 0 for one a core"},
		{"--summary lo --any-copies --prom-topn -1 -H x", "-H: \"x\" is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64\n" +
			"--prom-topn -1: give a number of rows from 0 to 1000\n--any-copies is for the target any, not for lo\n--summary is for a capture file, and lo is captured live"},
		{"--log-level x --periods 0", "--periods 0: give a number of minutes from 2 to 1440\n" +
			"no TARGET: give an interface, an IP address of one, \"any\", a capture file, or \"-\" for a capture on standard input\n" +
			"--log-level x: give debug, info, warn or error"},
		{"--any-copies any", ""},
	} {
		got := ""
		if _, err := parse(strings.Fields(c.args)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q\nwant %q", c.args, got, c.want)
		}
	}
	if policy.AnyInterface != capture.AnyInterface {
		t.Errorf("the target of all interfaces is %q in one place, %q in another", policy.AnyInterface, capture.AnyInterface)
	}
}
