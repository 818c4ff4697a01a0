package store

import (
	"strings"
	"testing"

	"pktvisor/hub/rollup"
)

func TestNames(t *testing.T) {
	n := names{"pv.eu"}
	k := Key{rollup.Minute5, "my policy", "pop=ams1.x", -300}
	const want = "pv.eu.roll.5m.my%20policy.pop=ams1%2Ex.-300"
	if got := n.roll(k); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for s, ok := range map[string]bool{want: true, strings.Replace(want, "roll", "changed", 1): true, strings.Replace(want, "-300", "-299", 1): false,
		strings.Replace(want, "-300", "+300", 1): false, strings.Replace(want, "-300", "-0300", 1): false, strings.Replace(want, "5m", "6m", 1): false,
		strings.Replace(want, "%20", "%2g", 1): false, strings.Replace(want, "pv.eu", "pv.us", 1): false, want + ".x": false, "": false, "pv.eu": false,
		strings.Replace(want, "pv.eu.", "pv.eux.", 1): false} {
		if got, valid := n.key(s); valid != ok || ok && got != k {
			t.Errorf("%s: %v, %v", s, got, valid)
		}
	}
	for l, want := range map[rollup.Level]string{0: "PV_EU_RAW", rollup.Minute1: "PV_EU_ROLL_1M", rollup.Day1: "PV_EU_ROLL_1D"} {
		if got := n.stream(l); got != want {
			t.Errorf("stream %v: %s, want %s", l, got, want)
		}
	}
}

// FuzzNames checks that every key has a subject of its own, and that no subject is read as a key that has another one.
func FuzzNames(f *testing.F) {
	f.Add("pv.roll.1m.default.all.60", "a.b*>", "%", int64(60), 1)
	f.Add("pv.changed.1d.%.%.-86400", "", "pop=ü", int64(-1), 4)
	n := names{"pv"}
	f.Fuzz(func(t *testing.T, s, policy, group string, start int64, level int) {
		if k, ok := n.key(s); ok {
			if again := n.roll(k); again != strings.Replace(s, "pv.changed.", "pv.roll.", 1) {
				t.Errorf("%q is %v, which is %q", s, k, again)
			}
		}
		k := Key{rollup.Level(level), policy, group, start}
		if k.check() != nil {
			return
		}
		subj := n.roll(k)
		if got, ok := n.key(subj); !ok || got != k {
			t.Errorf("%v has subject %q, which is %v, %v", k, subj, got, ok)
		}
		if strings.ContainsAny(subj, "*> \t\r\n") || strings.Count(subj, ".") != 5 || len(subj) > 4000 {
			t.Errorf("%v has subject %q", k, subj)
		}
		for _, r := range keyOf(group) { // what a KV bucket takes
			if !strings.ContainsRune("-/_=.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", r) {
				t.Errorf("%q has key %q", group, keyOf(group))
			}
		}
		if name, ok := nameOf(keyOf(group)); !ok || name != group {
			t.Errorf("%q has key %q, which is %q, %v", group, keyOf(group), name, ok)
		}
	})
}
