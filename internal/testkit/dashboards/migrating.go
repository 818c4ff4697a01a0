package dashboards

import (
	"regexp"
	"strings"
)

// Migration is a row of a table of docs/migrating.md: an old metric, or several, and the query that replaces it.
type Migration struct {
	Section string
	// Old are the old names, which may have selectors.
	Old []string
	// Query is empty if there is no replacement.
	Query string
}

var inline = regexp.MustCompile("`([^`]+)`")

// Migrations returns the rows of all tables of docs/migrating.md.
func Migrations(page string) (rows []Migration) {
	section := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "##"); ok {
			section = strings.TrimLeft(title, "# ")
		}
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		row := Migration{Section: section}
		for _, m := range inline.FindAllStringSubmatch(cells[1], -1) {
			row.Old = append(row.Old, m[1])
		}
		if m := inline.FindStringSubmatch(cells[2]); m != nil {
			row.Query = strings.ReplaceAll(m[1], "\x00", "|")
		}
		rows = append(rows, row)
	}
	return rows
}

// selector matches a metric of this project or of its process in a query, with its matchers.
var selector = regexp.MustCompile(`\b((?:pktvisor|process)_\w+)(?:\{([^}]*)\})?`)

// selected adds the selection of a dashboard to all metrics of a query.
func selected(query string) string {
	return selector.ReplaceAllStringFunc(query, func(s string) string {
		m := selector.FindStringSubmatch(s)
		if m[2] == "" {
			return m[1] + "{@}"
		}
		return m[1] + "{@," + m[2] + "}"
	})
}
