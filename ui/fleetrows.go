package ui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// fleetRow is a line of the fleet view: a group of hosts, or a host.
type fleetRow struct {
	key   string    // the tag or the name of the host, as the hub sent it; empty for the hosts without the tag
	label string    // cleaned
	host  *api.Host // nil for a group

	hosts, late, away int  // of a group
	part              bool // not all hosts of the group are known: losses and lag are those of some
	lost, lag         api.Number
	problems          string // cleaned
	rates             hostRates
}

// fleetSort is an order of the fleet view.
type fleetSort uint8

const (
	byMissing fleetSort = iota // hosts that are missing first
	byHost
	byRate
	byErrors
	byDrops
	byLag
	byHostChange
	fleetSorts
)

func (k fleetSort) String() string {
	return [...]string{"missing", "name", "rate", "errors", "drops", "lag", "change"}[k]
}

// lists reports whether the fleet view lists hosts, not groups.
func (m *Model) lists() bool {
	return m.hosts.flat || m.hosts.by == "" || m.place.group != "" || len(m.root.Tags) > 0 || m.root.Host != ""
}

// fleetRows returns the rows of the fleet view, filtered and sorted.
func (m *Model) fleetRows() []fleetRow {
	var rows []fleetRow
	if m.lists() {
		rows = m.hostRows()
	} else {
		rows = m.groupRows()
	}
	filter := strings.ToLower(m.filter)
	out := rows[:0]
	for _, r := range rows {
		if filter != "" && !strings.Contains(strings.ToLower(r.label+" "+m.tagsText(&r)), filter) {
			continue
		}
		r.rates = m.hosts.rates[r.key]
		if r.rates.to == 0 || r.host != nil && r.host.State == api.HostAway {
			r.rates = hostRates{packets: -1, dns: -1, before: -1}
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, m.hosts.sort.compare)
	return out
}

func (m *Model) hostRows() []fleetRow {
	list := m.hosts.state.Hosts
	rows := make([]fleetRow, 0, len(list))
	for i := range list {
		h := &list[i]
		if key, value, ok := strings.Cut(m.place.group, "="); ok && h.Tags[key] != value {
			continue // the hub has not answered about this group yet
		}
		rows = append(rows, fleetRow{key: h.Name, label: clean(h.Name, m.unicode), host: h, lost: h.Lost, lag: h.Lag, problems: m.problemsOf(h)})
	}
	return rows
}

// problemsOf says in words what is wrong with a host.
func (m *Model) problemsOf(h *api.Host) string {
	var out []string
	if h.State != api.HostUp {
		if at, ok := moment(h.Newest); ok {
			out = append(out, "last minute ended "+span(seconds(api.N(m.hosts.state.Now.Value-float64(at.Unix()))))+" ago")
		} else {
			out = append(out, "no minute yet")
		}
	}
	if h.Error != "" {
		out = append(out, clean(h.Error, m.unicode))
	}
	if h.Conflict {
		out = append(out, "two agents have this name")
	}
	if n := h.MissingMinutes; n.Value > 0 {
		out = append(out, count(n, 7)+" min of the last hour missing")
	}
	if n := h.ClockOffset; n.Value != 0 {
		out = append(out, fmt.Sprintf("clock %+.0f s", max(min(n.Value, 1e9), -1e9)))
	}
	return strings.Join(out, ", ")
}

// groupRows returns a row for each value of the key, and one for the hosts without it.
func (m *Model) groupRows() []fleetRow {
	f := &m.hosts.state
	prefix := m.hosts.by + "="
	at := map[string]int{}
	var rows []fleetRow
	tagged := 0
	for _, t := range f.Tags {
		if strings.HasPrefix(t.Tag, prefix) {
			at[t.Tag] = len(rows)
			n := int(max(min(t.Hosts.Value, 1e6), 0))
			rows = append(rows, fleetRow{key: t.Tag, label: clean(t.Tag, m.unicode), hosts: n})
			tagged += n
		}
	}
	if n := int(min(f.Count.Total.Value, 1e6)) - tagged; n > 0 {
		at[""] = len(rows)
		rows = append(rows, fleetRow{label: "without " + clean(m.hosts.by, m.unicode), hosts: n})
	}
	partial := f.Selected.Value > float64(len(f.Hosts))
	for i := range f.Hosts {
		h := &f.Hosts[i]
		key := ""
		if v, ok := h.Tags[m.hosts.by]; ok {
			key = prefix + v
		}
		k, ok := at[key]
		if !ok {
			continue
		}
		r := &rows[k]
		switch h.State {
		case api.HostUp:
			r.lag = api.N(max(r.lag.Value, h.Lag.Value))
		case api.HostLate:
			r.late++
		default:
			r.away++
		}
		if h.Lost.Known {
			r.lost = api.N(r.lost.Value + h.Lost.Value)
		}
		r.part = partial
	}
	for i := range rows {
		rows[i].problems = missingText(&rows[i])
	}
	return rows
}

// missingText says how many hosts of a group are missing.
func missingText(r *fleetRow) string {
	var out []string
	if r.away > 0 {
		out = append(out, fmt.Sprintf("%d away", r.away))
	}
	if r.late > 0 {
		out = append(out, fmt.Sprintf("%d late", r.late))
	}
	return strings.Join(out, ", ")
}

// tagsText returns the tags of a host.
func (m *Model) tagsText(r *fleetRow) string {
	if r.host == nil {
		return ""
	}
	var out []string
	for k, v := range r.host.Tags {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return clean(strings.Join(out[:min(len(out), 64)], " "), m.unicode)
}

// rank orders rows by how much is missing: hosts that are away, late, or have another problem.
func (r *fleetRow) rank() int {
	switch {
	case r.away > 0 || r.host != nil && r.host.State == api.HostAway:
		return 0
	case r.late > 0 || r.host != nil && r.host.State != api.HostUp:
		return 1
	case r.problems != "":
		return 2
	}
	return 3
}

// errors returns the share of DNS messages that got SERVFAIL or no response.
func (r *fleetRow) errors() api.Number {
	x := &r.rates
	base := x.replies.Value + x.timeout.Value
	if !x.replies.Known || base <= 0 {
		return api.Number{}
	}
	return api.N((x.srv.Value + x.timeout.Value) / base)
}

// change returns the rate divided by that of the minute before, or an unknown number.
func (r *fleetRow) change() api.Number {
	now := r.rates.dns
	if now <= 0 {
		now = r.rates.packets
	}
	if now < 0 || r.rates.before <= 0 {
		return api.Number{}
	}
	return api.N(now / r.rates.before)
}

// changed returns how far the rate is from that of the minute before, in either direction.
func (r *fleetRow) changed() float64 {
	c := r.change()
	if !c.Known {
		return 0
	}
	return max(c.Value, 1/max(c.Value, 1e-9))
}

func (k fleetSort) compare(a, b fleetRow) int {
	order := 0
	switch k {
	case byMissing:
		order = cmp.Compare(a.rank(), b.rank())
	case byRate:
		order = cmp.Compare(max(b.rates.dns, b.rates.packets), max(a.rates.dns, a.rates.packets))
	case byErrors:
		order = cmp.Compare(b.errors().Value, a.errors().Value)
	case byDrops:
		order = cmp.Compare(b.lost.Value, a.lost.Value)
	case byLag:
		order = cmp.Compare(b.lag.Value, a.lag.Value)
	case byHostChange:
		order = cmp.Compare(b.changed(), a.changed())
	}
	return cmp.Or(order, strings.Compare(a.label, b.label), strings.Compare(a.key, b.key))
}

// into goes into the chosen row: from a group to its hosts, and from a host to its tables.
func (m Model) into() (Model, tea.Cmd) {
	rows := m.fleetRows()
	if m.row >= len(rows) {
		return m, nil
	}
	r, p := rows[m.row], m.place
	switch {
	case r.key == "":
		return m.say("hosts without this tag cannot be selected: press t for every host"), nil
	case m.of == nil:
		return m, nil
	case r.host == nil:
		p.group = r.key
		return m.moveTo(p)
	}
	p.host = r.key
	return m.goTo(overview).moveTo(p)
}

// openKeys opens the menu of the keys that can make groups.
func (m Model) openKeys() Model {
	items := []item{{label: "every host in one list", note: "without groups"}}
	for _, k := range tagKeys(&m.hosts.state) {
		k.label = clean(k.value, m.unicode)
		items = append(items, k)
	}
	value := m.hosts.by
	if m.hosts.flat {
		value = ""
	}
	return m.choose(keyMenu, "Group hosts by", items, value)
}

// choseKey groups the hosts by another key. The group that was chosen is left.
func (m Model) choseKey(key string) (Model, tea.Cmd) {
	m.hosts.flat = key == ""
	if key != "" {
		m.hosts.by = key
	}
	m.row = 0
	m.hosts.rating = extra{}
	if m.place.group == "" && m.place.host == "" {
		return m, nil
	}
	return m.moveTo(place{policy: m.place.policy, tap: m.place.tap})
}

// plural returns a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
