package server

import (
	"testing"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
)

// TestOpenAPISchemas checks that the schemas in docs/openapi.yaml match the tables. With -update it writes them.
func TestOpenAPISchemas(t *testing.T) {
	testkit.Golden(t, "../docs/openapi.yaml", apicheck.Document(t, agent.Tables, agent.SourceTable))
}
