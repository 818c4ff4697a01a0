package metric

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestTags(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "pop=ams1": "pop=ams1", "pop=ams1 country=nl": "country=nl,pop=ams1", "a.b-c_1=Zürich/2:x": "a.b-c_1=Zürich/2:x",
		"pop": "error", "=x": "error", "pop=": "error", "Pop=x": "error", "pop=a,b": "error", "pop=a=b": "error",
		"pop=a\u2028b": "error", "pop=\xff": "error", "pop=a\x00": "error", "pop=a pop=b": "error",
		"pop=" + strings.Repeat("x", 96): "pop=" + strings.Repeat("x", 96), "pop=" + strings.Repeat("x", 97): "error",
		strings.Repeat("k", 32) + "=v": strings.Repeat("k", 32) + "=v", strings.Repeat("k", 33) + "=v": "error",
	} {
		got, err := ParseTags(strings.Fields(in))
		if (err != nil) != (want == "error") || err == nil && string(got) != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	var many []string
	for _, c := range "abcdefghijklmnopq" {
		many = append(many, string(c)+"=1")
	}
	if _, err := ParseTags(many); err == nil {
		t.Error("17 tags accepted")
	}
	tags, err := ParseTags(many[:16])
	if err != nil || !slices.Equal(tags.List(), many[:16]) || tags.Get("c") != "1" || tags.Get("q") != "" {
		t.Errorf("%q, %v", tags, err)
	}
	both := Tags("a=1,c=1").With("a=2,b=2")
	if both != "a=2,b=2,c=1" || !maps.Equal(maps.Collect(both.All()), map[string]string{"a": "2", "b": "2", "c": "1"}) {
		t.Errorf("together: %q", both)
	}
	if got := tags.With("z=1"); len(got.List()) != 16 || got.Get("z") != "1" {
		t.Errorf("with one more: %q", got)
	}
}
