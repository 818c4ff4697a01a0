// Package apicheck checks the answers of the HTTP API against docs/openapi.yaml, for tests.
//
// It is stricter than the document: an answer must not have a field that the document does not name.
package apicheck

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"go.yaml.in/yaml/v3"

	"pktvisor/internal/testkit"
)

// Checker checks answers against the document.
type Checker struct{ router routers.Router }

// New reads the document. It ends the test if the document is not valid OpenAPI.
func New(tb testing.TB) *Checker {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.RepoRoot(tb), "docs", "openapi.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	return NewFrom(tb, text)
}

// NewFrom is New with the text of a document, for instance one of [Document].
func NewFrom(tb testing.TB, text []byte) *Checker {
	tb.Helper()
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		tb.Fatal(err)
	}
	closeObjects(doc["components"].(map[string]any)["schemas"])
	strict, err := json.Marshal(doc)
	if err != nil {
		tb.Fatal(err)
	}
	api, err := openapi3.NewLoader().LoadFromData(strict)
	if err != nil {
		tb.Fatal(err)
	}
	if err := api.Validate(context.Background()); err != nil {
		tb.Fatalf("docs/openapi.yaml: %v", err)
	}
	router, err := legacy.NewRouter(api)
	if err != nil {
		tb.Fatal(err)
	}
	return &Checker{router}
}

// closeObjects forbids the fields that an object schema neither names nor describes.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, open := v["additionalProperties"]; v["type"] == "object" && !open {
			v["additionalProperties"] = false
		}
		for _, member := range v {
			closeObjects(member)
		}
	case []any:
		for _, item := range v {
			closeObjects(item)
		}
	}
}

// Check fails the test if an answer does not match the document.
func (c *Checker) Check(tb testing.TB, path string, status int, header http.Header, body []byte) {
	tb.Helper()
	c.CheckMethod(tb, http.MethodGet, path, status, header, body)
}

// CheckMethod is Check for a method other than GET.
func (c *Checker) CheckMethod(tb testing.TB, method, path string, status int, header http.Header, body []byte) {
	tb.Helper()
	if err := c.mismatch(method, path, status, header, body); err != nil {
		tb.Errorf("%s %s: %d: %v\n%.300s", method, path, status, err, body)
	}
}

// Mismatch returns how an answer differs from the document, or nil.
func (c *Checker) Mismatch(path string, status int, header http.Header, body []byte) error {
	return c.mismatch(http.MethodGet, path, status, header, body)
}

func (c *Checker) mismatch(method, path string, status int, header http.Header, body []byte) error {
	req, err := http.NewRequest(method, path, nil)
	if err != nil {
		return err
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true,
			// The schemas of these two types say nothing.
			ExcludeResponseBody: strings.HasPrefix(header.Get("Content-Type"), "text/html") ||
				header.Get("Content-Type") == "application/vnd.pktvisor.snapshot",
		},
	})
}
