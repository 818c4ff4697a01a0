package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/server"
	"pktvisor/timeline"
)

// TestFollowedKey: the page of a row that has a summary of its own links to it, the summary says of what it is on every view, and leads back. The page of another row has no link.
func TestFollowedKey(t *testing.T) {
	a, now := policiesAgent(t), func() time.Time { return time.Unix(demoEnd, 0) }
	var tables map[string]struct {
		DNS struct {
			Top []struct{ Name string } `json:"top_qname2"`
		}
	}
	ask(t, a, "/api/v1/metrics/window/5", &tables)
	rows := tables["5m"].DNS.Top
	if len(rows) < 2 {
		t.Fatalf("%d rows", len(rows))
	}
	key := strings.TrimPrefix(rows[0].Name, ".")
	list := demoPolicies(t)[:1]
	list[0].ForEach = &server.ForEach{Top: "dns.top_qname2", Most: 2}
	list[0].Windows[0].Keys = []server.KeyWindow{{Key: key, PolicyWindow: demoPolicies(t)[2].Windows[0]}}
	list[0].Windows[0].Keys[0].Tap = ""
	h := server.New(server.Config{
		Policies: func() []*server.Policy { return list }, Sources: agent.SourceTable, Version: "1.2.3", Started: now(), TopN: 10, Host: "ns1.example",
		Status: func() server.Status { return server.Status{Target: "demo", LastPacket: now()} }, Routes: timeline.PolicyRoutes(now),
	}).Handler()
	at := proxied(t, h, nil)
	p := open(t, at+"#/row?table=dns.top_qname2&name="+rows[0].Name, looks[1])
	p.until("document.querySelector('p.followed a')")
	p.eval("document.querySelector('p.followed a').click()", nil)
	p.until(fmt.Sprintf("location.hash === '#/now?policy=default&key=%s' && document.querySelector('a.key')?.textContent.includes('%[1]s') && document.title.includes('› %[1]s')", key))
	p.eval("document.querySelector('a.key').click()", nil)
	p.until("location.hash === '#/now?policy=default' && !document.querySelector('a.key')")
	other := open(t, at+"#/row?table=dns.top_qname2&name="+rows[1].Name, looks[1])
	other.until("document.querySelector('.where')")
	if got := other.text("p.followed"); got != "(nothing)" {
		t.Errorf("a row that is not followed: %q", got)
	}
}
