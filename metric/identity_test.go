package metric

import "testing"

func TestCommon(t *testing.T) {
	a := Identity{"ns1", "eth0", "default"}
	for _, c := range []struct{ b, want Identity }{
		{a, a},
		{Identity{"ns2", "eth0", "default"}, Identity{"", "eth0", "default"}},
		{Identity{"ns1", "eth1", "default"}, Identity{"ns1", "", "default"}},
		{Identity{"ns1", "eth0", "dns"}, Identity{"ns1", "eth0", ""}},
		{Identity{}, Identity{}},
	} {
		if got := a.Common(c.b); got != c.want {
			t.Errorf("%v and %v have %v in common, want %v", a, c.b, got, c.want)
		}
		if got := c.b.Common(a); got != c.want {
			t.Errorf("%v and %v have %v in common, want %v", c.b, a, got, c.want)
		}
	}
}
