package hub

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/hub/collect"
	"pktvisor/hub/rollup"
	"pktvisor/hub/store"
	"pktvisor/internal/testkit/testfleet"
	"pktvisor/metric"
	"pktvisor/server"
)

// TestFleet: each host is shown with its minutes, losses, tags and state.
func TestFleet(t *testing.T) {
	targets := []collect.Status{
		{URL: "http://ns1:10853", Hosts: []string{"ns1"}, State: collect.Up, Clock: 7 * time.Second},
		{URL: "http://gone:10853", State: collect.Away, Error: "connection refused"},
		{URL: "http://asked-soon:10853", State: collect.Waiting}, // nothing is known of it yet
	}
	h := start(t, func(c *Config) { c.Targets = func() []collect.Status { return targets } })
	for i := range int64(10) {
		h.three(h.last - 60*i)
	}
	minute := func(host string, ago int64, boot, seq uint64, delay int64) testfleet.Minute {
		return testfleet.Minute{Host: host, Start: h.last - 60*ago, Boot: boot, Seq: seq, Count: 1, Name: "x", Delay: delay}
	}
	h.Add(t,
		minute("late", 3, 1, 1, 2), minute("late", 2, 1, 2, 2), // it ended two minutes ago
		minute("away", 30, 1, 1, 2),
		minute("gaps", 9, 1, 1, 2), minute("gaps", 4, 1, 2, 2), minute("gaps", 0, 1, 3, 2),
		minute("restarted", 1, 1, 1, 2), minute("restarted", 0, 1, 2, 2), minute("restarted", 0, 2, 1, 2),
		minute("twice", 1, 1, 1, 2), minute("twice", 1, 2, 1, 2), minute("twice", 0, 1, 2, 2), minute("twice", 0, 2, 2, 2),
		minute("ahead", 1, 1, 1, -40), minute("ahead", 0, 1, 2, -38),
	)
	f := into[fleetAnswer](h, "/api/v1/fleet")
	if f.Policy != "default" || f.Newest != h.last || f.Now != h.now.Unix() || f.Selected != 10 || f.Count != (hostCount{Total: 10, Up: 7, Late: 1, Away: 2, Conflicts: 1}) {
		t.Errorf("fleet: %+v", f)
	}
	hosts := map[string]*hostState{}
	var names []string
	for _, s := range f.Hosts {
		hosts[s.Host] = s
		names = append(names, s.Host)
	}
	if !slices.IsSorted(names) {
		t.Errorf("hosts: %v", names)
	}
	for _, c := range []struct {
		host, state      string
		minutes, missing int
		boots            int
		conflict         bool
		clock            int64
	}{
		{"ns1", "up", 10, 0, 1, false, 7}, {"ns3", "up", 10, 0, 1, false, 0}, {"late", "late", 2, 2, 1, false, 0}, {"away", "away", 1, 30, 1, false, 0}, {"gaps", "up", 3, 7, 1, false, 0},
		{"restarted", "up", 2, 0, 2, false, 0}, {"twice", "up", 2, 0, 2, true, 0}, {"ahead", "up", 2, 0, 1, false, 42}, {"http://gone:10853", "away", 0, 0, 0, false, 0},
	} {
		s := hosts[c.host]
		if s == nil {
			t.Errorf("%s is missing", c.host)
			continue
		}
		clock := int64(0)
		if s.ClockS != nil {
			clock = *s.ClockS
		}
		if s.State != c.state || s.Minutes != c.minutes || s.MissingMinutes != c.missing || s.Boots != c.boots || s.Conflict != c.conflict || clock != c.clock {
			t.Errorf("%s: %+v, clock %d, want %+v", c.host, s, clock, c)
		}
	}
	if s := hosts["ns1"]; s.Lost != 50 || s.Newest != h.last+60 || *s.LagS != 2 || s.Agent != "pktvisord test" || s.Tags["pop"] != "ams1" || s.Tags["country"] != "nl" || s.URL != "http://ns1:10853" {
		t.Errorf("ns1: %+v", s)
	}
	if s := hosts["http://gone:10853"]; s.Error != "connection refused" || s.LagS != nil {
		t.Errorf("gone: %+v", s)
	}
	if !slices.Contains(f.Tags, tagCount{"country=nl", 2}) || len(f.Tags) != 5 {
		t.Errorf("tags: %v", f.Tags)
	}
	if f.Hub.Name != "hub1" || !f.Hub.Store.Connected || f.Hub.Ingest.Received != 12 || f.Hub.Targets["up"] != 1 || len(f.Hub.Store.Streams) == 0 {
		t.Errorf("hub: %+v", f.Hub)
	}
	for query, want := range map[string][2]int{
		"limit=2": {10, 2}, "limit=0": {10, 0}, "host=ns1&host=x": {1, 1}, "tag=pop=ams1,pop=nrt1": {2, 2}, "state=away": {2, 2}, "tag=country=nl&tag=pop=ams2": {1, 1},
	} {
		if f := into[fleetAnswer](h, "/api/v1/fleet?"+query); f.Selected != want[0] || len(f.Hosts) != want[1] || f.Count.Total != 10 {
			t.Errorf("%s: %d of %d hosts, want %v", query, len(f.Hosts), f.Selected, want)
		}
	}
}

// values returns the values of a line, with -1 for null.
func values(l api.Line) (out []float64) {
	for _, v := range l.Values {
		if v == nil {
			out = append(out, -1)
		} else {
			out = append(out, *v)
		}
	}
	return out
}

// TestSeries: the values of each step are those of its minutes.
func TestSeries(t *testing.T) {
	h := start(t, nil)
	first := rollup.Hour1.Of(h.last) - 3600
	for i := range int64(12) {
		if i != 4 {
			h.three(first + 60*i)
		}
	}
	h.RollUp(t)
	at := fmt.Sprintf("&from=%d&to=%d", first, first+600)
	s := into[api.Series](h, "/api/v1/series?metric=dns.wire_packets.total&metric=packets.rates.pps_total&metric=packets.cardinality.src_ips_in&metric=packets.size&step=60"+at)
	if s.From != first || s.To != first+600 || s.StepS != 60 || s.MissingMinutes != 1 || len(s.Series) != 1+5+1+6 {
		t.Fatalf("%+v", s)
	}
	for i, want := range map[int][]float64{0: {123, 123, 123, 123, -1, 123, 123, 123, 123, 123}, 5: {123, 123, 123, 123, -1, 123, 123, 123, 123, 123}, 6: {2, 2, 2, 2, -1, 2, 2, 2, 2, 2}} {
		if got := values(s.Series[i]); !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", s.Series[i], got, want)
		}
	}
	if l := s.Series[5]; l.Metric != "packets.rates.pps_total" || l.Stat != "max" || l.Unit != "packets/s" || l.Kind != "rate" {
		t.Errorf("%+v", l)
	}
	five := into[api.Series](h, "/api/v1/series?metric=dns.wire_packets.total&step=5m"+at)
	if got := values(five.Series[0]); !slices.Equal(got, []float64{492, 615}) {
		t.Errorf("steps of five minutes: %v", got)
	}
	by := into[api.Series](h, "/api/v1/series?metric=dns.wire_packets.total&by=pop&step=5m"+at)
	if len(by.Series) != 3 || by.Groups.Count != 3 || by.Groups.Shown != 3 || by.Series[0].Group != "pop=ams1" || !slices.Equal(values(by.Series[0]), []float64{400, 500}) || by.MissingMinutes != 1 {
		t.Errorf("by pop: %+v", by)
	}
	host := into[api.Series](h, "/api/v1/series?metric=dns.wire_packets.total&tag=pop=ams1,pop=nrt1&step=10m"+fmt.Sprintf("&from=%d&to=%d", first, first+600))
	if got := values(host.Series[0]); !slices.Equal(got, []float64{927}) {
		t.Errorf("of two: %v", got)
	}
	day := into[api.Series](h, "/api/v1/series?metric=dns.wire_packets.total&from=-24h")
	if day.StepS != 300 || len(day.Series[0].Values) > 301 {
		t.Errorf("a day has steps of %d s, %d of them", day.StepS, len(day.Series[0].Values))
	}
}

// TestSeriesOfManyGroups: the greatest groups are shown one by one, and the others as their sum.
func TestSeriesOfManyGroups(t *testing.T) {
	h := start(t, nil)
	var list []testfleet.Minute
	rest := 0.0
	for i := range 25 {
		n := uint64(1000 - (i*7%25)*10)
		list = append(list, testfleet.Minute{Host: fmt.Sprint("h", i), Tags: metric.Tags(fmt.Sprintf("pop=p%02d", i)), Start: h.last, Boot: 1, Seq: 1, Count: n, Name: "x"})
	}
	h.Add(t, list...)
	slices.SortFunc(list, func(a, b testfleet.Minute) int { return int(b.Count) - int(a.Count) })
	for _, m := range list[20:] {
		rest += float64(m.Count)
	}
	s := into[api.Series](h, fmt.Sprintf("/api/v1/series?metric=dns.wire_packets.total&by=pop&from=%d&step=1m", h.last))
	if len(s.Series) != 21 || s.Groups.Count != 25 || s.Groups.Shown != 20 {
		t.Fatalf("%d series of %+v", len(s.Series), s.Groups)
	}
	for i, l := range s.Series {
		group, want := "other", rest
		if i < 20 {
			group, want = string(list[i].Tags), float64(list[i].Count)
		}
		if l.Group != group || len(l.Values) != 1 || *l.Values[0] != want {
			t.Errorf("series %d: %s %v, want %s %v", i, l.Group, values(l), group, want)
		}
	}
}

// TestByHost: each host is a group, with or without a selection by tag or by name. The parts of a row add up to the row.
func TestByHost(t *testing.T) {
	h := start(t, nil)
	for i := range int64(3) {
		h.three(h.last - 60*i)
	}
	for _, m := range h.Minutes {
		if err := h.store.PutRaw(t.Context(), m.Snapshot, ""); err != nil {
			t.Fatal(err)
		}
	}
	at := fmt.Sprintf("&from=%d&to=%d&step=60", h.last-120, h.last+60)
	for selection, want := range map[string]map[string]float64{
		"":                    {"host=ns1": 100, "host=ns2": 20, "host=ns3": 3},
		"&tag=pop=ams1":       {"host=ns1": 100},
		"&host=ns3&host=ns2":  {"host=ns2": 20, "host=ns3": 3},
		"&host=ns1&host=none": {"host=none": 0, "host=ns1": 100},
	} {
		s := into[api.Series](h, "/api/v1/series?metric=dns.wire_packets.total&by=host"+selection+at)
		got := map[string]float64{}
		for _, l := range s.Series {
			got[l.Group] = 0
			for _, v := range l.Values {
				if v != nil {
					got[l.Group] += *v / 3
				}
			}
		}
		if !maps.Equal(got, want) || s.Groups.Count != len(want) || s.Groups.Shown != len(want) {
			t.Errorf("%s: %v of %+v, want %v", selection, got, s.Groups, want)
		}
	}
	for by, want := range map[string][]string{
		"host": {"host=ns1 100 of 100", "host=ns2 0 of 20", "host=ns3 3 of 3"}, "country": {"country=jp 3 of 3", "country=nl 100 of 120"},
	} {
		row := into[api.History](h, "/api/v1/history?table=dns.top_qname2&name=a.example&by="+by+at)
		if len(row.Rows) != 1 || len(row.Rows[0].Lower) != 3 || *row.Rows[0].Lower[0] != 103 || row.Groups.Count != len(want) {
			t.Errorf("the whole by %s: %+v", by, row)
		}
		var got []string
		for _, p := range row.Parts {
			got = append(got, fmt.Sprintf("%s %g of %g", p.Group, *p.Rows[0].Lower[2], *p.Total[2]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %s: %q, want %q", by, got, want)
		}
	}
}

// TestChanges: what differs most comes first, and what is the same does not come at all.
func TestChanges(t *testing.T) {
	h := start(t, nil)
	for i := range int64(10) {
		count := uint64(60)
		if i < 5 {
			count = 240 // the newer ones
		}
		h.Add(t,
			testfleet.Minute{Host: "ns1", Tags: "pop=ams1", Start: h.last - 60*i, Boot: 1, Seq: uint64(i), Count: count, Name: "flood.example"},
			testfleet.Minute{Host: "ns2", Tags: "pop=fra1", Start: h.last - 60*i, Boot: 1, Seq: uint64(i), Count: 60, Name: "same.example"},
		)
	}
	find := func(a api.Changes, metric, name string) *api.Change {
		for i := range a.Changes {
			if c := &a.Changes[i]; c.Metric == metric && c.Name == name {
				return c
			}
		}
		return nil
	}
	a := into[api.Changes](h, fmt.Sprintf("/api/v1/changes?from=%d&rows=1000", h.last-240))
	if a.Measure != "per_second" || a.Now.Minutes != 5 || a.Base.From != h.last-540 || a.Base.To != h.last-240 {
		t.Errorf("%+v", a)
	}
	c := find(a, "dns.top_qname2", "flood.example")
	if c == nil || c.Now != (api.Bounds{Lower: 4, Upper: 4}) || c.Base != (api.Bounds{Lower: 1, Upper: 1}) || c.Change != 3 || math.Abs(c.Score-0.6) > 1e-9 {
		t.Errorf("the flood: %+v", c)
	}
	if c := find(a, "dns.wire_packets.total", ""); c == nil || c.Change != 3 || c.Now.Lower != 5 || c.Base.Lower != 2 || c.Kind != "counter" {
		t.Errorf("the counter: %+v", c)
	}
	if c := find(a, "dns.top_qname2", "same.example"); c != nil {
		t.Errorf("a name that has not changed: %+v", c)
	}
	if !slices.IsSortedFunc(a.Changes, func(a, b api.Change) int {
		switch {
		case a.Score > b.Score:
			return -1
		case a.Score < b.Score:
			return 1
		}
		return 0
	}) {
		t.Error("the changes are not in order")
	}
	back := into[api.Changes](h, fmt.Sprintf("/api/v1/changes?from=%d&to=%d&base_from=%d&rows=1", h.last-540, h.last-240, h.last-240))
	if len(back.Changes) != 1 || back.Changes[0].Change != -3 || back.Base.To != h.last+60 {
		t.Errorf("the other way round: %+v", back)
	}
	parts := into[api.Changes](h, fmt.Sprintf("/api/v1/changes?from=%d&tag=pop=ams1&base_tag=pop=fra1", h.last-240))
	if c := find(parts, "dns.top_qname2", "flood.example"); parts.Measure != "share" || c == nil || c.Now != (api.Bounds{Lower: 1, Upper: 1}) || c.Base != (api.Bounds{Lower: 0, Upper: 0}) || c.Score != 1 {
		t.Errorf("parts of the fleet: %+v", parts)
	}
	if c := find(parts, "dns.wire_packets.total", ""); c != nil {
		t.Errorf("all of both is the same share: %+v", c)
	}
}

// TestOverlap: the overlap of the names of hosts is exact.
func TestOverlap(t *testing.T) {
	h := start(t, nil)
	h.three(h.last)
	o := into[api.Overlap](h, "/api/v1/overlap?metric=packets.cardinality.src_ips_in&by=pop")
	if len(o.Sets) != 3 || len(o.Pairs) != 3 || o.Union.Estimate != 2 || o.Pairs[0] != (api.OverlapPair{A: "pop=ams1", B: "pop=nrt1", Overlap: 1, Lower: 1, Upper: 1, Jaccard: 1}) || o.Pairs[1].Overlap != 0 {
		t.Errorf("%+v", o)
	}
}

// fakeStore is a store whose changes the test makes.
type fakeStore struct {
	Store
	changes chan store.Key
}

func (f *fakeStore) Changes(context.Context) <-chan store.Key { return f.changes }

// TestEvents: a client gets the minutes of its group. One that does not read loses its stream, and all end with the hub.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{changes: make(chan store.Key)}
		h := New(Config{Store: f, Tables: agent.Tables})
		var wg sync.WaitGroup
		wg.Go(func() { h.Run(t.Context()) })
		open := func(query string) *recorder {
			w := &recorder{header: http.Header{}}
			wg.Go(func() {
				h.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/events"+query, nil))
				w.mu.Lock()
				w.done = true
				w.mu.Unlock()
			})
			synctest.Wait()
			return w
		}
		all, ams := open(""), open("?tag=pop=ams1,pop=x&policy=default")
		slow := open("?tag=pop=slow")
		stuck := make(chan struct{})
		slow.stick(stuck)
		for _, k := range []store.Key{
			{Level: rollup.Minute1, Policy: "default", Group: "all", Start: 60}, {Level: rollup.Minute5, Policy: "default", Group: "all", Start: 0},
			{Level: rollup.Minute1, Policy: "default", Group: "pop=ams1", Start: 120}, {Level: rollup.Minute1, Policy: "other", Group: "pop=ams1", Start: 180},
		} {
			f.changes <- k
			synctest.Wait()
		}
		time.Sleep(server.Heartbeat + time.Second)
		synctest.Wait()
		if got := events1(all.text()); !slices.Equal(got, []server.MinuteEvent{{Start: 60, Policy: "default", Group: "all"}}) {
			t.Errorf("all: %v", got)
		}
		if got := events1(ams.text()); !slices.Equal(got, []server.MinuteEvent{{Start: 120, Policy: "default", Group: "pop=ams1"}}) {
			t.Errorf("a tag: %v", got)
		}
		if !strings.Contains(all.text(), "\n: still here\n") || all.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%v %q", all.header, all.text())
		}
		for i := range server.MaxWaiting + 2 {
			f.changes <- store.Key{Level: rollup.Minute1, Group: "pop=slow", Start: int64(i)}
		}
		synctest.Wait()
		if n, ended := h.events.Count(); n != 2 || ended != 1 {
			t.Errorf("%d streams, %d were slow", n, ended)
		}
		close(stuck)
		synctest.Wait()
		var more []*recorder
		for range server.MaxStreams {
			more = append(more, open(""))
		}
		if n, _ := h.events.Count(); n != server.MaxStreams || more[server.MaxStreams-1].status != http.StatusServiceUnavailable || more[0].status != 0 {
			t.Errorf("%d streams, the last one has status %d", n, more[server.MaxStreams-1].status)
		}
		close(f.changes)
		wg.Wait()
		if !all.done || open("").status != http.StatusServiceUnavailable {
			t.Error("a stream outlives the hub")
		}
	})
}

// stick lets later writes wait for the end of a channel.
func (r *recorder) stick(until chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stuck = until
}

// events1 returns the events in a stream.
func events1(text string) (list []server.MinuteEvent) {
	for line := range strings.SplitSeq(text, "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			var e server.MinuteEvent
			if err := json.Unmarshal([]byte(data), &e); err == nil {
				list = append(list, e)
			}
		}
	}
	return list
}

// recorder is a client that reads at once, unless it is stuck.
type recorder struct {
	header http.Header
	status int

	mu    sync.Mutex
	body  strings.Builder
	stuck chan struct{}
	done  bool
}

func (r *recorder) Header() http.Header    { return r.header }
func (r *recorder) WriteHeader(status int) { r.status = status }
func (r *recorder) Flush()                 {}

func (r *recorder) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stuck != nil {
		<-r.stuck
	}
	return r.body.Write(b)
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body.String()
}

// TestEventsOfARealServer: the server's time limits for requests do not end a stream.
func TestEventsOfARealServer(t *testing.T) {
	f := &fakeStore{changes: make(chan store.Key)}
	h := New(Config{Store: f, Tables: agent.Tables})
	go h.Run(t.Context())
	s := httptest.NewUnstartedServer(h.Handler())
	s.Config.ReadTimeout, s.Config.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	s.Start()
	defer s.Close()
	got, err := http.Get(s.URL + "/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	lines := bufio.NewScanner(got.Body)
	lines.Scan()
	<-time.After(150 * time.Millisecond) // longer than both
	f.changes <- store.Key{Level: rollup.Minute1, Policy: "p", Group: "all", Start: 60}
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "data:") {
	}
	if lines.Text() != `data: {"start_ts":60,"policy":"p","group":"all"}` {
		t.Errorf("%q: %v", lines.Text(), lines.Err())
	}
	close(f.changes)
}
