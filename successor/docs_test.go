package successor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// The marks in docs/successor.md around the tables.
const (
	tablesFrom = "<!-- The tables from here to the end mark are written by the tests of package successor, with -update. -->\n"
	tablesTo   = "<!-- end of the tables -->\n"
)

// TestDocs: docs/successor.md has the tables as they are declared.
func TestDocs(t *testing.T) {
	path := filepath.Join(testkit.RepoRoot(t), "docs", "successor.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, begins := bytes.Cut(page, []byte(tablesFrom))
	_, tail, ends := bytes.Cut(rest, []byte(tablesTo))
	if !begins || !ends {
		t.Fatal("docs/successor.md lacks the marks of the tables")
	}
	var b bytes.Buffer
	for _, f := range forms {
		writeTables(&b, f, f.declared(t))
	}
	testkit.Golden(t, path, bytes.Join([][]byte{head, []byte(tablesFrom), b.Bytes(), []byte(tablesTo), tail}, nil))
}

// writeTables writes the tables of a form.
func writeTables(b *bytes.Buffer, f *form, d *declaration) {
	fmt.Fprintf(b, "\n### Handler %s %s\n\nIn JSON `%s`, in Prometheus `%s_…`.", f.kind, f.version, f.schema, f.schema)
	if len(f.groups) > 0 {
		var on, off []string
		for _, g := range f.groups {
			if g.on {
				on = append(on, "`"+g.name+"`")
			} else {
				off = append(off, "`"+g.name+"`")
			}
		}
		fmt.Fprintf(b, " Groups that are on: %s.", strings.Join(on, ", "))
		if len(off) > 0 {
			fmt.Fprintf(b, " Off: %s.", strings.Join(off, ", "))
		}
	}
	b.WriteString("\n\n")
	writeRows(b, d.whole)
	if len(d.below) > 0 {
		b.WriteString("\nFor each direction that has events (`in`, `out`, `unknown`, in this order where the sources differ):\n\n")
		writeRows(b, d.below)
	}
}

// writeRows writes a table.
func writeRows(b *bytes.Buffer, rows []row) {
	b.WriteString("| name | groups | made from | remark |\n|---|---|---|---|\n")
	for _, r := range rows {
		from := "none"
		if r.from != "" {
			var parts []string
			for part := range strings.SplitSeq(r.from, "|") {
				if part = strings.TrimSpace(part); part == "" {
					part = "none"
				} else {
					part = "`" + part + "`"
				}
				parts = append(parts, part)
			}
			from = strings.Join(parts, ", ")
		}
		if r.scale != 0 {
			from += fmt.Sprintf(" / %g", 1/r.scale)
		}
		if r.observed {
			from += ", if nothing was rejected"
		}
		name := "`" + r.path + "`"
		if r.prefix != "" {
			name += fmt.Sprintf(" (in Prometheus `%s_…`)", r.prefix)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, strings.Join(strings.Fields(r.group), ", "), from, r.remark)
	}
}
