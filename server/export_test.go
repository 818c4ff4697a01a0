package server

import (
	"net/http/httptest"

	"pktvisor/exposition"
)

// Scrape makes an answer of /metrics, compressed or not, without the cache of answers. It returns its length in bytes.
func (s *Server) Scrape(format exposition.Format, compress bool) int {
	targets, sel, err := s.targets(httptest.NewRequest("GET", "/metrics", nil))
	if err != nil {
		panic(err)
	}
	p, err := s.metrics.page(targets, sel, format, nil)
	if err != nil {
		panic(err)
	}
	if compress {
		return len(p.compressed())
	}
	return len(p.body)
}
