//go:build !race

package apicheck

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/speakeasy-api/openapi/linter"
	"github.com/speakeasy-api/openapi/openapi"
	rules "github.com/speakeasy-api/openapi/openapi/linter"

	"pktvisor/internal/testkit"
)

// exceptions are the rules that the linter must ignore, each with the reason.
var exceptions = []linter.RuleEntry{
	{ID: "oas3-example-missing"},                                    // there are examples only if they say more than the description
	{ID: "style-info-contact"},                                      // the readers of the document run the agent themselves
	{ID: "style-license-url"},                                       // it has the SPDX identifier, which excludes a URL
	{ID: "style-oas3-host-trailing-slash"},                          // the server is the root of the agent that serves the document
	{ID: "style-tags-alphabetical"},                                 // they are in the order of the page
	{ID: "validation-unknown-properties", Match: dependentRequired}, // a keyword of JSON Schema 2020-12 that the linter does not know
}

var dependentRequired = regexp.MustCompile("^unknown property `dependentRequired` found$")

// TestLint checks docs/openapi.yaml with the linter's rules. The rules about security are left out: they require an
// API with accounts, quotas and HTTPS, and this API is read-only and has none of these.
func TestLint(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(t), "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range lint(t, text) {
		t.Errorf("docs/openapi.yaml: %v", finding)
	}
	broken := bytes.Replace(text, []byte("$ref: '#/components/schemas/Summary'"), []byte("$ref: '#/components/schemas/Sumary'"), 1)
	if len(lint(t, broken)) == 0 {
		t.Error("the linter finds no problem in a broken document")
	}
}

func lint(t *testing.T, text []byte) []error {
	t.Helper()
	document, invalid, err := openapi.Unmarshal(t.Context(), bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	disabled, config := true, linter.NewConfig()
	for _, e := range exceptions {
		e.Disabled = &disabled
		config.Rules = append(config.Rules, e)
	}
	enabled := false
	config.Categories = map[string]linter.CategoryConfig{"security": {Enabled: &enabled}}
	l, err := rules.NewLinter(config)
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.Lint(t.Context(), linter.NewDocumentInfo(document, "docs/openapi.yaml"), invalid, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.Results
}
