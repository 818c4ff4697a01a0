package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestFleetRoutes: each question becomes one request, with what is selected of the fleet.
func TestFleetRoutes(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, strings.TrimPrefix(r.URL.Path, "/prefix/api/v1/")+"?"+r.URL.RawQuery)
		_, _ = w.Write([]byte(`{"60m":{"packets":{"total":7}},"hosts":[{"host":"ns1","state":"late"}],"series":[{"metric":"a","stat":"count","values":[1,null,3]}],"changes":[{"name":"x","change":-2}],"headline":"none"}`))
	}).Of(Selection{Tags: []string{"pop=ams1"}})
	ctx := t.Context()
	if f, err := c.Fleet(ctx, FleetQuery{State: HostAway, Limit: 50}); err != nil || len(f.Hosts) != 1 || f.Hosts[0].State != HostLate {
		t.Errorf("fleet: %+v, %v", f.Hosts, err)
	}
	_, _ = c.Fleet(ctx, FleetQuery{})
	if s, err := c.Range(ctx, 600, 4200, 100); err != nil || s.Key != "60m" || s.Packets.Total != N(7) {
		t.Errorf("range: %q %v, %v", s.Key, s.Packets.Total, err)
	}
	s, err := c.Series(ctx, SeriesQuery{Metrics: []string{"a", "b.c"}, From: 600, To: 780, Step: 60, By: "pop"})
	if err != nil || !slices.Equal(s.Find("a", "count", ""), []Number{N(1), {}, N(3)}) || s.Find("a", "p50", "") != nil {
		t.Errorf("series: %+v, %v", s, err)
	}
	if a, err := c.Changes(ctx, ChangesQuery{From: 600, To: 900, BaseFrom: 300, BaseTo: 600, Rows: 5}); err != nil || len(a.Changes) != 1 || a.Changes[0].Change != -2 {
		t.Errorf("changes: %+v, %v", a, err)
	}
	_, _ = c.Series(ctx, SeriesQuery{Metrics: []string{"a"}, From: 600, To: 780, By: "host", Hosts: []string{"ns1", "ns2"}})
	if a, err := c.Attack(ctx, AttackQuery{Last: 3600}); err != nil || a.Headline != "none" {
		t.Errorf("attack: %+v, %v", a, err)
	}
	_, _ = c.Attack(ctx, AttackQuery{From: 600, To: 900})
	_, _ = c.Changes(ctx, ChangesQuery{From: 600, To: 900, BaseTag: "pop=fra1", BaseHost: "ns2&"})
	want := []string{
		"fleet?limit=50&state=away&tag=pop%3Dams1", "fleet?tag=pop%3Dams1", "metrics/range?from=600&rows=100&tag=pop%3Dams1&to=4200",
		"series?by=pop&from=600&metric=a&metric=b.c&step=60&tag=pop%3Dams1&to=780",
		"changes?base_from=300&base_to=600&from=600&rows=5&tag=pop%3Dams1&to=900", "series?by=host&from=600&host=ns1&host=ns2&metric=a&tag=pop%3Dams1&to=780",
		"attack?from=-3600s&tag=pop%3Dams1&to=now", "attack?from=600&tag=pop%3Dams1&to=900", "changes?base_host=ns2%26&base_tag=pop%3Dfra1&from=600&tag=pop%3Dams1&to=900",
	}
	if !slices.Equal(asked, want) {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(asked, "\n"), strings.Join(want, "\n"))
	}
}

// TestFleetBounds: lists are cut at their bounds, odd fields are left out, and what is not an answer is an error.
func TestFleetBounds(t *testing.T) {
	many := func(one string, n int) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	f, err := ParseFleet([]byte(`{"hosts":` + many(`{}`, maxHosts+9) + `,"tags":` + many(`{}`, maxTagSizes+9) + `,"policies":` + many(`"p"`, maxPolicies+9) + `,"selected":"many"}`))
	if err != nil || len(f.Hosts) != maxHosts || len(f.Tags) != maxTagSizes || len(f.Policies) != maxPolicies || f.Selected.Known {
		t.Errorf("%d hosts, %d tags, %d policies, %v", len(f.Hosts), len(f.Tags), len(f.Policies), err)
	}
	s, err := ParseSeries([]byte(`{"series":` + many(`{}`, maxSeries+9) + `}`))
	if err != nil || len(s.Series) != maxSeries {
		t.Errorf("%d series, %v", len(s.Series), err)
	}
	a, err := ParseChanges([]byte(`{"changes":` + many(`{"change":"x"}`, maxChanges+9) + `}`))
	if err != nil || len(a.Changes) != maxChanges {
		t.Errorf("%d changes, %v", len(a.Changes), err)
	}
	v, err := ParseAttack([]byte(`{"sentences":` + many(`{}`, maxSentences+9) + `}`))
	if err != nil || len(v.Sentences) != maxSentences {
		t.Errorf("%d sentences, %v", len(v.Sentences), err)
	}
	for _, text := range []string{"", "[1]", "<html>", `{"hosts":`} {
		_, one := ParseFleet([]byte(text))
		_, two := ParseSeries([]byte(text))
		_, three := ParseChanges([]byte(text))
		_, four := ParseAttack([]byte(text))
		if one == nil || two == nil || three == nil || four == nil {
			t.Errorf("%q: %v, %v, %v, %v", text, one, two, three, four)
		}
	}
}

// TestAttackRows: rows about attacks have their members, and a wrong type leaves one out.
func TestAttackRows(t *testing.T) {
	s, err := ParseSummary([]byte(`{"5m":{"dns":{"clients":{"v4_24":12},"top_nxdomain":[{"name":"*.x.example","estimate":9,"names":7}],
		"top_amp_prefix":[{"name":"192.0.2.0/24","estimate":900,"queries_bytes":30,"ratio":30,"hints":["one_port","one_ttl"]},{"name":"b","hints":"x"}]}}}`))
	if err != nil || s.DNS.TopNXDomain[0].Names != N(7) || s.DNS.Clients.V4n24 != N(12) || len(s.DNS.TopAmpPrefix) != 2 {
		t.Fatalf("%+v, %v", s.DNS.TopNXDomain, err)
	}
	if r := s.DNS.TopAmpPrefix[0]; r.QueryBytes != N(30) || r.Ratio != N(30) || !slices.Equal(r.Hints, []string{"one_port", "one_ttl"}) {
		t.Errorf("%+v", r)
	}
	if r := s.DNS.TopAmpPrefix[1]; r.Name != "b" || r.Hints != nil || s.Odd != "dns.top_amp_prefix.hints" {
		t.Errorf("%+v, odd %q", r, s.Odd)
	}
}
