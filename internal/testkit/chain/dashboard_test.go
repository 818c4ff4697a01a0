package chain

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// object is a JSON object.
type object = map[string]any

// curve is one query of a panel, in the form of Grafana's data source for Elasticsearch.
type curve struct {
	alias string
	query string   // Lucene
	by    string   // a line for each value of this tag
	field string   // of the summary
	over  string   // divide the sum of field by the sum of this field
	times string   // and multiply by the number of distinct values of this tag
	scale string   // and by this number
	as    []string // of a table: the functions of field that are columns
}

// The queries: of the minutes of agents and of a hub, and of the rows of tables.
const (
	ofAgents   = `measurement_name:pktvisor AND tag.host:$host`
	ofHub      = `measurement_name:pktvisor AND _exists_:tag.group`
	rowsAgents = `measurement_name:pktvisor_top AND tag.table:$table AND tag.host:$host`
	rowsHub    = `measurement_name:pktvisor_top AND tag.table:$table AND tag.group:all`
)

// perSecond is a counter a second over all hosts: the mean of the hosts, times the hosts.
func perSecond(alias, field string) curve {
	return curve{alias: alias, query: ofAgents, field: field, over: "period.length", times: "tag.host"}
}

func (c curve) metrics() (list []object) {
	number := func(id, kind, field string) object { return object{"id": id, "type": kind, "field": field} }
	if c.over == "" {
		return []object{number("1", "max", "pktvisor."+c.field)}
	}
	n, s := number("1", "sum", "pktvisor."+c.field), number("2", "sum", "pktvisor."+c.over)
	n["hide"], s["hide"] = true, true
	list = append(list, n, s)
	variables, script := []object{{"name": "n", "pipelineAgg": "1"}, {"name": "s", "pipelineAgg": "2"}}, "params.n / params.s"
	if c.times != "" {
		h := number("3", "cardinality", c.times)
		h["hide"] = true
		list = append(list, h)
		variables, script = append(variables, object{"name": "h", "pipelineAgg": "3"}), script+" * params.h"
	}
	if c.scale != "" {
		script += " * " + c.scale
	}
	return append(list, object{"id": "4", "type": "bucket_script", "pipelineVariables": variables, "settings": object{"script": script}})
}

func (c curve) target(ref int) object {
	o := object{"refId": string(rune('A' + ref)), "datasource": object{"type": "elasticsearch", "uid": "${datasource}"}, "query": c.query, "timeField": "@timestamp"}
	if len(c.as) > 0 {
		var metrics []object
		for i, field := range c.as {
			metrics = append(metrics, object{"id": fmt.Sprint(i + 1), "type": "sum", "field": "pktvisor_top." + field})
		}
		o["metrics"] = metrics
		o["bucketAggs"] = []object{{"id": "9", "type": "terms", "field": "pktvisor_top.name", "settings": object{"size": "10", "order": "desc", "orderBy": "1", "min_doc_count": "1"}}}
		return o
	}
	o["alias"], o["metrics"] = c.alias, c.metrics()
	buckets := []object{{"id": "9", "type": "date_histogram", "field": "@timestamp", "settings": object{"interval": "auto", "min_doc_count": "0"}}}
	if c.by != "" {
		terms := object{"id": "8", "type": "terms", "field": c.by, "settings": object{"size": "20", "order": "desc", "orderBy": "1", "min_doc_count": "1"}}
		if c.over != "" {
			terms["settings"].(object)["orderBy"] = "_term"
		}
		buckets = append([]object{terms}, buckets...)
		o["alias"] = "{{" + c.by + "}}"
	}
	o["bucketAggs"] = buckets
	return o
}

// panel is a panel of the dashboard.
type panel struct {
	title, help, unit string
	curves            []curve
}

var panels = []panel{
	{"Packets", "All hosts together.", "pps", []curve{perSecond("in", "packets.in"), perSecond("out", "packets.out"), perSecond("all", "packets.total")}},
	{"DNS queries and responses", "All hosts together.", "reqps", []curve{perSecond("queries", "dns.wire_packets.queries"), perSecond("responses", "dns.wire_packets.replies")}},
	{"Packets by host", "", "pps", []curve{{query: ofAgents, by: "tag.host", field: "packets.total", over: "period.length"}}},
	{"Packets by POP, p95 of the seconds of a minute", "From a hub: the seconds of all hosts of a POP are added up before the p95 is taken.", "pps",
		[]curve{{query: ofHub, by: "tag.group", field: "packets.rates.pps_total.p95"}}},
	{"NXDOMAIN share of responses", "By host.", "percentunit", []curve{{query: ofAgents, by: "tag.host", field: "dns.wire_packets.nxdomain", over: "dns.wire_packets.replies"}}},
	{"Response codes", "All hosts together.", "reqps", []curve{perSecond("NOERROR", "dns.wire_packets.noerror"), perSecond("NXDOMAIN", "dns.wire_packets.nxdomain"),
		perSecond("SERVFAIL", "dns.wire_packets.srvfail"), perSecond("REFUSED", "dns.wire_packets.refused")}},
	{"DNS by protocol", "All hosts together.", "reqps", []curve{perSecond("UDP", "dns.wire_packets.udp"), perSecond("TCP", "dns.wire_packets.tcp"),
		perSecond("IPv4", "dns.wire_packets.ipv4"), perSecond("IPv6", "dns.wire_packets.ipv6")}},
	{"Latency of the host's answers, p95", "The largest of the minutes. Quantiles of hosts cannot be combined: for all hosts together, see the hub.", "µs",
		[]curve{{query: ofAgents, by: "tag.host", field: "dns.xact.in.quantiles_us.p95"}, {query: ofHub, by: "tag.group", field: "dns.xact.in.quantiles_us.p95"}}},
	{"Lost packets", "Packets a second that were dropped before they could be counted.", "pps", []curve{{query: ofAgents, by: "tag.host", field: "period.lost", over: "period.length"}}},
	{"Timeouts a second", "Queries to the hosts that got no response in time.", "reqps", []curve{perSecond("in", "dns.xact.in.timeouts"), perSecond("out", "dns.xact.out.timeouts")}},
	{"$table: sum of the hosts' lists", "A lower bound. A name that is in no host's list of ten is missing, and the others fall short: see docs/elasticsearch.md.", "short",
		[]curve{{query: rowsAgents, as: []string{"lower"}}}},
	{"$table: by the hub", "The merged sketches of all hosts. Added up over the minutes of the range: lower and upper bound of the listed minutes.", "short",
		[]curve{{query: rowsHub, as: []string{"lower", "upper"}}}},
}

func dashboard() object {
	var list []object
	for i, p := range panels {
		kind := "timeseries"
		if len(p.curves[0].as) > 0 {
			kind = "table"
		}
		var targets []object
		for k, c := range p.curves {
			targets = append(targets, c.target(k))
		}
		list = append(list, object{
			"id": i + 1, "type": kind, "title": p.title, "description": p.help, "datasource": object{"type": "elasticsearch", "uid": "${datasource}"},
			"gridPos": object{"h": 8, "w": 12, "x": 12 * (i % 2), "y": 8 * (i / 2)}, "interval": "1m", "targets": targets,
			"fieldConfig": object{"defaults": object{"unit": p.unit, "min": 0}, "overrides": []object{}},
		})
	}
	variable := func(name, field, query string, all bool) object {
		find, _ := json.Marshal(object{"find": "terms", "field": field, "query": query})
		v := object{"name": name, "type": "query", "datasource": object{"type": "elasticsearch", "uid": "${datasource}"}, "query": string(find), "refresh": 2, "sort": 1,
			"includeAll": all, "multi": all}
		if all {
			v["allValue"], v["current"] = "*", object{"text": "All", "value": "$__all"}
		} else {
			v["current"] = object{"text": "dns.top_qname2", "value": "dns.top_qname2"}
		}
		return v
	}
	return object{
		"title": "pktvisor (Elasticsearch)", "uid": "pktvisor-elasticsearch", "tags": []string{"pktvisor", "dns"}, "schemaVersion": 39, "version": 1, "editable": true,
		"timezone": "utc", "refresh": "1m", "time": object{"from": "now-3h", "to": "now"}, "panels": list,
		"templating": object{"list": []object{
			{"name": "datasource", "type": "datasource", "query": "elasticsearch"},
			variable("host", "tag.host", "measurement_name:pktvisor", true),
			variable("table", "tag.table", "measurement_name:pktvisor_top", false),
		}},
	}
}

// TestDashboard: examples/elasticsearch/grafana-dashboard.json is the dashboard of this file.
func TestDashboard(t *testing.T) {
	text, err := json.MarshalIndent(dashboard(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, example(t, "elasticsearch/grafana-dashboard.json"), append(text, '\n'))
}

// fieldName matches the names of fields in the examples.
var fieldName = regexp.MustCompile(`\b(pktvisor(_top)?|tag)\.[a-z0-9_]+(\.[a-z0-9_]+)*\b|@timestamp|measurement_name`)

// checkQueries fails the test if the dashboard or the query of the examples has a field that no document has.
func checkQueries(t *testing.T, documents []document) {
	t.Helper()
	known := map[string]bool{"@timestamp": true, "measurement_name": true, "tag.group": true}
	for _, d := range documents {
		for name := range d.Fields {
			known[d.Name+"."+name] = true
		}
		for name := range d.Tags {
			known["tag."+name] = true
		}
	}
	for _, name := range []string{"elasticsearch/grafana-dashboard.json", "elasticsearch/top-names.json"} {
		text, err := os.ReadFile(example(t, name))
		if err != nil {
			t.Fatal(err)
		}
		used := fieldName.FindAllString(strings.ReplaceAll(string(text), "pktvisor (", ""), -1)
		if len(used) < 5 {
			t.Errorf("%s: only the fields %v", name, used)
		}
		for _, field := range used {
			if !known[field] {
				t.Errorf("%s: no document has the field %s", name, field)
			}
		}
	}
}
