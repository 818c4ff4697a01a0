package metric

import (
	"fmt"
	"strings"
)

// AppendKindDocs appends a paragraph about each kind of metric, as a Markdown list.
func AppendKindDocs(dst []byte) []byte {
	for _, k := range Kinds() {
		dst = fmt.Appendf(dst, "- A **%s** %s\n", k, k.about)
	}
	return dst
}

// AppendDocs appends the reference of the tables' metrics, as Markdown.
func AppendDocs(dst []byte, tables []*Table) []byte {
	for _, t := range tables {
		dst = fmt.Appendf(dst, "\n## %s\n\n| name | kind | unit | description |\n|---|---|---|---|\n", t.Section)
		for i := range t.Descs {
			d := &t.Descs[i]
			kind := d.Kind.name
			if d.Kind.shown != nil {
				kind = d.Kind.shown(d)
			}
			dst = fmt.Appendf(dst, "| `%s` | %s | %s | %s |\n", d.Path, kind, d.Unit, strings.ReplaceAll(d.Help, "|", "\\|"))
		}
	}
	return dst
}
