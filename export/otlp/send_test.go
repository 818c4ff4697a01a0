package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// pipes is a listener for connections in memory, so that a server runs in the time of [synctest].
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case l.conns <- b:
		return a, nil
	case <-l.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// received is a push that a server has read.
type received struct {
	at      time.Duration // since the start of the test
	header  http.Header
	message []byte
}

// receiver is a server that keeps what it gets.
type receiver struct {
	t      *testing.T
	pipes  *pipes
	server *http.Server
	began  time.Time
	answer func(w http.ResponseWriter, q *http.Request, n int)

	mu     sync.Mutex
	pushes []received
}

// newReceiver starts a server whose n-th request, from 1, is answered by answer. nil answers with 200.
func newReceiver(t *testing.T, answer func(w http.ResponseWriter, q *http.Request, n int)) *receiver {
	t.Helper()
	r := &receiver{t: t, pipes: newPipes(), began: time.Now(), answer: answer}
	r.server = &http.Server{Handler: r, ErrorLog: slog.NewLogLogger(quiet.Handler(), 0)}
	go r.server.Serve(r.pipes)
	return r
}

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if q.Header.Get("Content-Encoding") == "gzip" && err == nil {
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, err = io.ReadAll(z)
		}
	}
	if err != nil || q.Method != http.MethodPost || q.URL.Path != "/v1/metrics" || q.Header.Get("Content-Type") != typeProtobuf {
		r.t.Errorf("%s %s: %v", q.Method, q.URL, err)
	}
	r.mu.Lock()
	r.pushes = append(r.pushes, received{time.Since(r.began), q.Header, body})
	n := len(r.pushes)
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, q, n)
	}
}

// list returns the pushes so far.
func (r *receiver) list() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.pushes...)
}

// start starts an exporter of one counter that pushes to the receiver.
func (r *receiver) start(cfg Config) (*Exporter, *testkit.Log) {
	r.t.Helper()
	log := new(testkit.Log)
	cfg.URL, cfg.Log, cfg.dial = "http://collector:4318/v1/metrics?key=s3cret", slog.New(slog.NewTextHandler(log, nil)), r.pipes.dial
	v := &views{totals: metric.NewBucket([]*metric.Table{counterTable})}
	e := newExporter(r.t, cfg, Window{Policy: "p", Plain: true, Views: v, Tables: []*metric.Table{counterTable}})
	e.Start(nil)
	return e, log
}

// end stops all.
func (r *receiver) end(e *Exporter) {
	e.Close()
	r.server.Close()
	r.pipes.Close()
	time.Sleep(time.Minute) // until all handlers have ended
}

// waits returns the times between pushes.
func waits(list []received) (d []time.Duration) {
	for i := 1; i < len(list); i++ {
		d = append(d, list[i].at-list[i-1].at)
	}
	return d
}

// TestInterval: the first push comes within ten seconds, the others at each interval, and one more at the end.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, n int) {
			time.Sleep(time.Duration(n) * time.Second) // does not add up
		})
		e, log := r.start(Config{Headers: []Attribute{{"api-key", "k1"}}})
		time.Sleep(5*time.Minute + 20*time.Second)
		e.Close()
		list := r.list()
		if len(list) != 7 || list[0].at >= 10*time.Second {
			t.Fatalf("%d pushes, the first after %v", len(list), list[0].at)
		}
		for _, d := range waits(list)[:5] {
			if d != time.Minute {
				t.Errorf("%v between two pushes", d)
			}
		}
		h := list[0].header
		if h.Get("Api-Key") != "k1" || h.Get("User-Agent") != "pktvisord/1.2.3" || h.Get("Content-Encoding") != "gzip" {
			t.Errorf("%v", h)
		}
		st := e.Status()
		if st.Pushes != 6 || st.Failed != 1 || st.Points != 3 || st.URL != "http://collector:4318/v1/metrics" || st.Bytes < 50 || st.LastPush.IsZero() {
			t.Errorf("%+v", st) // the last one took longer than two seconds
		}
		if !strings.Contains(log.String(), "the last numbers were not pushed by OTLP") || strings.Contains(log.String(), "s3cret") {
			t.Error(log.String())
		}
		r.end(e)
	})
}

// TestCloseAtOnce: an attempt that the end interrupts is no failure, and the last numbers are pushed.
func TestCloseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, func(_ http.ResponseWriter, q *http.Request, n int) {
			if n == 1 {
				<-q.Context().Done()
			}
		})
		e, log := r.start(Config{})
		for len(r.list()) == 0 {
			time.Sleep(time.Second / 10)
		}
		e.Close()
		if st := e.Status(); st.Pushes != 1 || st.Failed != 0 || st.Error != "" || log.String() != "" {
			t.Errorf("%+v %s", st, log)
		}
		r.end(e)
	})
}

// TestRetry: what may pass is tried again, with growing waits and not before the receiver wants it.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		after  string
		again  bool
		reason string
		text   string
	}{
		{"429", 429, "", true, "status 429: slow down", "slow down\n"},
		{"502", 502, "", true, "status 502", ""},
		{"503", 503, "", true, "status 503", ""},
		{"504", 504, "", true, "status 504", ""},
		{"after", 503, "90", true, "status 503", ""},
		{"long", 503, "99999999", true, "status 503", ""},
		{"nonsense", 503, "-5, soon", true, "status 503", ""},
		{"400", 400, "7", false, "status 400: bad data", "bad\ndata\x00\x1b\xff"},
		{"401", 401, "", false, "status 401", ""},
		{"404", 404, "", false, "status 404", ""},
		{"413", 413, "", false, "status 413", ""},
		{"500", 500, "", false, "status 500", ""},
		{"redirect", 307, "", false, "status 307: it redirects to http://other/, which is not followed: give that URL", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, n int) {
					if n > 4 {
						return
					}
					w.Header().Set("Retry-After", c.after)
					w.Header().Set("Location", "http://other/")
					w.WriteHeader(c.status)
					io.WriteString(w, c.text)
				})
				e, log := r.start(Config{})
				for len(r.list()) < 4 {
					time.Sleep(time.Second)
				}
				synctest.Wait()
				st := e.Status()
				if st.Error != c.reason || st.Failed != 4 || st.Pushes != 0 {
					t.Errorf("%+v, want %q", st, c.reason)
				}
				for i, d := range waits(r.list()) {
					least, most := retryWait/2<<i, retryWait*3/2<<i
					switch {
					case !c.again:
						least, most = time.Minute, time.Minute
					case c.after == "90":
						least, most = 90*time.Second, 90*time.Second
					case c.after == "99999999":
						least, most = maxRetryAfter, maxRetryAfter
					}
					if d < least || d > most {
						t.Errorf("wait %d is %v, want %v to %v", i, d, least, most)
					}
				}
				time.Sleep(maxRetryAfter)
				if st := e.Status(); st.Error != "" || st.Pushes == 0 {
					t.Errorf("at last: %+v", st)
				}
				if text := log.String(); strings.Count(text, "cannot push by OTLP: ") != 1 || strings.Count(text, "pushing by OTLP again") != 1 {
					t.Error(text)
				}
				r.end(e)
			})
		})
	}
}

// TestHostile: whatever a receiver does, an attempt ends in time, and little of its answer is kept.
func TestHostile(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 10<<20)
	for name, answer := range map[string]func(w http.ResponseWriter, q *http.Request, n int){
		"hangs": func(_ http.ResponseWriter, q *http.Request, _ int) { <-q.Context().Done() },
		"drips": func(w http.ResponseWriter, q *http.Request, _ int) {
			for q.Context().Err() == nil {
				w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
		},
		"floods": func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.WriteHeader(400)
			w.Write(huge)
		},
		"headers": func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		},
		"garbage": func(w http.ResponseWriter, _ *http.Request, _ int) {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Write([]byte("\x16\x03\x01 garbage\r\n\r\n"))
			c.Close()
		},
		"breaks off": func(w http.ResponseWriter, _ *http.Request, _ int) {
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("x"))
		},
		"closes": func(w http.ResponseWriter, _ *http.Request, _ int) {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(t, answer)
				e, log := r.start(Config{})
				time.Sleep(10 * time.Minute)
				st := e.Status()
				if st.Pushes != 0 || st.Failed < 5 || st.Error == "" || len(st.Error) > 1000 || strings.ContainsAny(st.Error, "\x00\n") {
					t.Errorf("%d pushes, %d failed, %.1000q", st.Pushes, st.Failed, st.Error)
				}
				if n := strings.Count(log.String(), "cannot push by OTLP: "); n < 1 || n > 2 { // a broken connection may look like two
					t.Errorf("logged %d times: %.2000s", n, log.String())
				}
				began := time.Now()
				e.Close()
				took := time.Since(began)
				r.end(e)
				if took > closeWait {
					t.Errorf("it ends after %v", took)
				}
			})
		})
	}
}

// TestAway: without a receiver, it tries again and again, and says so once.
func TestAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t, nil)
		r.pipes.Close()
		e, log := r.start(Config{})
		time.Sleep(time.Hour)
		if st := e.Status(); st.Failed < 60 || st.Failed > 150 || st.Error != "connection refused" {
			t.Errorf("%+v", st)
		}
		if strings.Count(log.String(), "\n") != 1 {
			t.Error(log.String())
		}
		r.end(e)
	})
}

// TestPartial: what a receiver does not take is counted, and logged once for each reason.
func TestPartial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reasons := []string{"", "too\nold", "too\nold", "", "too\nold"}
		r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, n int) {
			var answer wire
			if reason := reasons[min(n, len(reasons))-1]; reason != "" {
				answer.message(1, func() {
					answer.varint(1, 2)
					answer.text(2, reason)
				})
			}
			w.Header().Set("Content-Type", typeProtobuf)
			w.Write(answer)
		})
		e, log := r.start(Config{})
		time.Sleep(4*time.Minute + 30*time.Second)
		if st := e.Status(); st.Pushes != 5 || st.Rejected != 6 || st.Error != "" {
			t.Errorf("%+v", st)
		}
		if text := log.String(); strings.Count(text, `level=WARN msg="the OTLP receiver does not take all points: too old"`) != 2 || !strings.Contains(text, "rejected=2 points=3") {
			t.Error(text)
		}
		r.end(e)
	})
}

// TestTLS: the certificates of both sides are checked, and read again for each connection.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	_, cert, key := (*testkit.Authority)(nil).Issue(t, dir, "right")
	_, other, otherKey := (*testkit.Authority)(nil).Issue(t, dir, "other")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	s.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), 0)
	s.StartTLS()
	defer s.Close()
	for name, c := range map[string]struct{ ca, cert, key, want string }{
		"good":         {cert, cert, key, ""},
		"no authority": {"", cert, key, "certificate signed by unknown authority"},
		"wrong one":    {other, cert, key, "certificate signed by unknown authority"},
		"no client":    {cert, "", "", "certificate required"},
		"wrong client": {cert, other, otherKey, "tls: "},
	} {
		e := newExporter(t, Config{URL: s.URL + "/v1/metrics", CA: c.ca, Cert: c.cert, Key: c.key})
		if err := e.push(t.Context()); (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.why, c.want) || !err.again) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	e := newExporter(t, Config{URL: s.URL + "/v1/metrics", CA: other, Cert: cert, Key: key})
	if e.push(t.Context()) == nil {
		t.Error("another authority is trusted")
	}
	data, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	write(t, other, string(data))
	if err := e.push(t.Context()); err != nil {
		t.Errorf("with a new file of certificates: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestHeadersFile: the file is read for each push, and a mistake in it does not repeat a secret.
func TestHeadersFile(t *testing.T) {
	var got http.Header
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { got = q.Header }))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "headers")
	write(t, file, "# secrets\n\nAuthorization=Bearer a=b\n x-scope = ns1 \n")
	e := newExporter(t, Config{URL: s.URL + "/v1/metrics", HeadersFile: file, Plain: true, Headers: []Attribute{{"Authorization", "old"}, {"user-agent", "mine"}}})
	if err := e.push(t.Context()); err != nil || got.Get("Authorization") != "Bearer a=b" || got.Get("X-Scope") != "ns1" || got.Get("User-Agent") != "mine" || got.Get("Content-Encoding") != "" {
		t.Errorf("%v %v", err, got)
	}
	write(t, file, "Authorization=Bearer new")
	if err := e.push(t.Context()); err != nil || got.Get("Authorization") != "Bearer new" {
		t.Errorf("%v %v", err, got)
	}
	write(t, file, "a=b\ns3cret")
	if err := e.push(t.Context()); err == nil || !err.again || err.why != "OTLP headers "+file+", line 2: a header is name=value, for example api-key=s3cret" {
		t.Errorf("%v", err)
	}
	write(t, file, "Host=x")
	if _, err := New(e.cfg); err == nil || err.Error() != "OTLP headers "+file+", line 1: the header Host cannot be changed" {
		t.Errorf("%v", err)
	}
}

// TestFiles: files that cannot be used are errors that name them.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	empty, none := filepath.Join(dir, "empty"), filepath.Join(dir, "none")
	write(t, empty, "\n")
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{CA: none}, "OTLP certificates " + none + ": no such file or directory"},
		{Config{CA: empty}, "OTLP certificates " + empty + ": the file has no certificate in PEM form"},
		{Config{CA: dir}, "OTLP certificates " + dir + ": is a directory, not a regular file"},
		{Config{Cert: none, Key: empty}, "OTLP client certificate " + none + " with key " + empty + ": no such file or directory"},
		{Config{Cert: empty, Key: empty}, "OTLP client certificate " + empty + " with key " + empty + ": "},
		{Config{HeadersFile: none}, "OTLP headers " + none + ": no such file or directory"},
		{Config{Scale: 7}, "OTLP: histogram scale 7: give a number from 0 to 6"},
	} {
		if _, err := New(c.cfg); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestRetryAfter: seconds and dates, and nothing that is neither.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "5": 5 * time.Second, "-1": 0, "1e9": 0, "901": maxRetryAfter, "99999999999999999999": 0,
		"Tue, 01 Dec 2026 12:00:30 GMT": 30 * time.Second, "Tue, 01 Dec 2026 11:00:00 GMT": 0, "Wed, 01 Dec 2027 12:00:00 GMT": maxRetryAfter,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// FuzzAnswer: no answer of a receiver makes the reader fail, and what it reads is short and printable.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{10, 4, 8, 2, 18, 0}, 200)
	f.Add([]byte{8, 3, 18, 2, 'h', 'i'}, 400)
	f.Add([]byte{10, 255, 255, 255, 255, 15, 13, 0, 9}, 503)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		p := readPartial(body, typeProtobuf)
		r := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {typeProtobuf}, "Location": {string(body)}, "Retry-After": {string(body)}}}
		for _, text := range []string{p.message, refusal(r, body).why, printable(body)} {
			if n := len([]rune(text)); n > maxReason+100 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
				t.Errorf("%d characters: %q", n, text)
			}
		}
	})
}

// FuzzWire: what is written is read again, whatever the lengths.
func FuzzWire(f *testing.F) {
	f.Add(uint64(300), int32(-5), "text", 127)
	f.Add(uint64(0), int32(0), strings.Repeat("x", 200), 128)
	f.Fuzz(func(t *testing.T, v uint64, s int32, text string, n int) {
		body := bytes.Repeat([]byte{7}, max(min(n, 1<<17), 0))
		var w wire
		w.message(3, func() {
			w.varint(1, v)
			w.sint(2, s)
			w.message(4, func() { w.raw(body) })
			w.text(5, text)
			w.fixed(6, v)
		})
		b := []byte(w)
		outer, ok := next(&b)
		if !ok || outer.number != 3 || len(b) != 0 {
			t.Fatalf("%v %v %d", outer, ok, len(b))
		}
		got := map[uint64]field{}
		for f, ok := next(&outer.bytes); ok; f, ok = next(&outer.bytes) {
			got[f.number] = f
		}
		z := uint32(got[2].value)
		if len(outer.bytes) != 0 || got[1].value != v || int32(z>>1)^-int32(z&1) != s || !bytes.Equal(got[4].bytes, body) || string(got[5].bytes) != text {
			t.Errorf("%v", fmt.Sprint(got))
		}
	})
}
