package dashboards

import "strings"

// Successor is the dashboard for users of pktvisor's C++ successor: its metrics, under their old names, as this project has
// them. Its queries are those of docs/migrating.md, whose text is page. A title of a row is a section of that page.
func Successor(page string) Dashboard {
	d := Dashboard{
		File: "pktvisor-successor", UID: "pktvisor-successor", Title: "pktvisor: names of the successor", Jobs: "pktvisor_capturing", Interval: rateInterval,
		Description: "The metrics of pktvisor 4 (netboxlabs) as this project has them, under their old names. See docs/migrating.md.",
	}
	section := ""
	for _, m := range Migrations(page) {
		switch m.Section {
		case "Packets (handler net 1.0)", "Packets (handler net 2.0)", "DNS messages (handler dns 1.0)", "DNS transactions (handler dns 2.0)", "The capture and the process":
		default:
			continue
		}
		if m.Query == "" {
			continue
		}
		if m.Section != section {
			section = m.Section
			d.Panels = append(d.Panels, title(section))
		}
		d.Panels = append(d.Panels, successorPanel(m))
	}
	return d
}

func successorPanel(m Migration) Panel {
	old := m.Old[0]
	expr := selected(m.Query)
	p := graph(old, successorUnit(m.Query), "In place of "+old+". See docs/migrating.md.", Target{expr, "{{instance}}"})
	p.Width, p.Height = 6, 6
	switch {
	case strings.Contains(m.Query, "_top_"):
		p.Kind, p.Width = table, 12
		p.Targets[0].Expr = "topk(15, " + expr + ")"
	case strings.Contains(m.Query, "_bucket[1m]"):
		p.Kind, p.Width = heatmap, 12
		p.Targets[0] = Target{"sum by (le) (" + expr + ") or sum(" + strings.Replace(expr, "_bucket", "", 1) + ")", "{{le}}"}
	case strings.Contains(m.Query, "_bucket"):
		p.Targets[0].Expr = expr + " or " + strings.Replace(expr, "_bucket", "", 1)
	}
	return p
}

// successorUnit returns the unit of a query of docs/migrating.md.
func successorUnit(query string) string {
	switch {
	case strings.Contains(query, "_seconds_bucket"):
		return "s"
	case strings.Contains(query, "_bps_") && strings.HasSuffix(query, "/ 8"):
		return "Bps"
	case strings.Contains(query, "_bps_"):
		return "bps"
	case strings.Contains(query, "_bytes"):
		return "decbytes"
	case strings.Contains(query, "process_cpu"):
		return "percent"
	default:
		return "short"
	}
}
