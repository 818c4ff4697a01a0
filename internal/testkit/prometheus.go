package testkit

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Prometheus is a running Prometheus server. Its methods may be called by any number of goroutines.
type Prometheus struct {
	// URL is the address of its API, without a slash at the end.
	URL string
	log Log
}

// Sample is a value in the answer of a query: of a series at one time.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// StartPrometheus starts a Prometheus with the given configuration and further flags. It skips the test if none is
// installed. The server is killed when the test ends.
func StartPrometheus(t testing.TB, config string, flags ...string) *Prometheus {
	t.Helper()
	if _, err := exec.LookPath("prometheus"); err != nil {
		t.Skip("this test needs prometheus (Debian: prometheus)")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &Prometheus{URL: "http://" + addr}
	cmd := exec.Command("prometheus", append([]string{
		"--config.file=" + path, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + addr, "--log.level=warn",
	}, flags...)...)
	cmd.Stderr = &p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of prometheus:\n%s", &p.log)
		}
	})
	Eventually(t, "prometheus is ready", func() bool {
		r, err := http.Get(p.URL + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// Get decodes the member data of an answer of the API. An error names the path.
func (p *Prometheus) Get(path string, parameters url.Values, data any) error {
	r, err := http.PostForm(p.URL+path, parameters)
	if err == nil && r.StatusCode == http.StatusMethodNotAllowed {
		r.Body.Close()
		r, err = http.Get(p.URL + path + "?" + parameters.Encode())
	}
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		return fmt.Errorf("%s: %s: %.300s", path, r.Status, body)
	}
	return json.Unmarshal(answer.Data, data)
}

// Query returns the samples of an expression at a Unix time, or now if at is 0. A native histogram has the value NaN.
func (p *Prometheus) Query(query string, at float64) ([]Sample, error) {
	parameters := url.Values{"query": {query}}
	if at != 0 {
		parameters.Set("time", strconv.FormatFloat(at, 'f', 3, 64))
	}
	var data struct {
		Type   string `json:"resultType"`
		Result json.RawMessage
	}
	if err := p.Get("/api/v1/query", parameters, &data); err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	type series struct {
		Metric    map[string]string
		Value     [2]any
		Histogram []any
	}
	var result []series
	if data.Type == "scalar" {
		result = append(result, series{})
		if err := json.Unmarshal(data.Result, &result[0].Value); err != nil {
			return nil, err
		}
	} else if err := json.Unmarshal(data.Result, &result); err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	var samples []Sample
	for _, r := range result {
		s := Sample{r.Metric, math.NaN()}
		if r.Histogram == nil {
			var err error
			if s.Value, err = strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64); err != nil {
				return nil, fmt.Errorf("%s: %w", query, err)
			}
		}
		samples = append(samples, s)
	}
	return samples, nil
}

// Value returns the value of an expression that has one sample, or -1 if it has none or several.
func (p *Prometheus) Value(t testing.TB, query string) float64 {
	t.Helper()
	samples, err := p.Query(query, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(samples) != 1 {
		return -1
	}
	return samples[0].Value
}
