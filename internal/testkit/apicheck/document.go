package apicheck

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// The marks in the document that enclose the generated schemas.
const (
	generatedFrom = "    # The schemas from here to the end mark are generated from the metric tables: `make golden` writes them.\n"
	generatedTo   = "    # End of the generated schemas.\n"
)

// Document returns docs/openapi.yaml as it is for an agent with these tables: its generated schemas are those of the
// tables, and of the table of a source's counters.
func Document(tb testing.TB, tables []*metric.Table, source *metric.Table) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(tb), "docs", "openapi.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	head, rest, begins := bytes.Cut(text, []byte(generatedFrom))
	_, tail, ends := bytes.Cut(rest, []byte(generatedTo))
	if !begins || !ends {
		tb.Fatal("docs/openapi.yaml lacks the marks of the generated schemas")
	}
	for _, table := range tables {
		if name := []byte("\n    " + schemaName(table) + ":\n"); bytes.Contains(head, name) || bytes.Contains(tail, name) {
			tb.Errorf("the document has a schema %s already: give the section %s another title", schemaName(table), table.Section)
		}
	}
	doc := append(bytes.Clone(head), generatedFrom...)
	doc = appendSchemas(doc, tables, source)
	return append(append(doc, generatedTo...), tail...)
}

// schemaName returns the name of a section's schema: the section's name as its title spells it, or with a capital.
func schemaName(t *metric.Table) string {
	if strings.EqualFold(t.Title, t.Section) {
		return t.Title
	}
	return strings.ToUpper(t.Section[:1]) + t.Section[1:]
}

// appendSchemas appends the schemas of a summary, of its sections, and of the rates of a second.
func appendSchemas(dst []byte, tables []*metric.Table, source *metric.Table) []byte {
	names := []string{"period"}
	for _, t := range tables {
		names = append(names, t.Section)
	}
	dst = fmt.Appendf(dst, `    Summary:
      type: object
      description: What was summarised in a stretch of time. There may be more sections in later versions.
      required: [%s]
      properties:
        period: {$ref: '#/components/schemas/Period'}
`, strings.Join(names, ", "))
	for _, t := range tables {
		dst = fmt.Appendf(dst, "        %s: {$ref: '#/components/schemas/%s'}\n", t.Section, schemaName(t))
	}
	dst = append(dst, "        fleet: {$ref: '#/components/schemas/Selected'}\n"...)
	for _, t := range tables {
		dst = fmt.Appendf(dst, "    %s:\n", schemaName(t))
		dst = t.AppendSchema(dst, "      ")
	}
	return appendSourceSchemas(appendAppSchema(appendRatesSchema(dst, tables), tables), source)
}

// appendSourceSchemas appends the schemas of a source and of all sources together in the answer of /app.
func appendSourceSchemas(dst []byte, table *metric.Table) []byte {
	var names []string
	var counts []byte
	for i := range table.Descs {
		d := &table.Descs[i]
		for _, m := range d.Members() {
			names = append(names, m.Name)
			counts = appendMember(counts, "        ", m.Name, m)
		}
	}
	all := strings.Join(names, ", ")
	dst = fmt.Appendf(dst, `    Source:
      type: object
      description: An opened source and its counts since it was opened.
      required: [name, kind, shard, %s]
      properties:
        name: {type: string, description: 'The interface that is captured now, "any", or the file that is replayed.'}
        kind: {type: string, enum: [interface, replay], description: What it is.}
        link: {type: string, description: 'Link type of its frames, with tcpdump''s name. Missing before the first frame.', example: EN10MB}
        shard: {type: integer, format: int64, minimum: 0, maximum: 255, description: The shard that reads it.}
        tap: {type: string, description: 'The tap that reads it. Missing for the tap default.'}
        error: {type: string, description: 'What ended it, if it has ended.'}
%s`, all, counts)
	return fmt.Appendf(dst, `    Drops:
      type: object
      description: The sums of the counts of all sources since the start.
      required: [total, %s]
      properties:
        total: {$ref: '#/components/schemas/Counter', description: 'Frames that were dropped: os_drops and if_drops.', x-unit: packets}
%s`, all, counts)
}

// appendMember appends a member in one line, under the given name.
func appendMember(dst []byte, indent, name string, m metric.Member) []byte {
	return fmt.Appendf(dst, "%s%s: {$ref: '#/components/schemas/%s', description: %q, x-unit: %q}\n", indent, name, m.Ref, m.Help, m.Unit)
}

// appendAppSchema appends the schema of the answer of /app: the part written by hand, and the states of the sections.
func appendAppSchema(dst []byte, tables []*metric.Table) []byte {
	names := []string{"app"}
	var states []byte
	for _, t := range tables {
		if state := t.AppendStateSchema(nil, "          "); state != nil {
			names = append(names, t.Section)
			states = fmt.Appendf(states, "        %s:\n%s", t.Section, state)
		}
	}
	return fmt.Appendf(dst, `    App:
      type: object
      description: The state of the agent, and the gauges of its sections at the last flush.
      required: [%s]
      properties:
        app: {$ref: '#/components/schemas/AppInfo'}
%s`, strings.Join(names, ", "), states)
}

// appendRatesSchema appends the schema of the answer of /rates.
func appendRatesSchema(dst []byte, tables []*metric.Table) []byte {
	var sections []byte
	var names []string
	for _, t := range tables {
		var required, all []string
		var members []byte
		member := func(name, help string, d *metric.Desc) {
			members = appendMember(members, "            ", name, metric.Member{Ref: "Counter", Help: help, Unit: d.Unit.Name})
		}
		for i := range t.Descs {
			if d := &t.Descs[i]; d.Kind == metric.KindRate && d.Alias != "" {
				if d.Group == "" {
					required = append(required, d.Alias)
				}
				member(d.Alias, d.Help+" The original's name of "+leaf(d)+".", d)
			}
		}
		for i := range t.Descs {
			if d := &t.Descs[i]; d.Kind == metric.KindRate {
				all = append(all, leaf(d))
				if d.Group == "" {
					required = append(required, leaf(d))
				}
				member(leaf(d), d.Help, d)
			}
		}
		if len(all) == 0 {
			continue
		}
		names = append(names, t.Section)
		sections = fmt.Appendf(sections, `        %s:
          type: object
          description: %q
          required: [%s]
          properties:
%s`, t.Section, t.Title+".", strings.Join(required, ", "), members)
	}
	return fmt.Appendf(dst, `    Rates:
      type: object
      description: Events of one second.
      required: [%s]
      properties:
%s        period:
          type: object
          description: Which second.
          required: [start_ts, length]
          properties:
            start_ts: {type: integer, format: int64, description: "The second, Unix time.", x-unit: s}
            length: {type: integer, format: int64, const: 1, description: Always 1., x-unit: s}
`, strings.Join(append(names, "period"), ", "), sections)
}

// leaf returns the last name of a path, which is the name of the metric's rate in /rates.
func leaf(d *metric.Desc) string { return d.Path[strings.LastIndexByte(d.Path, '.')+1:] }
