package apicheck

import (
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"pktvisor/internal/testkit"
)

// TestForGenerators checks the document for what generated clients need, whatever the language: a number without a
// format becomes a float of 32 bits, a bound beyond an int64 does not compile, and a pattern for names is ignored.
func TestForGenerators(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if list, ok := doc["security"].([]any); !ok || len(list) != 3 || !reflect.DeepEqual(list[0], map[string]any{}) {
		t.Errorf("security: %v, want {}, a token or a password: an agent without an auth file needs no log-in", doc["security"])
	}
	for _, problem := range unfit("", doc) {
		t.Error(problem)
	}
	for _, bad := range []map[string]any{
		{"type": "number"}, {"type": "integer"}, {"type": "integer", "format": "uint64", "maximum": uint64(math.MaxUint64)},
		{"type": "object", "patternProperties": map[string]any{}}, {"contentMediaType": "application/x"},
	} {
		if len(unfit("", map[string]any{"a": []any{bad}})) != 1 {
			t.Errorf("no problem was found in %v", bad)
		}
	}
}

// unfit lists the parts of v that generators cannot use.
func unfit(at string, v any) (problems []string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			problems = append(problems, unfit(at, item)...)
		}
	case map[string]any:
		format, _ := v["format"].(string)
		switch {
		case v["type"] == "number" && format != "double":
			problems = append(problems, at+": a number without format: double")
		case v["type"] == "integer" && !slices.Contains([]string{"int32", "int64", "uint64"}, format):
			problems = append(problems, at+": an integer without a format")
		case v["contentMediaType"] != nil && format != "binary":
			problems = append(problems, at+": bytes without format: binary")
		case v["patternProperties"] != nil:
			problems = append(problems, at+": patternProperties")
		}
		if _, beyond := v["maximum"].(uint64); beyond { // YAML gives an int if the number fits into one
			problems = append(problems, at+": a maximum beyond an int64")
		}
		for name, member := range v {
			problems = append(problems, unfit(at+"/"+name, member)...)
		}
	}
	return problems
}
