package chain

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// mapping is a part of a mapping of Elasticsearch, as far as examples/elasticsearch uses it.
type mapping struct {
	Type        string
	Dynamic     any
	IgnoreAbove int `json:"ignore_above"`
	Properties  map[string]mapping
}

// template is examples/elasticsearch/index-template.json.
type template struct {
	Template struct {
		Settings struct {
			Index map[string]any
		}
		Mappings struct {
			mapping
			Templates []map[string]struct {
				PathMatch string `json:"path_match"`
				Type      string `json:"match_mapping_type"`
				Mapping   mapping
			} `json:"dynamic_templates"`
		}
	}
}

func readTemplate(t testing.TB) *template {
	t.Helper()
	text, err := os.ReadFile(example(t, "elasticsearch/index-template.json"))
	if err != nil {
		t.Fatal(err)
	}
	tp := new(template)
	if err := json.Unmarshal(text, tp); err != nil {
		t.Fatal(err)
	}
	return tp
}

// find returns the mapping of a field, by the rules of Elasticsearch (guide, "Mapping": explicit mapping, "dynamic", "Dynamic
// templates"). A field that Elasticsearch would store without a mapping, or with one that no rule of the template gives, has none.
func (tp *template) find(at, jsonType string) (mapping, error) {
	m, parts := tp.Template.Mappings.mapping, strings.Split(at, ".")
	dynamic := m.Dynamic
	for i, part := range parts {
		next, ok := m.Properties[part]
		if !ok {
			if dynamic != true {
				return m, fmt.Errorf("%s is not in the template", strings.Join(parts[:i+1], "."))
			}
			return tp.dynamic(at, jsonType)
		}
		if m = next; m.Dynamic != nil {
			dynamic = m.Dynamic
		}
	}
	return m, nil
}

// dynamic returns the mapping of the first dynamic template that matches.
func (tp *template) dynamic(at, jsonType string) (mapping, error) {
	for _, entry := range tp.Template.Mappings.Templates {
		for _, rule := range entry {
			// In a path pattern, * also matches dots.
			if ok, err := path.Match(rule.PathMatch, strings.ReplaceAll(at, "/", "_")); err != nil {
				return mapping{}, err
			} else if ok && rule.Type == jsonType {
				return rule.Mapping, nil
			}
		}
	}
	return mapping{}, fmt.Errorf("no dynamic template is for %s, a %s", at, jsonType)
}

// check returns what is wrong with a value of a field. It adds the field to fields.
func (tp *template) check(at string, v any, fields map[string]string) error {
	kind := ""
	switch x := v.(type) {
	case map[string]any:
		if fields[at] != "" && fields[at] != "object" {
			return fmt.Errorf("%s is an object and a %s", at, fields[at])
		}
		fields[at] = "object"
		for name, member := range x {
			if err := tp.check(at+"."+name, member, fields); err != nil {
				return err
			}
		}
		return nil
	case float64:
		if kind = "double"; x == float64(int64(x)) {
			kind = "long"
		}
	case string:
		kind = "string"
	default:
		return fmt.Errorf("%s is a %T", at, v)
	}
	// Elasticsearch takes a dot in a name for an object.
	for i, c := range at {
		if outer := at[:i]; c == '.' {
			if fields[outer] != "" && fields[outer] != "object" {
				return fmt.Errorf("%s is an object and a %s", outer, fields[outer])
			}
			fields[outer] = "object"
		}
	}
	m, err := tp.find(at, kind)
	if err != nil {
		return err
	}
	if was := fields[at]; was != "" && was != m.Type {
		return fmt.Errorf("%s is a %s and a %s", at, was, m.Type)
	}
	fields[at] = m.Type
	text, isText := v.(string)
	switch {
	case m.Type == "double" && !isText:
	case m.Type == "keyword" && isText && (m.IgnoreAbove == 0 || utf8.RuneCountInString(text) <= m.IgnoreAbove):
	case m.Type == "date" && isText:
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%s: %v does not fit %+v", at, v, m)
	}
	return nil
}

// checkDocuments fails the test if a document does not fit the index template, or if all of them have too many fields.
func checkDocuments(t *testing.T, documents []document) {
	t.Helper()
	tp, fields := readTemplate(t), map[string]string{}
	for _, d := range documents {
		for name, v := range d.Source {
			if err := tp.check(name, v, fields); err != nil {
				t.Errorf("%v: %v", d.Source, err)
				return
			}
		}
	}
	limit, _ := tp.Template.Settings.Index["mapping.total_fields.limit"].(float64)
	if len(fields) < 100 || float64(len(fields)) > 0.8*limit {
		t.Errorf("%d fields, the limit is %v", len(fields), limit)
	}
	t.Logf("%d documents, %d fields", len(documents), len(fields))
}

// TestTemplate: the check finds documents that do not fit the template.
func TestTemplate(t *testing.T) {
	tp := readTemplate(t)
	row := func(fields map[string]any) map[string]any { return map[string]any{"pktvisor_top": fields} }
	for want, d := range map[string]map[string]any{
		"":                          row(map[string]any{"name": "a", "estimate": 1.0, "ratio": 1.5, "hints": "one_port"}),
		"cpu is not in the":         {"cpu": 1.0},
		"does not fit":              row(map[string]any{"name": 1.0}),
		"estimate: x does not fit":  row(map[string]any{"estimate": "x"}),
		"no dynamic template":       {"pktvisor": map[string]any{"dns.version": "x"}},
		"is a bool":                 row(map[string]any{"exact": true}),
		"name: aaaa":                row(map[string]any{"name": strings.Repeat("a", 1025)}),
		"cannot parse":              {"@timestamp": "yesterday"},
		"is an object and a double": {"pktvisor": map[string]any{"dns": map[string]any{"a": 1.0}, "dns.a.b": 1.0}},
	} {
		fields, problem := map[string]string{}, ""
		for _, name := range slices.Sorted(maps.Keys(d)) {
			members, ok := d[name].(map[string]any)
			if !ok {
				members = map[string]any{"": d[name]}
			}
			for _, k := range slices.Sorted(maps.Keys(members)) {
				if err := tp.check(strings.TrimSuffix(name+"."+k, "."), members[k], fields); err != nil {
					problem += err.Error()
				}
			}
		}
		if (want == "") != (problem == "") || !strings.Contains(problem, want) {
			t.Errorf("%v: %q, want %q", d, problem, want)
		}
	}
}
