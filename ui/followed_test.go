package ui

import (
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	counted "pktvisor/metric"
	"pktvisor/server"
	"pktvisor/window"
)

// followedModel is the UI on the real handler of an agent whose only policy follows two zones, one of which has a summary now. ends ends that
// summary.
func followedModel(t *testing.T) (m Model, ends func()) {
	t.Helper()
	summary := func(rows map[string]uint64) server.PolicyWindow {
		w := window.New(window.Config{Tables: agent.Tables, Periods: 5, Shards: 1})
		now := time.Now().Unix()
		w.Update(0, now, now, func(b *counted.Bucket, second int64) { b.Cover(second, second+1) })
		s := w.LockKeys(0, 1, now, now)
		i, ok := s.Table.Find("top_qname2")
		if !ok {
			t.Fatal("no table")
		}
		for key, n := range rows {
			s.Top(i).Add([]byte(key), n)
		}
		w.UnlockKeys(1)
		return server.PolicyWindow{Tap: "eth0", Views: w, Tables: agent.Tables, DeepSamplePercent: 100, Started: time.Unix(1_700_000_000, 0)}
	}
	whole, own := summary(map[string]uint64{".heavy.test": 70, ".light.test": 30}), summary(map[string]uint64{".heavy.test": 70})
	policies := func(keys ...server.KeyWindow) *[]*server.Policy {
		w := whole
		w.Keys = keys
		return &[]*server.Policy{{Name: "zones", Windows: []server.PolicyWindow{w}, Description: []byte("{}"), ForEach: &server.ForEach{Top: "dns.top_qname2", Most: 2}}}
	}
	var list atomic.Pointer[[]*server.Policy]
	list.Store(policies(server.KeyWindow{Key: "heavy.test", PolicyWindow: own}))
	s := httptest.NewServer(server.New(server.Config{
		Policies: func() []*server.Policy { return *list.Load() }, Sources: agent.SourceTable, Version: "1.2.3", Started: time.Now(),
		Status: func() server.Status { return server.Status{} },
	}).Handler())
	t.Cleanup(s.Close)
	c, err := api.NewClient(s.URL, 20*time.Second, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m = New(t.Context(), Options{Agent: c, Of: func(s api.Selection) Agent { return c.Of(s) }, Zone: time.UTC})
	m.width, m.height = 100, 30
	m = after(m, m.ask()())
	m = m.goTo(dnsView)
	for i, p := range m.panels() {
		if p.kind == tablePanel && p.table.path == "dns.top_qname2" {
			m.focus[m.view] = i
		}
	}
	return m, func() { list.Store(policies()) }
}

// TestFollowedKey: Enter on a row of the table whose keys are followed shows the row's own summary, and Esc or Backspace the table again. A row that has none says so.
func TestFollowedKey(t *testing.T) {
	for _, back := range []string{"esc", "backspace"} {
		m, ends := followedModel(t)
		m = press(m, "enter")
		if p, rows := m.current(); !m.open || !m.follows(p.table) || len(rows) != 2 {
			t.Fatalf("open %v, %d rows: %s", m.open, len(rows), text(m))
		}
		m = press(m, "down")
		next, cmd := m.onKey(keyPress("enter"))
		if m = next.(Model); cmd != nil || m.place.key != "" || !m.open || !strings.Contains(text(m), "light.test is not among the keys that are followed now") {
			t.Errorf("a row without a summary: %+v %s", m.place, text(m))
		}
		m = press(m, "up")
		next, cmd = m.onKey(keyPress("enter"))
		m = next.(Model)
		if s := m.selection(); s.Key != "heavy.test" || m.have {
			t.Fatalf("chosen %+v", s)
		}
		m = after(m, cmd())
		if got := text(m); !m.have || !strings.Contains(got, "heavy.test") || strings.Contains(got, "light.test") {
			t.Errorf("the summary of the row: %s", got)
		}
		if !strings.Contains(strings.Split(text(m), "\n")[1]+strings.Split(text(m), "\n")[0], "heavy.test") {
			t.Errorf("the title does not name the key: %s", text(m))
		}
		next, cmd = m.onKey(keyPress(back))
		m = after(next.(Model), cmd())
		if m.place.key != "" || !m.open || m.row != 0 || !strings.Contains(text(m), "light.test") {
			t.Errorf("%s: %+v %s", back, m.place, text(m))
		}
		next, cmd = m.onKey(keyPress("enter"))
		m = after(next.(Model), cmd())
		ends()
		asked := m.ask()()
		next, _ = m.Update(asked)
		if m = next.(Model); m.place.key != "" || !strings.Contains(text(m), "heavy.test is not followed any more") {
			t.Errorf("a key that ended: %+v %s", m.place, text(m))
		}
	}
}
