package api

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
)

// FleetState is the answer of /api/v1/fleet of a hub.
type FleetState struct {
	Now      Number   `json:"now_ts"` // Unix seconds, by the hub's clock
	Policy   string   `json:"policy"`
	Policies []string `json:"policies"`
	Newest   Number   `json:"newest_start_ts"` // the start of the newest minute of any host
	Count    struct {
		Total     Number `json:"total"`
		Up        Number `json:"up"`
		Late      Number `json:"late"`
		Away      Number `json:"away"`
		Conflicts Number `json:"conflicts"`
	} `json:"count"`
	// Selected is how many hosts were asked for. Hosts are some of them, by name.
	Selected Number    `json:"selected"`
	Hosts    []Host    `json:"hosts"`
	Tags     []TagSize `json:"tags"`
}

// TagSize is a tag, key=value, and how many hosts have it.
type TagSize struct {
	Tag   string `json:"tag"`
	Hosts Number `json:"hosts"`
}

// Host is a host of a fleet. Counts are those of the last hour.
type Host struct {
	Name           string            `json:"host"`
	State          HostState         `json:"state"`
	Tags           map[string]string `json:"tags"`
	Agent          string            `json:"agent"` // its version
	URL            string            `json:"url"`   // where the hub fetches it; empty if it pushes
	Newest         Number            `json:"newest_end_ts"`
	Lag            Number            `json:"lag_s"` // seconds from the end of its newest minute to its arrival
	Minutes        Number            `json:"minutes"`
	MissingMinutes Number            `json:"missing_minutes"`
	Lost           Number            `json:"lost"` // packets
	Conflict       bool              `json:"conflict"`
	ClockOffset    Number            `json:"clock_offset_s"`
	Error          string            `json:"error"`
}

// HostState is how new the newest minute of a host is.
type HostState string

// The states of a host: its newest minute ended at most 90 seconds ago, at most five minutes ago, or earlier.
const (
	HostUp   HostState = "up"
	HostLate HostState = "late"
	HostAway HostState = "away"
)

// The bounds of the lists in the answers about a fleet, whatever a hub sends.
const (
	maxHosts     = 10_000
	maxTagSizes  = 1000
	maxPolicies  = 1000
	maxWindows   = 100 // of a policy
	maxChanges   = 1000
	maxSeries    = 1000
	maxSentences = 50
)

// FleetQuery restricts the hosts in a FleetState. The zero value asks for 1000 hosts of any state.
type FleetQuery struct {
	State HostState
	Limit int
}

// Fleet returns the hosts of a hub. An agent answers 404: see [Error.NotThere].
func (c *Client) Fleet(ctx context.Context, q FleetQuery) (FleetState, error) {
	query := url.Values{}
	if q.State != "" {
		query.Set("state", string(q.State))
	}
	if q.Limit > 0 {
		query.Set("limit", strconv.Itoa(q.Limit))
	}
	return ask(ctx, c, "fleet", query, ParseFleet)
}

// ParseFleet reads the answer of /api/v1/fleet.
func ParseFleet(b []byte) (FleetState, error) {
	var f FleetState
	if _, err := unmarshal(b, &f); err != nil {
		return FleetState{}, fmt.Errorf("not a fleet: %w", err)
	}
	f.Hosts, f.Tags, f.Policies = atMost(f.Hosts, maxHosts), atMost(f.Tags, maxTagSizes), atMost(f.Policies, maxPolicies)
	return f, nil
}

// Range returns the merge of the minutes from one Unix time to another, with up to rows rows of each table. Earlier agents
// answer 404: see [Error.NotThere].
func (c *Client) Range(ctx context.Context, from, to int64, rows int) (Summary, error) {
	query := span(from, to)
	if rows > DefaultRows {
		query.Set("rows", strconv.Itoa(rows))
	}
	return ask(ctx, c, "metrics/range", query, ParseSummary)
}

func span(from, to int64) url.Values {
	return url.Values{"from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)}}
}

// SeriesQuery asks for metrics over time.
type SeriesQuery struct {
	Metrics  []string // section.path
	From, To int64    // Unix seconds
	Step     int64    // seconds, a multiple of a minute; 0 leaves it to the hub
	By       string   // the key of a tag, or host: each value is a group
	Hosts    []string // if there are any, only these
}

// Series returns metrics over time.
func (c *Client) Series(ctx context.Context, q SeriesQuery) (Series, error) {
	query := span(q.From, q.To)
	query["metric"] = q.Metrics
	if len(q.Hosts) > 0 {
		query["host"] = q.Hosts
	}
	if q.Step > 0 {
		query.Set("step", strconv.FormatInt(q.Step, 10))
	}
	if q.By != "" {
		query.Set("by", q.By)
	}
	return ask(ctx, c, "series", query, ParseSeries)
}

// ParseSeries reads the answer of /api/v1/series.
func ParseSeries(b []byte) (Series, error) {
	var s Series
	if _, err := unmarshal(b, &s); err != nil {
		return Series{}, fmt.Errorf("not a series: %w", err)
	}
	s.Series = atMost(s.Series, maxSeries)
	return s, nil
}

// Find returns the values of a metric of a group, one for each step.
func (s *Series) Find(metric, stat, group string) []Number {
	for i := range s.Series {
		if l := &s.Series[i]; l.Metric == metric && l.Stat == stat && l.Group == group {
			out := make([]Number, len(l.Values))
			for i, v := range l.Values {
				if v != nil {
					out[i] = N(*v)
				}
			}
			return out
		}
	}
	return nil
}

// ChangesQuery asks what differs between two times, or between two parts of a fleet.
type ChangesQuery struct {
	From, To         int64 // Unix seconds
	BaseFrom, BaseTo int64 // 0 for the time just before, or for the same time if parts are compared
	BaseTag          string
	BaseHost         string
	Rows             int
}

// ByShare is the measure of changes that are shares of a whole. The other one is per second.
const ByShare = "share"

// Changes returns what is different. Earlier agents answer 404: see [Error.NotThere].
func (c *Client) Changes(ctx context.Context, q ChangesQuery) (Changes, error) {
	query := span(q.From, q.To)
	if q.BaseTo > 0 {
		query.Set("base_from", strconv.FormatInt(q.BaseFrom, 10))
		query.Set("base_to", strconv.FormatInt(q.BaseTo, 10))
	}
	if q.BaseTag != "" {
		query.Set("base_tag", q.BaseTag)
	}
	if q.BaseHost != "" {
		query.Set("base_host", q.BaseHost)
	}
	if q.Rows > 0 {
		query.Set("rows", strconv.Itoa(q.Rows))
	}
	return ask(ctx, c, "changes", query, ParseChanges)
}

// ParseChanges reads the answer of /api/v1/changes.
func ParseChanges(b []byte) (Changes, error) {
	var a Changes
	if _, err := unmarshal(b, &a); err != nil {
		return Changes{}, fmt.Errorf("not changes: %w", err)
	}
	a.Changes = atMost(a.Changes, maxChanges)
	return a, nil
}

// AttackQuery asks about attacks from one Unix time to another, or in the newest seconds by the clock of the agent or hub.
type AttackQuery struct{ From, To, Last int64 }

// Attack returns what the numbers of DNS traffic mean. Earlier agents answer 404: see [Error.NotThere].
func (c *Client) Attack(ctx context.Context, q AttackQuery) (Attack, error) {
	query := span(q.From, q.To)
	if q.Last > 0 {
		query = url.Values{"from": {"-" + strconv.FormatInt(q.Last, 10) + "s"}, "to": {"now"}}
	}
	return ask(ctx, c, "attack", query, ParseAttack)
}

// ParseAttack reads the answer of /api/v1/attack.
func ParseAttack(b []byte) (Attack, error) {
	var a Attack
	if _, err := unmarshal(b, &a); err != nil {
		return Attack{}, fmt.Errorf("not a verdict: %w", err)
	}
	a.Sentences = atMost(a.Sentences, maxSentences)
	return a, nil
}

func atMost[T any](list []T, n int) []T { return list[:min(len(list), n)] }
