// Package dashboards makes the Grafana dashboards of examples/grafana. Each dashboard is a list of panels in this package:
// [Agent], [DNS], [Fleet] and [Successor]. Names, labels and descriptions of the agent's metrics come from its metric tables,
// so a panel cannot read a metric that does not exist. A panel of a metric that the tables do not have is left out.
//
// The tests of this package write the files, check them, and run every expression of every dashboard, of the rules in
// examples/prometheus and of docs/migrating.md against a real Prometheus.
package dashboards

import (
	"fmt"
	"regexp"
	"strings"

	"pktvisor/agent"
	"pktvisor/metric"
)

// The kinds of panels, as Grafana names them.
const (
	row        = "row"
	timeseries = "timeseries"
	stat       = "stat"
	table      = "table"
	heatmap    = "heatmap"
)

// Panel is a panel of a dashboard.
type Panel struct {
	Kind, Title, Description string
	// Unit is the unit of the values, as Grafana names it.
	Unit string
	// Width is in columns of 24, Height in units of 30 pixels.
	Width, Height int
	// Stack stacks the series.
	Stack   bool
	Targets []Target
}

// Target is a query of a panel. Its expression is PromQL in which {@} stands for the selection of the dashboard's
// variables, {@,…} for that with further matchers, and [@] for an interval that is long enough for a rate.
type Target struct{ Expr, Legend string }

// Dashboard is a Grafana dashboard.
type Dashboard struct {
	// File is the name of its file, without the extension. UID identifies it in Grafana: a new version replaces the old.
	File, UID, Title, Description string
	// Jobs selects the series whose jobs are offered. OneJob allows one job only, because jobs count the same packets.
	Jobs   string
	OneJob bool
	// Interval replaces [@].
	Interval string
	Panels   []Panel
}

// All returns all dashboards. migrating is the text of docs/migrating.md.
func All(migrating string) []Dashboard {
	return []Dashboard{Agent(), DNS(), Fleet(), Successor(migrating)}
}

// rateInterval is Grafana's variable for the shortest interval that always holds enough scrapes.
const rateInterval = "$__rate_interval"

// selection is what {@} stands for. The variable tag is the name of a label, and value its value.
const selection = `job=~"$job",instance=~"$instance",$tag=~"$value"`

// byPolicy matches a selection of a metric that each policy has.
var byPolicy = regexp.MustCompile(`(pktvisor_(?:dns|packets|pcap)_\w+|pktvisor_(?:lost_packets_total|periods|sealed_periods|minute_start_time_seconds))\{@`)

// expand replaces {@} and [@].
func (d *Dashboard) expand(expr string) string {
	expr = byPolicy.ReplaceAllString(expr, `$1{@,policy=~"$$policy"`)
	expr = strings.ReplaceAll(expr, "{@", "{"+selection)
	return strings.ReplaceAll(expr, "[@]", "["+d.Interval+"]")
}

// find returns the description of a metric of the agent. Its path begins with the section.
func find(path string) (*metric.Desc, bool) {
	section, path, _ := strings.Cut(path, ".")
	for _, t := range agent.Tables {
		if i, ok := t.Find(path); ok && t.Section == section {
			return &t.Descs[i], true
		}
	}
	return nil, false
}

// name returns the Prometheus name of a metric, which must exist.
func name(path string) string {
	d, ok := find(path)
	if !ok {
		panic("no metric " + path)
	}
	return d.Families()[0].Name
}

// title makes a row's title.
func title(s string) Panel { return Panel{Kind: row, Title: s, Width: 24, Height: 1} }

// graph makes a chart of half the width.
func graph(title, unit, description string, targets ...Target) Panel {
	return Panel{Kind: timeseries, Title: title, Unit: unit, Description: description, Width: 12, Height: 8, Targets: targets}
}

// stacked is a [graph] whose series are stacked.
func stacked(title, unit, description string, targets ...Target) Panel {
	p := graph(title, unit, description, targets...)
	p.Stack = true
	return p
}

// number makes a panel with one number.
func number(title, unit, description, expr string) Panel {
	return Panel{Kind: stat, Title: title, Unit: unit, Description: description, Width: 4, Height: 4, Targets: []Target{{expr, title}}}
}

// rates are the rates of counters, summed up over the selected instances. Each counter is given as "path legend".
func rates(counters ...string) (targets []Target) {
	for _, c := range counters {
		path, legend, _ := strings.Cut(c, " ")
		targets = append(targets, Target{"sum(rate(" + name(path) + "{@}[@]))", legend})
	}
	return targets
}

// shares are rates of counters as shares of the rate of another.
func shares(of string, counters ...string) (targets []Target) {
	for _, t := range rates(counters...) {
		targets = append(targets, Target{t.Expr + " / sum(rate(" + name(of) + "{@}[@]))", t.Legend})
	}
	return targets
}

// quantile returns an expression for a quantile of a histogram. The first half reads a native histogram, the second half
// classic buckets. A Prometheus has one of them, but Prometheus 2.42 takes a native histogram for a classic one until it has
// a value, so the native half comes first. by are the labels to keep, with a trailing comma.
func quantile(q, histogram, by, matchers string) string {
	keep := ""
	if by != "" {
		keep = " by (" + strings.TrimSuffix(by, ", ") + ")"
	}
	return fmt.Sprintf(`histogram_quantile(%s, sum%s (rate(%s{@%s}[@]))) or histogram_quantile(%[1]s, sum by (%[5]sle) (rate(%[3]s_bucket{@%[4]s}[@])))`,
		q, keep, histogram, matchers, by)
}

// quantiles are the usual quantiles of a histogram, and that of the newest finished minute, which is within 1%.
func quantiles(path string) (targets []Target) {
	for _, q := range [][2]string{{"0.5", "p50"}, {"0.9", "p90"}, {"0.95", "p95"}, {"0.99", "p99"}} {
		targets = append(targets, Target{quantile(q[0], name(path), "", ""), q[1]})
	}
	return append(targets, Target{"max(" + name(path) + `_minute{@,stat="p99"})`, "p99 of the minute"})
}

// tops are the panels of top tables, without those of metrics that do not exist.
func tops(paths ...string) (panels []Panel) {
	for _, path := range paths {
		d, ok := find(path)
		if !ok {
			continue
		}
		f := d.Families()[0]
		panels = append(panels, Panel{
			Kind: table, Title: d.Title, Unit: grafanaUnit(d.Unit), Width: 8, Height: 9,
			Description: "Newest finished minute. " + d.Help + " Each row is at least this much. The row other, with the rest, is left out.",
			Targets:     []Target{{fmt.Sprintf(`topk(15, sum by (%s) (%s{@,%[1]s!="other"}))`, f.Label, f.Name), ""}},
		})
	}
	return panels
}

// cardinalities is a chart of numbers of distinct keys, without those that do not exist. Sketches cannot be added up in PromQL,
// so each instance has its own series.
func cardinalities(title string, paths ...string) (panels []Panel) {
	p := graph(title, "short", "Distinct keys in the newest finished minute, by instance. They cannot be added up: the hub merges them.")
	for _, path := range paths {
		if d, ok := find(path); ok {
			f := d.Families()[0]
			p.Targets = append(p.Targets, Target{f.Name + "{@}", "{{instance}}: " + strings.ToLower(d.Title)})
		}
	}
	if len(p.Targets) == 0 {
		return nil
	}
	return []Panel{p}
}

// grafanaUnit returns Grafana's name of a unit.
func grafanaUnit(u metric.Unit) string {
	switch {
	case u.Dimension == metric.Information && u.Base == "bits" && u.PerSecond:
		return "bps"
	case u.Dimension == metric.Information && u.Base == "bits":
		return "decbits"
	case u.Dimension == metric.Information:
		return "decbytes"
	case u.Dimension == metric.Time:
		return "s"
	default:
		return "short"
	}
}
