package metric

import (
	"fmt"
	"strings"
)

// AppendDocs appends the reference of the tables' metrics, as Markdown.
func AppendDocs(dst []byte, tables []*Table) []byte {
	for _, t := range tables {
		dst = fmt.Appendf(dst, "\n## %s\n\n| name | kind | unit | what it says |\n|---|---|---|---|\n", t.Section)
		for _, d := range t.Descs {
			kind := d.Kind.String()
			if d.Kind == KindTop {
				kind = fmt.Sprintf("top, exact up to %d", d.Slots/4*3)
			}
			dst = fmt.Appendf(dst, "| `%s` | %s | %s | %s |\n", d.Path, kind, d.Unit, strings.ReplaceAll(d.Help, "|", "\\|"))
		}
	}
	return dst
}
