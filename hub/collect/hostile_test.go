package collect

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/minute"
)

// sendAll returns a handler that answers with the given bytes as snapshots.
func sendAll(parts ...[]byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeSnapshot)
		for _, b := range parts {
			w.Write(b)
		}
	}
}

// huge returns an intact snapshot with a stored body of n bytes.
func huge(n int) []byte {
	small := snapshotOf(func(b *metric.Bucket) { b.Identity.Host = "huge" })
	header := int(binary.LittleEndian.Uint16(small[headerLen:]))
	s := append(small[:prelude+header:prelude+header], make([]byte, n)...)
	binary.LittleEndian.PutUint32(s[bodyLen:], uint32(n))
	return binary.LittleEndian.AppendUint32(s, crc32.Checksum(s, crc32.MakeTable(crc32.Castagnoli)))
}

// claiming returns the beginning of a snapshot whose prelude claims a body of n bytes.
func claiming(n uint32) []byte {
	s := snapshotOf(nil)
	binary.LittleEndian.PutUint32(s[bodyLen:], n)
	return s
}

// TestHostile: an agent that lies is refused with the reason, what is good in its answer is stored, and nothing else is.
func TestHostile(t *testing.T) {
	good := snapshotOf(nil)
	named := func(edit func(id *metric.Identity)) []byte {
		return snapshotOf(func(b *metric.Bucket) { edit(&b.Identity) })
	}
	at := func(d time.Duration) []byte {
		return snapshotOf(func(b *metric.Bucket) {
			b.Start = minute.Of(time.Now().Add(d).Unix())
			b.End = b.Start + minute.Seconds
		})
	}
	damaged := append([]byte(nil), good...)
	damaged[len(damaged)-6]++
	newer := append([]byte(nil), good...)
	newer[8] = 2
	text := func(h http.Header, status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range h {
				w.Header()[k] = v
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	sink, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	var thousand [][]byte
	for i := range 1000 {
		thousand = append(thousand, named(func(id *metric.Identity) { id.Policy = fmt.Sprint("p", i) }))
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		reason  Reason
		stored  uint64
		state   State
		error   string
	}{
		"good":         {sendAll(good), "", 1, Up, ""},
		"none":         {sendAll(), "", 0, Up, ""},
		"large":        {sendAll(huge(16<<20), good), store.ReasonSize, 1, Up, "snapshots are refused: size"},
		"large alone":  {sendAll(huge(store.MaxRaw)), store.ReasonSize, 0, Refused, "size"},
		"claims 4 GiB": {sendAll(good, claiming(1<<32-1)), NotSnapshot, 1, Refused, "cut short"},
		"claims a MiB": {sendAll(claiming(1<<20 - 10000)), NotSnapshot, 0, Refused, "cut short"},
		"cut":          {sendAll(good, good[:len(good)-1]), NotSnapshot, 1, Refused, "cut short"},
		"cut prelude":  {sendAll(good, good[:9]), NotSnapshot, 1, Refused, "cut short"},
		"damaged":      {sendAll(damaged, good), store.ReasonDamaged, 1, Up, "damaged"},
		"newer":        {sendAll(good, newer), store.ReasonVersion, 1, Refused, "newer format"},
		"rubbish":      {sendAll([]byte(strings.Repeat("rubbish", 10))), NotSnapshot, 0, Refused, "not from an agent"},
		"endless rubbish": {func(w http.ResponseWriter, r *http.Request) {
			sendAll()(w, r)
			io.Copy(w, &endless{pattern: []byte("x")})
		}, NotSnapshot, 0, Refused, "not from an agent"},
		"endless": {func(w http.ResponseWriter, r *http.Request) { sendAll()(w, r); io.Copy(w, &endless{pattern: good}) }, TooLong, 1, Refused, "too long"},
		"endless large": {func(w http.ResponseWriter, r *http.Request) {
			sendAll(claiming(1<<32-1))(w, r)
			io.Copy(w, &endless{pattern: make([]byte, 32<<10)})
		}, TooLong, 0, Refused, "too long"},
		"no UTF-8":      {sendAll(named(func(id *metric.Identity) { id.Host = "ns\xff1" }), good), store.ReasonHost, 1, Up, "host"},
		"control":       {sendAll(named(func(id *metric.Identity) { id.Policy = "a\x1bb" })), store.ReasonPolicy, 0, Refused, "policy"},
		"no host":       {sendAll(named(func(id *metric.Identity) { id.Host = "" })), store.ReasonHost, 0, Refused, "host"},
		"no policy":     {sendAll(named(func(id *metric.Identity) { id.Policy = "" })), store.ReasonPolicy, 0, Refused, "policy"},
		"future":        {sendAll(at(2*time.Hour+2*time.Minute), at(2*time.Hour-2*time.Minute)), store.ReasonFuture, 1, Up, "future"},
		"old":           {sendAll(at(-48*time.Hour-2*time.Minute), at(-48*time.Hour+2*time.Minute)), store.ReasonTooOld, 1, Up, "too_old"},
		"policies":      {sendAll(thousand...), TooMany, maxSeries, Up, "too_many"},
		"a day long":    {sendAll(snapshotOf(func(b *metric.Bucket) { b.End = b.Start + 3*86400 })), store.ReasonLength, 0, Refused, "length"},
		"404":           {text(nil, 404, `{"error":"there is\u001b[31m nothing"}`), BadStatus, 0, Refused, "HTTP 404: there is [31m nothing"},
		"401":           {text(nil, 401, ""), BadStatus, 0, Refused, "HTTP 401"},
		"304 unasked":   {text(nil, 304, ""), BadStatus, 0, Refused, "HTTP 304"},
		"web page":      {text(http.Header{"Content-Type": {"text/html"}}, 200, "<html>"), BadType, 0, Refused, "another type"},
		"gzip":          {gzipBomb, BadType, 0, Refused, "compressed"},
		"redirect":      {text(http.Header{"Location": {"http://192.0.2.1/"}}, 302, ""), Redirected, 0, Refused, "redirects to another host"},
		"redirect port": {text(http.Header{"Location": {"https://127.0.0.1/"}}, 307, ""), Redirected, 0, Refused, "redirects to another host"},
		"circle":        {text(http.Header{"Location": {"/a"}}, 302, ""), Redirected, 0, Refused, "in circles"},
		"long header":   {text(http.Header{"X": {strings.Repeat("x", 20<<10)}}, 200, ""), "", 0, Away, "exceeded"},
		"link back": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<?since="+r.URL.Query().Get("since")+`>; rel="next"`)
			sendAll(good)(w, r)
		}, BadLink, 1, Refused, "forward"},
		"link away": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", `<http://192.0.2.1/secret>; rel="next"`)
			sendAll(good)(w, r)
		}, BadLink, 1, Refused, "forward"},
		"link rubbish": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<%zz>; rel=next")
			sendAll(good)(w, r)
		}, BadLink, 1, Refused, "cannot be read"},
		"link of another": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</>; rel=prev, x")
			sendAll(good)(w, r)
		}, "", 1, Up, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(test.handler)
			defer s.Close()
			c := New(Config{Sink: sink})
			a, err := newAgent(Target{URL: s.URL}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c.prepare(a, time.Now())
			a.job.since = time.Now().Add(-maxAge).Unix()
			o := c.puller.run(t.Context(), a.job, a.progress)
			c.finish(a, &o, time.Now())
			got := a.describe(time.Now())
			if got.State != test.state || got.Fetched != test.stored || !strings.Contains(got.Error, test.error) || test.error == "" && got.Error != "" {
				t.Errorf("%+v", got)
			}
			if test.reason == "" && len(got.Refused) > 0 || test.reason != "" && got.Refused[test.reason] == 0 {
				t.Errorf("refused %v, want %q", got.Refused, test.reason)
			}
			if strings.ContainsFunc(got.Error, func(r rune) bool { return r < ' ' }) {
				t.Errorf("the error has control characters: %q", got.Error)
			}
		})
	}
}

// gzipBomb answers with zeros as gzip, whether that was asked for or not.
func gzipBomb(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", typeSnapshot)
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.CopyN(z, &endless{pattern: make([]byte, 32<<10)}, 100<<20)
	z.Close()
}

// pipes is a listener whose connections are pipes, so that it works with fake time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestSlow: agents that do not answer, that send a byte now and then, or that stop in the middle end with the time limit,
// and do not delay the others.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		drip := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", typeSnapshot)
			for _, b := range snapshotOf(nil) {
				w.Write([]byte{b})
				w.(http.Flusher).Flush()
				if !sleep(r.Context(), time.Second) {
					return
				}
			}
		}
		stall := func(w http.ResponseWriter, r *http.Request) {
			sendAll(snapshotOf(nil), snapshotOf(nil)[:30])(w, r)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
		begun := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		listeners := map[string]*pipes{}
		var targets Static
		var wg sync.WaitGroup
		serve := func(name string, h http.Handler) {
			l := newPipes()
			listeners[name+":80"] = l
			targets = append(targets, Target{URL: "http://" + name})
			s := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
			wg.Go(func() { s.Serve(l) })
			context.AfterFunc(ctx, func() { s.Close() })
		}
		for i := range 30 {
			serve(fmt.Sprint("hang", i), http.HandlerFunc(hang))
			serve(fmt.Sprint("drip", i), http.HandlerFunc(drip))
		}
		serve("stall", http.HandlerFunc(stall))
		good := newFake("good")
		serve("good", good.server)
		wg.Go(func() { good.run(ctx, 2*time.Second) })
		transport := newTransport(nil)
		transport.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) { return listeners[addr].dial(ctx) }
		shelf := &shelf{}
		c := New(Config{Sink: shelf, Sources: []Source{targets}, Concurrency: 8, transport: transport})
		wg.Go(func() { c.Run(ctx) })
		time.Sleep(20*time.Minute + 30*time.Second)
		synctest.Wait()
		worst, n := time.Duration(0), 0
		for _, a := range shelf.all() {
			if a.host == "good" {
				n++
				if a.start > begun.Add(3*time.Minute).Unix() { // until then, all agents may be good
					worst = max(worst, a.at.Sub(time.Unix(a.start+60, 0)))
				}
			}
		}
		if n != 20 || worst > 5*time.Second {
			t.Errorf("%d minutes of the good agent are stored, up to %v after their end", n, worst)
		}
		for _, s := range c.Status() {
			switch {
			case s.URL == "http://good":
				if s.State != Up {
					t.Errorf("%+v", s)
				}
			case s.State != Away || s.Error != "no answer in time" && s.Error != "timeout awaiting response headers":
				t.Errorf("%+v", s)
			}
			if s.URL == "http://stall" && s.Fetched == 0 {
				t.Errorf("what came before the stall is not stored: %+v", s)
			}
		}
		cancel()
		transport.CloseIdleConnections()
		wg.Wait()
	})
}
