package hub

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"pktvisor/api"
	"pktvisor/hub/query"
	"pktvisor/hub/rollup"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/timeline"
)

// source is the hub as a source of minutes.
type source struct{ h *Hub }

var _ timeline.Source = source{}

// End implements [timeline.Source]. A minute is stored after its end.
func (s source) End() int64 { return minute.Of(s.h.cfg.Now().Unix()) }

// Length implements [timeline.Source].
func (s source) Length() int64 { return 3600 }

// Select implements [timeline.Source].
func (s source) Select(ctx context.Context, q url.Values) (timeline.Selection, error) {
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	return s.of(ctx, sel)
}

// Base implements [timeline.Source].
func (s source) Base(ctx context.Context, q url.Values) (timeline.Selection, error) {
	if !q.Has("base_host") && !q.Has("base_tag") {
		return nil, nil
	}
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	if q.Has("base_host") {
		sel.Hosts = q["base_host"]
	}
	if q.Has("base_tag") {
		if sel.Tags, err = timeline.Tags(q, "base_tag"); err != nil {
			return nil, err
		}
	}
	return s.of(ctx, sel)
}

func (s source) of(ctx context.Context, sel query.Selection) (timeline.Selection, error) {
	policy, err := s.h.reader.Policy(ctx, sel.Policy)
	if err != nil {
		return nil, failure(err)
	}
	sel.Policy = policy
	return &part{h: s.h, sel: sel}, nil
}

// part is a selection of hosts.
type part struct {
	h     *Hub
	sel   query.Selection
	group bool // it is one of the groups of a selection
}

// Policy implements [timeline.Selection].
func (p *part) Policy() string { return p.sel.Policy }

// Steps implements [timeline.Selection].
func (p *part) Steps(ctx context.Context, tables []*metric.Table, from, to, step int64, rates bool) ([]*metric.Bucket, timeline.Extent, error) {
	buckets, info, err := p.h.reader.Steps(ctx, p.sel, tables, from, to, step, rates)
	return buckets, p.extent(info), p.failure(ctx, info, err)
}

// Merge implements [timeline.Selection].
func (p *part) Merge(ctx context.Context, tables []*metric.Table, from, to int64) (*metric.Bucket, timeline.Extent, error) {
	if tables == nil {
		b, info, err := p.h.reader.Range(ctx, p.sel, from, to)
		return b, p.extent(info), p.failure(ctx, info, err)
	}
	b, info, err := p.h.reader.RangeOf(ctx, p.sel, tables, from, to, rollup.Day1)
	return b, p.extent(info), p.failure(ctx, info, err)
}

// failure returns the error for clients: that of the reader, or that the only hosts which were asked for do not exist.
func (p *part) failure(ctx context.Context, info query.Info, err error) error {
	if err != nil || p.group || info.HostMinutes > 0 {
		return failure(err)
	}
	return p.h.checkHosts(ctx, p.sel.Policy, p.sel.Hosts)
}

func (p *part) extent(info query.Info) timeline.Extent {
	return timeline.Extent{Minutes: info.Minutes, Missing: info.Missing, Seconds: float64(info.Minutes * minute.Seconds), About: p.h.describe(p.sel.Policy, p.sel, info)}
}

// Groups implements [timeline.Selection].
func (p *part) Groups(ctx context.Context, key string) ([]string, error) {
	if key == timeline.ByHost {
		return p.hostGroups(ctx)
	}
	if len(p.sel.Hosts) > 0 {
		return nil, timeline.Bad("host and by=%.50s: give one of them, or by=host", key)
	}
	for _, t := range p.sel.Tags {
		if k, _, _ := strings.Cut(t, "="); k != key {
			return nil, timeline.Bad("tag %.100q and by=%.50s: give tags of the key that by names, or none", t, key)
		}
	}
	groups, err := p.h.reader.TagGroups(ctx, p.sel.Policy, key)
	if err != nil {
		return nil, failure(err)
	}
	if len(p.sel.Tags) > 0 {
		groups = slices.DeleteFunc(groups, func(g string) bool { return !slices.Contains(p.sel.Tags, g) })
	}
	return groups, nil
}

// hostGroups returns the hosts of the selection: those that it names, or those with minutes in the last day that have its tags.
func (p *part) hostGroups(ctx context.Context) (groups []string, err error) {
	if err := p.h.checkHosts(ctx, p.sel.Policy, p.sel.Hosts); err != nil {
		return nil, err
	}
	for _, name := range p.sel.Hosts {
		groups = append(groups, timeline.ByHost+"="+name)
	}
	if len(groups) == 0 {
		all, err := p.h.roster(ctx, p.sel.Policy)
		if err != nil {
			return nil, err
		}
		for _, s := range all.list() {
			if s.Newest > 0 && p.sel.Has(s.tags) {
				groups = append(groups, timeline.ByHost+"="+s.Host)
			}
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// Part implements [timeline.Selection].
func (p *part) Part(groups []string) timeline.Selection {
	var hosts []string
	for _, g := range groups {
		if name, ok := strings.CutPrefix(g, timeline.ByHost+"="); ok {
			hosts = append(hosts, name)
		}
	}
	if len(hosts) > 0 {
		return &part{p.h, query.Selection{Policy: p.sel.Policy, Hosts: hosts, Tags: p.sel.Tags}, true}
	}
	return &part{p.h, query.Selection{Policy: p.sel.Policy, Tags: groups}, true}
}

// selectionOf returns the selection that the parameters policy, host and tag make. Host and tag may be given several times,
// and a tag may be a list with commas.
func selectionOf(q url.Values) (s query.Selection, err error) {
	if s.Policy, err = timeline.One(q, "policy"); err != nil {
		return s, err
	}
	s.Hosts = q["host"]
	s.Tags, err = timeline.Tags(q, "tag")
	return s, err
}

// describe returns what a summary of a selection is about.
func (h *Hub) describe(policy string, sel query.Selection, info query.Info) *api.Selected {
	s := &api.Selected{
		Policy: policy, Tags: sel.Tags, Hosts: sel.Hosts, From: info.From, To: info.To, Count: info.Hosts, HostMinutes: info.HostMinutes,
		Minutes: info.Minutes, MissingMinutes: info.Missing, CoveredS: info.Covered, Rates: info.Rates, Damaged: info.Damaged, Rollups: map[string]int{},
	}
	for l := rollup.Minute1; l <= rollup.Day1; l++ {
		if n := info.Levels[l]; n > 0 {
			s.Rollups[l.String()] = n
		}
	}
	return s
}
