package ui

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// hosts is what is known of the hosts of a hub's fleet.
type hosts struct {
	extra
	state api.FleetState
	have  bool
	by    string // the key of the tags that make the groups
	flat  bool   // no groups: all hosts in one list
	sort  fleetSort

	rating extra // of the rates
	rates  map[string]hostRates
}

// hostRates are the rates of a group or a host in its newest finished minute, and its traffic in the minute before.
type hostRates struct {
	to                        int64   // the end of the minutes that were asked for; 0 if none were
	packets, dns              float64 // per second; negative if unknown
	replies, nx, srv, timeout api.Number
	before                    float64 // DNS messages, or packets if there is no DNS; per second
	p95                       api.Number
}

// stale returns the state without what may belong to other hosts.
func (h hosts) stale() hosts {
	h.extra, h.rating = extra{}, extra{}
	return h
}

const (
	fleetEvery = 10 * time.Second
	ratesEvery = 30 * time.Second
	// fleetHosts is how many hosts are asked for. Of more, those that are late or away are asked for beside them.
	fleetHosts = 1000
	// groupsAtOnce and ratedAtOnce are how many groups and how many hosts a hub shows one by one in a series.
	groupsAtOnce, ratedAtOnce = 20, 200
	// maxRated bounds the rows whose rates are asked for.
	maxRated = fleetHosts
	// hostKey is the key by which a hub divides a selection into its hosts.
	hostKey = "host"
)

// fleetMsg is the answer about the hosts.
type fleetMsg struct {
	gen   int
	at    time.Time
	state api.FleetState
	err   error
}

// askFleet asks for the hosts of the group.
func (m Model) askFleet() tea.Cmd {
	ctx, gen, agent := m.ctx, m.gen, m.agent
	if m.place.host != "" && m.of != nil { // the host's group
		s := m.selection()
		s.Host = m.root.Host
		agent = m.of(s)
	}
	return func() tea.Msg {
		out := fleetMsg{gen: gen}
		out.state, out.err = wholeFleet(ctx, agent)
		out.at = time.Now()
		return out
	}
}

// wholeFleet returns the hosts, with all that are late or away.
func wholeFleet(ctx context.Context, agent Agent) (api.FleetState, error) {
	f, err := agent.Fleet(ctx, api.FleetQuery{Limit: fleetHosts})
	if err != nil || f.Selected.Value <= float64(len(f.Hosts)) {
		return f, err
	}
	f.Hosts = slices.DeleteFunc(f.Hosts, func(h api.Host) bool { return h.State != api.HostUp })
	for _, state := range []api.HostState{api.HostLate, api.HostAway} {
		more, err := agent.Fleet(ctx, api.FleetQuery{State: state, Limit: fleetHosts})
		if err != nil {
			return f, err
		}
		f.Hosts = append(f.Hosts, more.Hosts...)
	}
	return f, nil
}

func (m Model) onFleet(a fleetMsg) Model {
	if a.gen != m.gen {
		return m
	}
	m.wantFleet = false
	chosen := m.fleetKey()
	h := &m.hosts
	h.extra = h.done(a.at, a.err, fleetEvery)
	if a.err != nil {
		return m
	}
	h.state, h.have = a.state, true
	if keys := tagKeys(&a.state); !slices.ContainsFunc(keys, func(k item) bool { return k.value == h.by }) {
		h.by = ""
		for _, k := range keys {
			if h.by == "" || k.value == "pop" {
				h.by = k.value
			}
		}
	}
	return m.chooseKey(chosen)
}

// fleetKey returns the key of the row that is chosen in the fleet view.
func (m *Model) fleetKey() string {
	if rows := m.fleetRows(); m.view == fleetView && m.row < len(rows) {
		return rows[m.row].key
	}
	return ""
}

// chooseKey chooses the row with a key in the fleet view, wherever it is now. Without it, the place of the row stays.
func (m Model) chooseKey(key string) Model {
	if m.view != fleetView {
		return m
	}
	rows := m.fleetRows()
	at := slices.IndexFunc(rows, func(r fleetRow) bool { return r.key == key })
	if at < 0 || key == "" {
		at = m.row
	}
	m.row = max(0, min(at, len(rows)-1))
	return m
}

// tagKeys returns the keys of the tags, with how many values and hosts each has: first the key that most hosts have.
func tagKeys(f *api.FleetState) []item {
	values, count := map[string]int{}, map[string]float64{}
	for _, t := range f.Tags {
		key, _, _ := strings.Cut(t.Tag, "=")
		values[key]++
		count[key] += t.Hosts.Value
	}
	var out []item
	for _, key := range slices.Sorted(maps.Keys(values)) {
		out = append(out, item{value: key, note: plural(values[key], "value") + ", " + plural(int(min(count[key], 1e9)), "host")})
	}
	slices.SortStableFunc(out, func(a, b item) int { return cmp.Compare(count[b.value], count[a.value]) })
	return out
}

// ratedMetrics are the metrics in the fleet view. The first two are in every hub.
var ratedMetrics = []string{"packets.total", "dns.wire_packets.total", "dns.wire_packets.replies", "dns.wire_packets.nxdomain",
	"dns.wire_packets.srvfail", "dns.xact.counts.timeouts", "dns.xact.in.quantiles_us"}

// ratesMsg has rates of groups or hosts, by their keys.
type ratesMsg struct {
	gen   int
	at    time.Time
	rates map[string]hostRates
	more  bool // there are hosts left
	err   error
}

// askRates asks for the rates of rows that do not have those of the newest minute: of 20 groups or 200 hosts in one request.
func (m Model) askRates() tea.Cmd {
	ctx, gen, of, policy := m.ctx, m.gen, m.of, m.selection().Policy
	to := (m.wall() - 2*settles) / 60 * 60
	if at, ok := moment(m.hosts.state.Now); ok { // the hub's clock
		to = (at.Unix() - 2*settles) / 60 * 60
	}
	q := api.SeriesQuery{From: to - 180, To: to, Step: 60}
	for i, name := range ratedMetrics {
		if i < 2 || m.declares(name) {
			q.Metrics = append(q.Metrics, name)
		}
	}
	groups, names := m.unrated(to)
	return func() tea.Msg {
		out := ratesMsg{gen: gen, rates: map[string]hostRates{}}
		ask := func(s api.Selection, by string, keys, hosts []string) {
			if out.err != nil {
				return
			}
			q := q
			q.By, q.Hosts = by, hosts
			answer, err := of(s).Series(ctx, q)
			if out.err = err; err != nil {
				return
			}
			for _, key := range keys {
				group := key
				if by == hostKey {
					group = hostKey + "=" + key
				}
				out.rates[key] = ratesOf(&answer, group, to)
			}
		}
		for some := range slices.Chunk(groups, groupsAtOnce) {
			by, _, _ := strings.Cut(some[0], "=")
			ask(api.Selection{Tags: some, Policy: policy}, by, some, nil)
		}
		if some := names[:min(len(names), ratedAtOnce)]; len(some) > 0 {
			ask(api.Selection{Policy: policy}, hostKey, some, some)
		}
		out.more = out.err == nil && len(names) > ratedAtOnce
		out.at = time.Now()
		return out
	}
}

// unrated returns the groups and the hosts in the view whose rates are not those of the minute that ends at to.
func (m *Model) unrated(to int64) (groups, names []string) {
	for i, r := range m.fleetRows() {
		switch {
		case i >= maxRated || r.key == "" || m.hosts.rates[r.key].to == to:
		case r.host == nil:
			groups = append(groups, r.key)
		case r.host.State != api.HostAway:
			names = append(names, r.key)
		}
	}
	return groups, names
}

// ratesOf returns the rates of the newest minute that a series has for a group.
func ratesOf(s *api.Series, group string, to int64) hostRates {
	at := func(metric, stat string, back int) api.Number {
		values := s.Find(metric, stat, group)
		if i := len(values) - 1 - back; i >= 0 {
			return values[i]
		}
		return api.Number{}
	}
	newest := 0 // the last minute may not be there yet
	if !at("packets.total", "count", 0).Known {
		newest = 1
	}
	n := func(metric string) api.Number { return at(metric, "count", newest) }
	rate := func(metric string, back int) float64 { return perSecond(at(metric, "count", back), api.N(60)) }
	r := hostRates{
		to: to, packets: rate("packets.total", newest), dns: rate("dns.wire_packets.total", newest),
		replies: n("dns.wire_packets.replies"), nx: n("dns.wire_packets.nxdomain"), srv: n("dns.wire_packets.srvfail"),
		timeout: n("dns.xact.counts.timeouts"), p95: at("dns.xact.in.quantiles_us", "p95", newest),
	}
	r.before = rate("dns.wire_packets.total", newest+1)
	if r.dns <= 0 {
		r.before = rate("packets.total", newest+1)
	}
	return r
}

func (m Model) onRates(a ratesMsg) Model {
	if a.gen != m.gen {
		return m
	}
	chosen := m.fleetKey()
	h := &m.hosts
	every := ratesEvery
	if a.more {
		every = 0
	}
	h.rating = h.rating.done(a.at, a.err, every)
	h.rates = maps.Clone(h.rates)
	if h.rates == nil || len(h.rates) > 10*maxRated {
		h.rates = map[string]hostRates{}
	}
	maps.Copy(h.rates, a.rates)
	return m.chooseKey(chosen)
}

// declares reports whether the agent declares a metric.
func (m *Model) declares(path string) bool {
	_, ok := findMetric(&m.declared, path)
	return ok
}
