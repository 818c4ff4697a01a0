package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pktvisor/agent"
	"pktvisor/anon"
	"pktvisor/docs"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/state"
)

// keyFile writes a secret into a file.
func keyFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readAs reads a capture with the given flags.
func readAs(t *testing.T, log io.Writer, args ...string) (*options, *captured) {
	t.Helper()
	o, err := parse(args)
	if err != nil {
		t.Fatal(err)
	}
	c, err := o.readCapture(t.Context(), strings.NewReader(""), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return o, c
}

// keysOf calls each with all keys of the tables of a bucket that hold addresses or names.
func keysOf(b *metric.Bucket, each func(h metric.Holds, key string)) {
	for _, s := range b.Sections {
		for i, d := range s.Table.Descs {
			var rows metric.Rows
			switch d.Kind {
			case metric.KindTop:
				rows = s.Top(i)
			case metric.KindDistinct:
				rows = s.Distinct(i)
			case metric.KindAmplification:
				rows = s.Amplification(i)
			default:
				continue
			}
			for key := range rows.Each() {
				each(d.Holds, string(key))
			}
		}
	}
}

// secretsOf returns the texts that must not leave an agent that anonymises: the addresses and prefixes of a bucket that is not
// anonymised, and its names that have more than the registered domain. IPv6 addresses are there as bytes too. An address that happens
// to be the pseudonym of another one is left out.
func secretsOf(b *metric.Bucket, key string) map[string]bool {
	secrets, public := map[string]bool{}, map[string]bool{}
	cfg := anon.Config{Names: must(anon.ParseNames("domain")), Key: must(anon.ReadKey(key, anon.DefaultSalt))}
	hidden := metric.NewBucket(agent.Tables)
	hidden.Merge(b)
	anon.New(cfg).Bucket(hidden)
	keysOf(hidden, func(h metric.Holds, key string) { public[strings.TrimPrefix(key, ".")] = true })
	keysOf(b, func(h metric.Holds, key string) {
		switch h {
		case metric.HoldsAddress:
			addr, err := netip.ParseAddr(strings.Split(key, "/")[0])
			if err != nil || addr.IsLoopback() || addr.IsUnspecified() {
				return // those are in every log
			}
			if !public[key] {
				secrets[key] = true
			}
			if raw := addr.As16(); addr.Is6() {
				secrets[string(raw[:])] = true
			}
		case metric.HoldsName:
			if name := strings.TrimPrefix(strings.TrimPrefix(key, "*"), "."); !public[name] && len(name) > 6 {
				secrets[name] = true
			}
		}
	})
	return secrets
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// isPart reports whether a byte can be a part of an address or a name.
func isPart(c byte) bool {
	return c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// findSecret returns a secret that occurs in an output, or "".
func findSecret(out []byte, secrets map[string]bool) string {
	for secret := range secrets {
		for at := 0; ; at++ {
			i := bytes.Index(out[at:], []byte(secret))
			if i < 0 {
				break
			}
			at += i
			end := at + len(secret)
			if (at == 0 || !isPart(out[at-1])) && (end == len(out) || !isPart(out[end])) {
				return secret
			}
		}
	}
	return ""
}

// plainSnapshots returns snapshots one after the other without compression.
func plainSnapshots(t *testing.T, data []byte) (plain []byte) {
	t.Helper()
	for len(data) > 0 {
		one, rest, err := metric.NextSnapshot(data)
		if err != nil {
			t.Fatal(err)
		}
		info, err := metric.ReadSnapshotInfo(one)
		if err != nil || info.Anonymity == "" {
			t.Fatalf("the header of a snapshot does not say that it is anonymised: %+v, %v", info, err)
		}
		b, err := metric.ReadSnapshot(agent.Tables, one)
		if err != nil {
			t.Fatal(err)
		}
		plain = b.AppendSnapshot(plain, metric.SnapshotOptions{TopKeys: -1, Compression: metric.Uncompressed})
		data = rest
	}
	return plain
}

// routesOf returns requests of all routes of an agent in the API's document, with the wildcards filled in.
func routesOf(t *testing.T) (all []string) {
	t.Helper()
	var document struct{ Paths map[string]any }
	if err := yaml.Unmarshal(docs.OpenAPI, &document); err != nil {
		t.Fatal(err)
	}
	with := map[string][]string{
		"/api/v1/metrics/window/{count}":                  {"/api/v1/metrics/window/1?rows=8192", "/api/v1/metrics/window/60?rows=8192"},
		"/api/v1/metrics/bucket/{period}":                 {"/api/v1/metrics/bucket/0?rows=8192", "/api/v1/metrics/bucket/1?rows=8192"},
		"/api/v1/metrics/range":                           {"/api/v1/metrics/range?from=-1h&rows=8192"},
		"/api/v1/snapshots":                               {"/api/v1/snapshots"},
		"/api/v1/series":                                  {"/api/v1/series?from=-1h&metric=packets.total"},
		"/api/v1/history":                                 {"/api/v1/history?from=-1h&table=dns.top_noerror&name=.example", "/api/v1/history?from=-1h&table=packets.top_ipv4&name=192.0.2.1"},
		"/api/v1/changes":                                 {"/api/v1/changes?from=-1m"},
		"/api/v1/fleet":                                   nil, // of a hub
		"/api/v1/policies/{name}":                         {"/api/v1/policies/default"},
		"/api/v1/policies/{name}/metrics/bucket/{period}": {"/api/v1/policies/default/metrics/bucket/0"},
		"/api/v1/policies/{name}/metrics/window/{period}": {"/api/v1/policies/default/metrics/window/60"},
		"/api/v1/policies/{name}/metrics/prometheus":      {"/api/v1/policies/default/metrics/prometheus"},
		"/api/v1/taps/{name}":                             nil, // they have no keys
		"/api/v1/taps":                                    nil,
		"/api/v1/reload":                                  nil, // these change the agent
		"/api/v1/server":                                  nil,
		"/api/v1/overlap":                                 nil,
		"/api/v1/events":                                  nil, // does not end; it has no keys
	}
	for path := range document.Paths {
		if requests, ok := with[path]; ok {
			all = append(all, requests...)
		} else if strings.Contains(path, "{") {
			t.Errorf("%s: say how to request it", path)
		} else {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// TestNothingLeaves reads captures of real traffic and walks everything that leaves an agent about them. No address of a client and
// no name below a registered domain is in any of it. Every table has as many keys as without, or fewer if names become one.
func TestNothingLeaves(t *testing.T) {
	key := keyFile(t, "a secret of the fleet")
	for _, name := range []string{"resolver-any.pcap", "dns-tcp.pcap", "dns-fragments.pcap", "dnsperf.pcap.gz", "demo.pcap.gz"} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name == "demo.pcap.gz" {
				t.Skip("it takes seconds")
			}
			path := filepath.Join(testkit.Captures(t), name)
			_, c := readAs(t, io.Discard, "--periods", "60", path)
			real := c.window.Merged(60)
			secrets := secretsOf(real, key)
			if len(secrets) < 5 {
				t.Fatalf("only %d secrets", len(secrets))
			}
			outputs := walk(t, path, key)
			for what, out := range outputs {
				if secret := findSecret(out, secrets); secret != "" {
					t.Errorf("%s has %q", what, secret)
				}
			}
			if secret := findSecret(real.AppendJSON(nil, metric.JSONOptions{Key: "60m", Rows: 8192}), secrets); secret == "" {
				t.Error("the search does not find a secret where it is")
			}
			if !bytes.Contains(outputs["/api/v1/metrics/window/60?rows=8192"], []byte(`"anonymized":[{"key":"`)) || !bytes.Contains(outputs["/api/v1/metrics/app"], []byte(`"names":"domain"}]`)) {
				t.Error("the API does not say that it is anonymised")
			}
		})
	}
}

// walk returns everything that leaves an agent about a capture, by what it is.
func walk(t *testing.T, path, key string) map[string][]byte {
	t.Helper()
	var log bytes.Buffer
	o, c := readAs(t, &log, "--periods", "60", "--anonymize", "--anonymize-key-file", key, "--anonymize-names", "domain", "--prom-topn", "1000", path)
	end := c.merged(60).End
	api := o.apiOf(c, c.minutes(end), end)
	outputs := map[string][]byte{}
	for _, request := range routesOf(t) {
		for _, accept := range []string{"*/*", "application/vnd.pktvisor.snapshot"} {
			r := httptest.NewRequest("GET", request, nil)
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r)
			out := w.Body.Bytes()
			if strings.HasPrefix(request, "/api/v1/snapshots") || strings.HasSuffix(w.Header().Get("Content-Type"), "snapshot") {
				out = plainSnapshots(t, out)
			} else if accept == "*/*" && w.Code != 200 && !strings.HasPrefix(request, "/api/v1/metrics/bucket/1") {
				t.Errorf("%s: %d %s", request, w.Code, out)
			}
			outputs[request] = append(outputs[request], out...)
		}
	}
	page, err := o.makeReport(c, nil, &log)
	if err != nil {
		t.Fatal(err)
	}
	outputs["report"] = page
	dir := t.TempDir()
	s, err := state.Open(dir, agent.Tables, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range c.window.Sealed() {
		s.Save(b)
	}
	s.Close(c.window.Bucket(0))
	files, _ := filepath.Glob(filepath.Join(dir, "*.pktvsnap"))
	if len(files) == 0 {
		t.Fatal("no state")
	}
	for _, file := range files {
		outputs["state"] = append(outputs["state"], plainSnapshots(t, must(os.ReadFile(file)))...)
	}
	outputs["unsealed"] = nil
	for _, b := range c.window.Unsealed() {
		outputs["unsealed"] = b.AppendJSON(outputs["unsealed"], metric.JSONOptions{Key: "1m", Rows: 8192})
	}
	outputs["summary"] = o.result(c.window, true).AppendJSON(nil, metric.JSONOptions{Key: "60m", Rows: 8192})
	outputs["log"] = log.Bytes()
	return outputs
}
