package metric

import (
	"fmt"
	"strings"
)

// Member describes a member of the JSON that prints a metric.
type Member struct {
	Name string
	// Ref is the schema of its value, by its name in docs/openapi.yaml: "Counter", "Rate", …
	Ref string
	// Help is a sentence. Unit is the name of the unit.
	Help, Unit string
	// Sampled says that the member is there only if a part of the events was not analysed in depth.
	Sampled bool
}

// Members describes the JSON members that print the metric, in order. The first has the metric's own name. The others,
// if any, are beside it in the same object.
func (d *Desc) Members() []Member { return d.Kind.members(d) }

// percentName and factorName are the members of a section that say which share of it was analysed in depth.
const (
	percentName = "deep_sample_percent"
	factorName  = "deep_sample_factor"
	// samplingName is the member that says more about a sample, if there is one.
	samplingName = "sampling"
)

// AppendSchema appends the OpenAPI schema of the section's JSON, in YAML, with each line after indent.
// docs/openapi.yaml is generated from it. It refers to schemas of the kinds that are written by hand in that document,
// under "components".
func (t *Table) AppendSchema(dst []byte, indent string) []byte {
	return t.appendObject(dst, indent, t.tree, "")
}

// AppendStateSchema appends the schema of the object that [Bucket.AppendState] prints for the section. It appends
// nothing if there is no such object.
func (t *Table) AppendStateSchema(dst []byte, indent string) []byte {
	if len(t.gauges) == 0 {
		return dst
	}
	return t.appendObject(dst, indent, t.state, "")
}

// appendObject appends the schema of the object at path, which is "" for the section.
func (t *Table) appendObject(dst []byte, indent string, n *node, path string) []byte {
	help := t.Help
	if path != "" {
		help = t.objects[path]
	}
	line := func(format string, args ...any) {
		dst = append(dst, indent...)
		dst = fmt.Appendf(dst, format, args...)
		dst = append(dst, '\n')
	}
	line("type: object")
	if help != "" {
		line("description: %q", help)
	}
	line("required: [%s]", strings.Join(t.required(n), ", "))
	line("properties:")
	for _, m := range n.members {
		if m.members != nil {
			line("  %s:", m.name)
			dst = t.appendObject(dst, indent+"    ", m, strings.TrimPrefix(path+"."+m.name, "."))
			continue
		}
		for _, member := range t.Descs[m.desc].Members() {
			line("  %s:", member.Name)
			line("    $ref: '#/components/schemas/%s'", member.Ref)
			line("    description: %q", member.Help)
			line("    x-unit: %q", member.Unit)
		}
	}
	if n == t.tree && t.sampled() {
		line("  %s:", percentName)
		line("    $ref: '#/components/schemas/Percent'")
		line("    description: %q", "Share of address pairs that are analysed in depth.")
		line("    x-unit: \"%%\"")
		line("  %s:", factorName)
		line("    type: number")
		line("    format: double")
		line("    description: %q", "Multiply tables, cardinalities and transactions by this to get the numbers for all traffic: 100 / deep_sample_percent. Missing if that is 0.")
		line("    minimum: 1")
		line("    x-unit: \"ratio\"")
		line("  %s:", samplingName)
		line("    $ref: '#/components/schemas/Sampling'")
		line("    description: %q", "How much was analysed in depth, if it was not everything.")
	}
	return dst
}

// required lists the members that an object always has. They belong to metrics that cannot be switched off.
func (t *Table) required(n *node) []string {
	var names []string
	for _, m := range n.members {
		if m.members != nil {
			if len(t.required(m)) > 0 {
				names = append(names, m.name)
			}
			continue
		}
		if d := &t.Descs[m.desc]; d.Group == "" || d.Seen || d.Taken {
			for _, member := range d.Members() {
				if !member.Sampled {
					names = append(names, member.Name)
				}
			}
		}
	}
	if n == t.tree && t.sampled() {
		names = append(names, percentName)
	}
	return names
}
