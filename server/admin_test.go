package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pktvisor/access"
	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/apicheck"
	"pktvisor/server"
)

const yamlType = "application/x-yaml"

// serve serves over a real socket of loopback, or at host, as the agent does. It returns the base of the URLs.
func serve(t *testing.T, cfg server.Config, host string) string {
	t.Helper()
	l, err := server.Listen(host, 0)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Hosts = server.NewHosts(l.Addr())
	srv := server.NewHTTP(server.New(cfg).Handler(), slog.New(slog.DiscardHandler))
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String()
}

// send sends a request and returns the status and the body.
func send(t *testing.T, method, url, contentType, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) && !strings.HasSuffix(url, "/prometheus") {
		t.Errorf("%s %s: %d, not JSON: %s", method, url, res.StatusCode, b)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}

// TestOrbSequence sends what the agents of Orb send, in their order and with their headers.
func TestOrbSequence(t *testing.T) {
	d := newDesk(emptyPolicy("default", []byte(`{"taps":{}}`)))
	d.taps["eth0"] = []byte(`{"input_type":"pcap","interface":"visor.module.input/1.0","config":{"iface":"eth0"},"tags":{"a":"b"}}`)
	api := serve(t, configOf(d, true), "localhost") + "/api/v1/"
	for _, c := range []struct {
		method, path, contentType, body string
		status                          int
		want                            string
	}{
		{"GET", "metrics/app", "", "", 200, `{"app":{"version":"1.2.3","up_time_min":`},
		{"GET", "taps", "", "", 200, `{"eth0":{"input_type":"pcap","interface":"visor.module.input/1.0","config":{"iface":"eth0"},"tags":{"a":"b"}}}`},
		{"POST", "policies", yamlType, policyYAML("p1", "one"), 201, `{"p1":{"kind":"collection","note":"one"}}`},
		{"GET", "policies/__all/metrics/bucket/1", "", "", 200, `{}`},
		{"GET", "policies/__all/metrics/bucket/0", "", "", 200, `{"default":{"default-eth0-my_dns":{"dns":{"period":`},
		{"POST", "policies", yamlType, policyYAML("p1", "two"), 409, `{"error":"policy with name 'p1' already defined"}`},
		{"DELETE", "policies/p1", "application/json", "", 200, `{}`},
		{"POST", "policies", yamlType, policyYAML("p1", "two"), 201, `{"p1":{"kind":"collection","note":"two"}}`},
		{"DELETE", "policies/p1", "application/json", "", 200, `{}`},
		{"DELETE", "policies/p1", "application/json", "", 404, `{"error":"policy does not exist`},
		{"POST", "policies", yamlType, "version: \"1.0\"\nvisor: {policies: {}}", 422, `{"error":"only a single policy expected but got 0"}`},
		{"POST", "policies", yamlType, policyYAML("p1", "three"), 201, `{"p1":`}, // one that failed has no effect on the next
	} {
		status, body := send(t, c.method, api+c.path, c.contentType, c.body)
		if status != c.status || !strings.HasPrefix(body, c.want) {
			t.Errorf("%s %s: %d %.300s, want %d %s", c.method, c.path, status, body, c.status, c.want)
		}
	}
}

// TestPut: PUT adds and replaces. The same request twice has the effect of one: the policy keeps its window.
func TestPut(t *testing.T) {
	d := newDesk()
	api := serve(t, configOf(d, true), "localhost") + "/api/v1/"
	put := func(path, body string, status int, want string) {
		t.Helper()
		if got, text := send(t, "PUT", api+path, yamlType, body); got != status || !strings.HasPrefix(text, want) {
			t.Errorf("PUT %s: %d %s, want %d %s", path, got, text, status, want)
		}
	}
	put("policies/p1", policyYAML("p1", "one"), 201, `{"p1":{"kind":"collection","note":"one"}}`)
	window := d.Policies()[0].Windows[0].Views
	put("policies/p1", policyYAML("p1", "one"), 200, `{"p1":{"kind":"collection","note":"one"}}`)
	if len(d.Policies()) != 1 || d.Policies()[0].Windows[0].Views != window {
		t.Error("the same request has changed the policy")
	}
	put("policies/p1", policyYAML("p1", "two"), 200, `{"p1":{"kind":"collection","note":"two"}}`)
	put("policies/p2", policyYAML("p1", "two"), 422, `{"error":"the document has the policy p1, and the path p2"}`)
	put("policies/p1", "version: \"1.0\"\nvisor: {policies: {p1: broken}}", 500, `{"error":"the disk is on fire"}`)
	put("taps/t1", "version: \"1.0\"\nvisor: {taps: {t1: {input_type: pcap}}}", 201, `{"t1":{"input_type":"pcap"}}`)
	put("taps/eth0", `{"version": "1.0", "visor": {"taps": {"eth0": {"input_type": "pcap"}}}}`, 201, `{"eth0":{"input_type":"pcap"}}`)
	if status, body := send(t, "DELETE", api+"taps/eth0", "", ""); status != 409 || !strings.Contains(body, "tap eth0 is used by the policy p1: remove that first") {
		t.Errorf("a tap in use: %d %s", status, body)
	}
	if status, body := send(t, "DELETE", api+"taps/t1", "", ""); status != 200 || body != "{}" {
		t.Errorf("a tap: %d %s", status, body)
	}
	if status, _ := send(t, "POST", api+"reload", "application/x-www-form-urlencoded", ""); status != 400 || d.reloads.Load() != 0 {
		t.Errorf("reload by a form: %d", status)
	}
	for _, want := range []int{200, 422} {
		if status, body := send(t, "POST", api+"reload", "", ""); status != want || want == 422 && !strings.Contains(body, "pktvisor.yaml:3:5") {
			t.Errorf("reload: %d %s, want %d", status, body, want)
		}
	}
	if status, body := send(t, "DELETE", api+"server", "", ""); status != 200 || body != "{}" {
		t.Errorf("stop: %d %s", status, body)
	}
	<-d.stopped
}

// TestWithoutAdminAPI: nothing can be changed, and what can be read is still there.
func TestWithoutAdminAPI(t *testing.T) {
	d := newDesk(emptyPolicy("default", nil))
	h, check := server.New(configOf(d, false)).Handler(), apicheck.New(t)
	for _, c := range [][2]string{
		{"POST", "/api/v1/policies"}, {"POST", "/api/v1/taps"}, {"PUT", "/api/v1/policies/default"}, {"DELETE", "/api/v1/policies/default"}, {"DELETE", "/api/v1/server"},
		{"POST", "/api/v1/reload"}, {"GET", "/api/v1/reload"}, {"PATCH", "/api/v1/taps/x"}, {"OPTIONS", "/api/v1/policies"},
	} {
		w := change(h, c[0], c[1], yamlType, policyYAML("p1", "one"))
		if w.Code != 404 || !strings.Contains(w.Body.String(), "--admin-api") {
			t.Errorf("%s %s: %d %s", c[0], c[1], w.Code, w.Body)
		}
	}
	for _, path := range []string{"/api/v1/taps", "/api/v1/taps/", "/api/v1/policies", "/api/v1/policies/default/", "/api/v1/policies/default/metrics/bucket/0/"} {
		w := get(t, h, path)
		if w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		check.Check(t, strings.TrimSuffix(path, "/"), w.Code, w.Header(), w.Body.Bytes())
	}
	if len(d.Policies()) != 1 {
		t.Error("something was changed")
	}
}

// change sends a request to a handler as a client on this host does, with further headers.
func change(h http.Handler, method, path, contentType, body string, header ...string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, path, strings.NewReader(body)), httptest.NewRecorder()
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:10853"
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		switch header[i] {
		case "Host":
			r.Host = header[i+1]
		case "From":
			r.RemoteAddr = header[i+1]
		default:
			r.Header.Add(header[i], header[i+1])
		}
	}
	h.ServeHTTP(w, r)
	return w
}

// TestWhoMayChange: only this host, or a token, and no page of another origin. What is refused changes nothing.
func TestWhoMayChange(t *testing.T) {
	dir := t.TempDir()
	const token = "0123456789abcdef0123456789abcdef"
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	guard, err := access.Open(access.Config{AdminToken: file})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(emptyPolicy("default", nil))
	cfg := configOf(d, true)
	cfg.Access, cfg.Origins = guard, []string{"https://grafana.example"}
	cfg.Hosts = server.NewHosts(listens("0.0.0.0"), "ns1.example", "*")
	h, check := server.New(cfg).Handler(), apicheck.New(t)
	const away, bearer = "192.0.2.7:4000", "Bearer " + token
	for _, c := range []struct {
		name   string
		header []string
		status int
	}{
		{"this host", nil, 201},
		{"over IPv6", []string{"From", "[::1]:1", "Host", "[::1]:10853"}, 201},
		{"mapped", []string{"From", "[::ffff:127.0.0.1]:1"}, 201},
		{"elsewhere", []string{"From", away, "Host", "ns1.example"}, 401},
		{"elsewhere, with a token", []string{"From", away, "Host", "ns1.example", "Authorization", bearer}, 201},
		{"elsewhere, with another token", []string{"From", away, "Host", "ns1.example", "Authorization", "Bearer x" + token}, 401},
		{"elsewhere, says that it is here", []string{"From", away, "Host", "localhost", "X-Forwarded-For", "127.0.0.1"}, 401},
		{"a proxy on this host", []string{"X-Forwarded-For", "192.0.2.7"}, 401},
		{"a proxy on this host, without an address", []string{"X-Forwarded-For", ""}, 401},
		{"a proxy that names the host only", []string{"X-Forwarded-Host", "a"}, 401},
		{"a proxy with Forwarded", []string{"Forwarded", "for=192.0.2.7"}, 401},
		{"a proxy with Via", []string{"Via", "1.1 a"}, 401},
		{"a proxy with X-Real-IP", []string{"X-Real-IP", "192.0.2.7"}, 401},
		{"a proxy, with a token", []string{"X-Forwarded-For", "192.0.2.7", "Authorization", bearer}, 201},
		{"the page of the agent", []string{"Origin", "http://localhost:10853", "Sec-Fetch-Site", "same-origin"}, 201},
		{"another page", []string{"Origin", "https://evil.example"}, 403},
		{"another page, with a token", []string{"Origin", "https://evil.example", "Authorization", bearer}, 403},
		{"a page that may read", []string{"Origin", "https://grafana.example"}, 403},
		{"another port", []string{"Origin", "http://localhost:3000"}, 403},
		{"a file", []string{"Origin", "null"}, 403},
		{"two origins", []string{"Origin", "http://localhost:10853", "Origin", "https://evil.example"}, 403},
		{"another site, without an origin", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another host of the site", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:10853"}, 403},
		{"DNS rebinding", []string{"Host", "evil.example:10853", "Origin", "http://evil.example:10853", "Sec-Fetch-Site", "same-origin"}, 421},
		{"a name that only * allows", []string{"Host", "stats.example"}, 421},
		{"a name that was given", []string{"Host", "ns1.example:10853"}, 201},
	} {
		before := d.adds.Load()
		d.set(server.APolicy, "p1", []byte("{}"))
		if err := d.Remove(t.Context(), server.APolicy, "p1"); err != nil {
			t.Fatal(err)
		}
		w := change(h, "POST", "/api/v1/policies", yamlType, policyYAML("p1", "one"), c.header...)
		if w.Code != c.status || (d.adds.Load() == before) != (c.status != 201) {
			t.Errorf("%s: %d %s, want %d; %d were added", c.name, w.Code, w.Body, c.status, d.adds.Load()-before)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a page may read the answer", c.name)
		}
		check.CheckMethod(t, "POST", "/api/v1/policies", w.Code, w.Header(), w.Body.Bytes())
	}
	for _, method := range []string{"PUT", "DELETE"} {
		w := change(h, method, "/api/v1/policies/default", yamlType, policyYAML("default", "one"), "Origin", "https://evil.example")
		if w.Code != 403 || len(d.Policies()[0].Description) != 0 {
			t.Errorf("%s by another page: %d", method, w.Code)
		}
	}
	for _, c := range [][2]string{{"POST", "/api/v1/reload"}, {"DELETE", "/api/v1/server"}, {"PUT", "/api/v1/taps/x"}, {"DELETE", "/api/v1/taps/x"}} {
		if w := change(h, c[0], c[1], yamlType, "", "From", away, "Host", "ns1.example"); w.Code != 401 {
			t.Errorf("%s %s from elsewhere: %d", c[0], c[1], w.Code)
		}
	}
	// What a browser asks before a page of another origin sends a request.
	for _, asked := range []string{"POST", "PUT", "DELETE"} {
		w := change(h, "OPTIONS", "/api/v1/policies", "", "", "Origin", "https://grafana.example", "Access-Control-Request-Method", asked)
		if w.Code < 400 || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("before %s: %d %v", asked, w.Code, w.Header())
		}
	}
	if w := change(h, "GET", "/api/v1/policies", "", "", "Origin", "https://grafana.example"); w.Header().Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page that may read cannot read the policies")
	}
}

// TestAdminsOfTheAuthFile: with an auth file, everybody must log in, also on this host, and only admins may change something.
func TestAdminsOfTheAuthFile(t *testing.T) {
	dir := t.TempDir()
	auth, file := filepath.Join(dir, "auth"), filepath.Join(dir, "token")
	if err := errors.Join(
		os.WriteFile(auth, fmt.Appendf(nil, "read bob %s\nadmin alice %s\n", shaOf("bob's token"), shaOf("alice's token")), 0o600),
		os.WriteFile(file, []byte("0123456789abcdef"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	guard, err := access.Open(access.Config{AuthFile: auth, AdminToken: file})
	if err != nil {
		t.Fatal(err)
	}
	cfg := configOf(newDesk(), true)
	cfg.Access = guard
	h := server.New(cfg).Handler()
	for _, from := range []string{"127.0.0.1:1", "192.0.2.7:1"} {
		for authorization, want := range map[string]int{"": 401, "Bearer bob's token": 403, "Bearer alice's token": 201, "Bearer 0123456789abcdef": 201} {
			w := change(h, "PUT", "/api/v1/policies/p1", yamlType, policyYAML("p1", "one"), "From", from, "Authorization", authorization)
			if w.Code != want && (want != 201 || w.Code != 200) {
				t.Errorf("%s with %q: %d %s, want %d", from, authorization, w.Code, w.Body, want)
			}
		}
	}
}

// TestDocuments: what is not a whole document of a type that no form can send changes nothing, and the answer says why.
func TestDocuments(t *testing.T) {
	d := newDesk()
	h, check := server.New(configOf(d, true)).Handler(), apicheck.New(t)
	yes := policyYAML("p1", "one")
	for _, c := range []struct {
		contentType, body string
		header            []string
		status            int
		text              string
	}{
		{"", yes, nil, 400, "must include Content-Type header"},
		{"application/xml", yes, nil, 400, "Content-Type not supported"},
		{"application/x-yaml; charset=latin1", yes, nil, 400, "must be in UTF-8"},
		{"application/x-yaml;;;=", yes, nil, 400, "Content-Type not supported"},
		{"text/plain", yes, nil, 400, "Content-Type not supported"},
		{"application/x-www-form-urlencoded", yes, nil, 400, "Content-Type not supported"},
		{"multipart/form-data; boundary=x", yes, nil, 400, "Content-Type not supported"},
		{"Text/Plain; charset=utf-8", yes, nil, 400, "Content-Type not supported"},
		{yamlType, yes, []string{"Content-Type", "text/plain"}, 400, "Content-Type not supported"},
		{yamlType, yes, []string{"Content-Encoding", "gzip"}, 415, "send the document as it is"},
		{yamlType, "", nil, 400, "empty data"},
		{yamlType, " \n\t", nil, 400, "empty data"},
		{yamlType, strings.Repeat("#", 10<<20), nil, 413, "more than 4194304 bytes"},
		{yamlType, "a: [", nil, 422, "invalid schema"},
		{yamlType + "; charset=utf-8", yes, nil, 201, `{"p1":`},
		{"APPLICATION/JSON; charset=\"UTF-8\"", `{"visor":{"policies":{"p2":{}}}}`, nil, 201, `{"p2":{}}`},
		{"application/yaml", policyYAML("p3", "one") + strings.Repeat("#", 1<<20), nil, 201, `{"p3":`},
	} {
		before := d.adds.Load()
		w := change(h, "POST", "/api/v1/policies", c.contentType, c.body, c.header...)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || (d.adds.Load() == before) != (c.status != 201) {
			t.Errorf("%q %q %.40q: %d %.200s, want %d with %q", c.contentType, c.header, c.body, w.Code, w.Body, c.status, c.text)
		}
		check.CheckMethod(t, "POST", "/api/v1/policies", w.Code, w.Header(), w.Body.Bytes())
	}
	for _, c := range [][2]string{{"PATCH", "/api/v1/policies"}, {"POST", "/api/v1/policies/p1"}, {"GET", "/api/v1/server"}, {"POST", "/api/v1/policies/p1/metrics/bucket/1"}, {"TRACE", "/api/v1/reload"}} {
		if w := change(h, c[0], c[1], yamlType, yes); w.Code != 405 || w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: %d, Allow %q", c[0], c[1], w.Code, w.Header().Get("Allow"))
		}
	}
}

// TestBrokenBodies: a document whose connection breaks, or that ends early, changes nothing.
func TestBrokenBodies(t *testing.T) {
	d := newDesk()
	url := serve(t, configOf(d, true), "localhost")
	before := runtime.NumGoroutine()
	yes := policyYAML("p1", "one")
	for _, c := range []struct{ head, body string }{
		{fmt.Sprintf("Content-Length: %d", len(yes)+1), yes}, // one byte is missing
		{"Content-Length: 1000000", yes},
		{"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n", len(yes), yes)}, // without an end
		{"Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s", len(yes)+100, yes)},
		{"Transfer-Encoding: chunked", "zz\r\n" + yes},
		{"Content-Length: 100\r\nExpect: 100-continue", ""},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /api/v1/policies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-yaml\r\n%s\r\n\r\n%s", c.head, c.body)
		conn.(*net.TCPConn).CloseWrite()
		answer := bufio.NewReader(conn)
		res, err := http.ReadResponse(answer, nil)
		if err == nil && res.StatusCode == http.StatusContinue {
			res, err = http.ReadResponse(answer, nil)
		}
		if err != nil || res.StatusCode != 400 {
			t.Errorf("%q: %v, %v", c.head, res, err)
		}
		conn.Close()
	}
	if d.adds.Load() != 0 || len(d.Policies()) != 0 {
		t.Error("a document that is not complete has added a policy")
	}
	testkit.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// TestSlowBody: a document may come slowly, as over a bad link.
func TestSlowBody(t *testing.T) {
	d := newDesk()
	url := serve(t, configOf(d, true), "localhost")
	r, w := io.Pipe()
	go func() {
		for _, part := range strings.SplitAfter(policyYAML("p1", "one"), "\n") {
			time.Sleep(500 * time.Millisecond) // more than the second that other routes give a body, in all
			io.WriteString(w, part)
		}
		w.Close()
	}()
	res, err := http.Post(url+"/api/v1/policies", yamlType, r)
	if err != nil || res.StatusCode != 201 {
		t.Errorf("%v, %v", res, err)
	}
}

// TestGoneClient: a change that has begun is finished when its client is gone.
func TestGoneClient(t *testing.T) {
	d := newDesk()
	d.slow = make(chan struct{})
	h := server.New(configOf(d, true)).Handler()
	begun, noticed := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		context.AfterFunc(r.Context(), func() { close(noticed) })
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	ctx, gone := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/api/v1/policies", strings.NewReader(policyYAML("p1", "one")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", yamlType)
	ended := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(r)
		ended <- err
	}()
	<-begun
	time.AfterFunc(50*time.Millisecond, gone) // when the document is read
	if err := <-ended; err == nil {
		t.Fatal("the client was not gone")
	}
	<-noticed
	d.slow <- struct{}{}
	testkit.Eventually(t, "the policy is there", func() bool { return len(d.Policies()) == 1 })
}

// TestConcurrentChanges: of a hundred clients that add, replace, read and remove the same names at once, each gets an answer that says
// what happened, and the counts agree.
func TestConcurrentChanges(t *testing.T) {
	d := newDesk(emptyPolicy("default", nil))
	api := serve(t, configOf(d, true), "localhost") + "/api/v1/"
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	before := runtime.NumGoroutine()
	var mu sync.Mutex
	count := map[string]int{}
	var running sync.WaitGroup
	for i := range 100 {
		running.Go(func() {
			name := fmt.Sprintf("p%d", i%3)
			method, path, body := "POST", "policies", policyYAML(name, "one")
			switch i % 4 {
			case 1:
				method, path, body = "DELETE", "policies/"+name, ""
			case 2:
				method, path = "GET", "policies/"+name+"/metrics/window/2"
			}
			for range 5 {
				r, err := http.NewRequest(method, api+path, strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", yamlType)
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				text, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if !json.Valid(text) {
					t.Errorf("%s %s: %d %s", method, path, res.StatusCode, text)
				}
				mu.Lock()
				count[fmt.Sprint(method, " ", res.StatusCode)]++
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if int64(count["POST 201"]) != d.adds.Load() || int64(count["DELETE 200"]) != d.removes.Load() || d.adds.Load()-d.removes.Load() != int64(len(d.Policies())-1) {
		t.Errorf("%v; %d were added, %d removed, %d are there", count, d.adds.Load(), d.removes.Load(), len(d.Policies()))
	}
	if count["POST 201"]+count["POST 409"] != 250 || count["DELETE 200"]+count["DELETE 404"] != 125 || count["GET 200"]+count["GET 404"] != 125 {
		t.Errorf("%v", count)
	}
	client.CloseIdleConnections()
	testkit.Eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// TestChangeOverUnixSocket: a client on the agent's Unix socket may change it, by any local name.
func TestChangeOverUnixSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	d := newDesk()
	serve(t, configOf(d, true), "unix:"+path)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	defer client.CloseIdleConnections()
	for host, want := range map[string]int{"localhost": 201, "evil.example": 421} {
		res, err := client.Post("http://"+host+"/api/v1/policies", yamlType, bytes.NewBufferString(policyYAML("p1", "one")))
		if err != nil || res.StatusCode != want {
			t.Errorf("%s: %v, %v; want %d", host, res, err, want)
		}
	}
}
