package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// schemaVersion is the version of the dashboard's JSON: that of Grafana 10.0. Later versions of Grafana migrate it.
const schemaVersion = 38

// object is a JSON object. encoding/json sorts its members, so the files are always the same.
type object = map[string]any

// input is the data source of all panels. Grafana asks for it when the dashboard is imported.
var input = object{"type": "prometheus", "uid": "${DS_PROMETHEUS}"}

// JSON returns the dashboard as Grafana imports it.
func (d *Dashboard) JSON() ([]byte, error) {
	doc := object{
		"__inputs": []object{{
			"name": "DS_PROMETHEUS", "label": "Prometheus", "description": "The Prometheus that scrapes the agents and the hub",
			"type": "datasource", "pluginId": "prometheus", "pluginName": "Prometheus",
		}},
		"__requires":    d.requires(),
		"uid":           d.UID,
		"title":         d.Title,
		"description":   d.Description,
		"tags":          []string{"pktvisor"},
		"schemaVersion": schemaVersion,
		"version":       1,
		"editable":      true,
		"graphTooltip":  1, // one cursor over all charts
		"refresh":       "30s",
		"timezone":      "",
		"time":          object{"from": "now-1h", "to": "now"},
		"links": []object{{
			"asDropdown": true, "icon": "external link", "includeVars": true, "keepTime": true, "tags": []string{"pktvisor"},
			"targetBlank": false, "title": "pktvisor", "tooltip": "", "type": "dashboards", "url": "",
		}},
		"annotations": object{"list": []object{}},
		"templating":  object{"list": d.variables()},
		"panels":      d.panels(),
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(doc)
	return b.Bytes(), err
}

// requires lists the plugins that the dashboard needs. All of them come with Grafana.
func (d *Dashboard) requires() []object {
	list := []object{
		{"type": "grafana", "id": "grafana", "name": "Grafana", "version": "10.0.0"},
		{"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
	}
	for _, kind := range []string{timeseries, stat, table, heatmap} {
		for _, p := range d.Panels {
			if p.Kind == kind {
				list = append(list, object{"type": "panel", "id": kind, "name": kind, "version": ""})
				break
			}
		}
	}
	return list
}

// variables returns the variables of a dashboard: which job, which instances, and which values of which tag.
func (d *Dashboard) variables() []object {
	query := func(name, label, definition string, one bool) object {
		all := object{"text": "All", "value": "$__all"}
		v := object{
			"type": "query", "name": name, "label": label, "datasource": input, "definition": definition,
			"query":   object{"query": definition, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
			"refresh": 2, "sort": 1, "hide": 0, "regex": "", "skipUrlSync": false, // 2: when the time range changes
			"multi": !one, "includeAll": !one,
		}
		if !one {
			v["allValue"], v["current"] = ".*", all
		}
		return v
	}
	return []object{
		query("job", "Job", "label_values("+d.Jobs+", job)", d.OneJob),
		query("instance", "Instance", "label_values("+d.Jobs+`{job=~"$job"}, instance)`, false),
		{
			"type": "textbox", "name": "tag", "label": "Tag", "hide": 0, "skipUrlSync": false, "query": "pop",
			"description": "The name of a label of the scrape configuration that groups hosts", "current": object{"text": "pop", "value": "pop"},
			"options": []object{{"selected": true, "text": "pop", "value": "pop"}},
		},
		{
			"type": "textbox", "name": "policy", "label": "Policy", "hide": 0, "skipUrlSync": false, "query": "",
			"description": "A policy of the agents, or several: anycast|zones. Empty means the default policy", "current": object{"text": "", "value": ""},
			"options": []object{{"selected": true, "text": "", "value": ""}},
		},
		query("value", "Value", "label_values("+d.Jobs+`{job=~"$job"}, $tag)`, false),
	}
}

// panels lays the panels out from left to right, in lines of 24 columns.
func (d *Dashboard) panels() (list []object) {
	x, y, lowest := 0, 0, 0
	for i, p := range d.Panels {
		if p.Kind == row || x+p.Width > 24 {
			x, y, lowest = 0, y+lowest, 0
		}
		list = append(list, d.panel(&p, i+1, object{"x": x, "y": y, "w": p.Width, "h": p.Height}))
		x += p.Width
		lowest = max(lowest, p.Height)
	}
	return list
}

func (d *Dashboard) panel(p *Panel, id int, at object) object {
	o := object{"id": id, "type": p.Kind, "title": p.Title, "gridPos": at}
	if p.Kind == row {
		o["collapsed"], o["panels"] = false, []object{}
		return o
	}
	o["description"], o["datasource"] = p.Description, input
	var targets []object
	for i, t := range p.Targets {
		target := object{
			"refId": refID(i), "datasource": input, "expr": d.expand(t.Expr), "editorMode": "code", "legendFormat": t.Legend,
			"range": p.Kind != table, "instant": p.Kind == table,
		}
		switch p.Kind {
		case table:
			target["format"] = "table"
		case heatmap:
			target["format"] = "heatmap"
		default:
			target["format"] = "time_series"
		}
		targets = append(targets, target)
	}
	o["targets"] = targets
	p.style(o)
	return o
}

// refID names the queries of a panel: A to Z, then A1, B1, and so on.
func refID(i int) string {
	id := string(rune('A' + i%26))
	if i >= 26 {
		id = fmt.Sprint(id, i/26)
	}
	return id
}

// style adds the options of the panel's kind.
func (p *Panel) style(o object) {
	defaults := object{"unit": p.Unit, "min": 0, "color": object{"mode": "palette-classic"}}
	o["fieldConfig"] = object{"defaults": defaults, "overrides": []object{}}
	switch p.Kind {
	case timeseries:
		fill, stacking := 10, "none"
		if p.Stack {
			fill, stacking = 40, "normal"
		}
		defaults["custom"] = object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false,
			"stacking": object{"mode": stacking, "group": "A"},
		}
		o["options"] = object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	case stat:
		defaults["color"] = object{"mode": "thresholds"}
		defaults["thresholds"] = object{"mode": "absolute", "steps": []object{{"color": "text", "value": nil}}}
		o["options"] = object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"graphMode":     "area", "colorMode": "value", "justifyMode": "auto", "orientation": "auto", "textMode": "value",
			"wideLayout": true, "showPercentChange": false, "percentChangeColorMode": "standard",
		}
	case table:
		o["options"] = object{"frameIndex": 0, "showHeader": true, "cellHeight": "sm", "footer": object{"show": false, "reducer": []string{"sum"}, "countRows": false}}
		o["transformations"] = []object{{
			"id":      "organize",
			"options": object{"excludeByName": object{"Time": true}, "indexByName": object{}, "renameByName": object{"Value": "at least"}},
		}}
	case heatmap:
		delete(defaults, "color")
		o["options"] = object{
			"calculate": false, "cellGap": 0, "showValue": "never",
			"color":        object{"mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.5, "fill": "dark-orange", "steps": 64, "reverse": false},
			"yAxis":        object{"unit": p.Unit},
			"rowsFrame":    object{"layout": "auto"},
			"tooltip":      object{"mode": "single", "yHistogram": false, "showColorScale": false},
			"legend":       object{"show": true},
			"exemplars":    object{"color": "rgba(255,0,255,0.7)"},
			"filterValues": object{"le": 1e-9},
		}
	}
}
