// Package docs holds the documents that the programs carry with them.
package docs

import _ "embed" // for the OpenAPI document

// OpenAPI is the description of the HTTP API, OpenAPI 3.1 in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
