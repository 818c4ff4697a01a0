package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// views are what readers request, in turn. Several paths are what a browser requests for the page.
var views = [][]string{
	{"/api/v1/metrics/window/5"},
	{"/api/v1/metrics/rates"},
	{"/api/v1/metrics/bucket/1"},
	{"/api/v1/metrics/app"},
	{"/metrics"},
	{"/api/v1/metrics/bucket/0"},
	{"/", "/assets/app.css", "/assets/app.js", "/api/v1/metrics/app", "/api/v1/metrics/window/5", "/api/v1/metrics/rates"},
}

// polls are the readers' results.
type polls struct {
	mu        sync.Mutex
	latency   map[string][]time.Duration // by path
	bytes     map[string]int             // size of the largest answer, uncompressed
	restarted int                        // answers that failed because the agent was stopped on purpose
}

func newPolls() *polls {
	return &polls{latency: make(map[string][]time.Duration), bytes: make(map[string]int)}
}

func (p *polls) add(path string, took time.Duration, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latency[path] = append(p.latency[path], took)
	p.bytes[path] = max(p.bytes[path], size)
}

// read is a reader: it requests one of the views once a second, every other time compressed. Each reader has its own
// connection.
func (s *soak) read(ctx context.Context, reader int) {
	transport := &http.Transport{DisableCompression: true} // this function checks the decompression itself
	defer transport.CloseIdleConnections()
	c := &http.Client{Timeout: 10 * time.Second, Transport: transport}
	view, compressed := views[reader%len(views)], reader/len(views)%2 == 1
	if !wait(ctx, time.Duration(reader)*time.Second/time.Duration(s.o.readers)) {
		return
	}
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for ctx.Err() == nil {
		for _, path := range view {
			s.poll(ctx, c, path, compressed)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
		}
	}
}

// poll requests a path once.
func (s *soak) poll(ctx context.Context, c *http.Client, path string, compressed bool) {
	epoch := s.agent.epoch.Load()
	if epoch%2 == 1 {
		return
	}
	began := time.Now()
	body, err := ask(ctx, c, s.agent.url+path, compressed)
	took := time.Since(began)
	switch {
	case err == nil && body != nil:
		s.polls.add(path, took, len(body))
	case err == nil || ctx.Err() != nil:
	case s.agent.epoch.Load() != epoch:
		s.polls.mu.Lock()
		s.polls.restarted++
		s.polls.mu.Unlock()
	default:
		s.fail("%s: after %v: %v", path, took.Round(time.Millisecond), err)
	}
}

// ask returns the body of a good answer, or nil if there can be no good answer yet.
func ask(ctx context.Context, c *http.Client, url string, compressed bool) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if compressed {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.Header.Get("Content-Encoding") == "gzip" {
		if !compressed {
			return nil, fmt.Errorf("compressed, which was not requested")
		}
		if body, err = gunzip(body); err != nil {
			return nil, err
		}
	}
	isJSON := strings.HasPrefix(res.Header.Get("Content-Type"), "application/json")
	switch {
	case isJSON && !json.Valid(body):
		return nil, fmt.Errorf("no valid JSON: %.200s", body)
	case res.StatusCode == http.StatusNotFound && isJSON && bytes.Contains(body, []byte("finished minutes yet")):
		return nil, nil
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %.200s", res.Status, body)
	case len(body) == 0:
		return nil, fmt.Errorf("empty")
	case !isJSON && strings.Contains(url, "/metrics/"):
		return nil, fmt.Errorf("no JSON but %s", res.Header.Get("Content-Type"))
	}
	return body, nil
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// quantile returns a quantile of values, or zero if there are none. It sorts the values.
func quantile[T cmp.Ordered](d []T, q float64) (v T) {
	if len(d) == 0 {
		return v
	}
	slices.Sort(d)
	return d[int(q*float64(len(d)-1))]
}

// checkLatencies fails the run if the median latency of a view is too long.
func (s *soak) checkLatencies() {
	for path, d := range s.polls.latency {
		if m := quantile(d, 0.5); m > s.o.median {
			s.fail("%s: median latency %v, more than %v", path, m.Round(time.Millisecond), s.o.median)
		}
	}
}
