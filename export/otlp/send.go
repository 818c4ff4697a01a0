package otlp

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"pktvisor/internal/regular"
	"pktvisor/policy"
)

// The bounds, in bytes, of a file with certificates or headers, of what is read of an answer, and of what is shown of it.
const (
	maxFile   = 1 << 20
	maxAnswer = 64 << 10
	maxReason = 200
)

// typeProtobuf is the media type of messages.
const typeProtobuf = "application/x-protobuf"

// pushError is why an attempt failed.
type pushError struct {
	why string
	// again says that another attempt may succeed, and after how long the receiver wants it at the earliest.
	again bool
	after time.Duration
}

// Error implements error.
func (e *pushError) Error() string { return e.why }

// partial is what a receiver says of a message that it has taken.
type partial struct {
	rejected uint64
	message  string
}

// checkFiles returns an error if a file cannot be used.
func (e *Exporter) checkFiles() error {
	if _, err := e.headers(); err != nil {
		return err
	}
	_, err := e.tlsConfig("")
	return err
}

// reasonOf returns the reason of an error that names a file which the message names anyway.
func reasonOf(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// headers returns the headers of the configuration and of the file.
func (e *Exporter) headers() (http.Header, error) {
	h := make(http.Header)
	for _, a := range e.cfg.Headers {
		h.Set(a.Key, a.Value)
	}
	if e.cfg.HeadersFile == "" {
		return h, nil
	}
	data, err := regular.Read(e.cfg.HeadersFile, maxFile)
	if err != nil {
		return nil, fmt.Errorf("OTLP headers %s: %w", e.cfg.HeadersFile, reasonOf(err))
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, err := policy.ParseHeader(line)
		if err != nil {
			return nil, fmt.Errorf("OTLP headers %s, line %d: %w", e.cfg.HeadersFile, number, err)
		}
		h.Set(name, value)
	}
	return h, nil
}

// tlsConfig reads the files.
func (e *Exporter) tlsConfig(host string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if e.cfg.CA != "" {
		data, err := regular.Read(e.cfg.CA, maxFile)
		cfg.RootCAs = x509.NewCertPool()
		if err == nil && !cfg.RootCAs.AppendCertsFromPEM(data) {
			err = errors.New("the file has no certificate in PEM form")
		}
		if err != nil {
			return nil, fmt.Errorf("OTLP certificates %s: %w", e.cfg.CA, reasonOf(err))
		}
	}
	if e.cfg.Cert != "" {
		pair, err := keyPair(e.cfg.Cert, e.cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("OTLP client certificate %s with key %s: %w", e.cfg.Cert, e.cfg.Key, reasonOf(err))
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

func keyPair(cert, key string) (pair tls.Certificate, err error) {
	chain, err := regular.Read(cert, maxFile)
	if err != nil {
		return pair, err
	}
	secret, err := regular.Read(key, maxFile)
	if err != nil {
		return pair, err
	}
	return tls.X509KeyPair(chain, secret)
}

// connect connects to the receiver, with the files as they are now.
func (e *Exporter) connect(ctx context.Context, to *url.URL) (net.Conn, error) {
	port := to.Port()
	if port == "" {
		port = to.Scheme // net knows the ports of both
	}
	addr := net.JoinHostPort(to.Hostname(), port)
	if to.Scheme != "https" {
		return e.cfg.dial(ctx, "tcp", addr)
	}
	cfg, err := e.tlsConfig(to.Hostname())
	if err != nil {
		return nil, err
	}
	conn, err := e.cfg.dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// post sends a request over a connection of its own, and returns the answer with the beginning of its body. Redirects are not
// followed: headers with secrets would follow. The client of net/http would make the program 0.4 MB larger, mostly for HTTP/2.
func (e *Exporter) post(ctx context.Context, q *http.Request) (r *http.Response, text []byte, err error) {
	conn, err := e.connect(ctx, q.URL)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	unsent := q.Write(conn) // a receiver may refuse it before it has read all
	bound := &io.LimitedReader{R: conn, N: maxAnswer}
	in := bufio.NewReader(bound)
	for {
		if r, err = http.ReadResponse(in, q); err != nil {
			return nil, nil, fmt.Errorf("no answer in HTTP: %w", cmp.Or(unsent, err))
		}
		if r.StatusCode/100 != 1 { // otherwise the answer follows
			break
		}
	}
	text, err = io.ReadAll(r.Body)
	if err != nil && bound.N > 0 && r.StatusCode/100 == 2 {
		return nil, nil, fmt.Errorf("the answer breaks off: %w", err)
	}
	return r, text, nil
}

// compress returns the body with gzip. It is valid until the next call.
func (e *Exporter) compress(message []byte) []byte {
	into := bytes.NewBuffer(e.body[:0])
	z := gzip.NewWriter(into)
	z.Write(message) // a buffer takes everything
	z.Close()
	e.body = into.Bytes()
	return e.body
}

// send posts a message. It returns the size of the body.
func (e *Exporter) send(ctx context.Context, message []byte) (answer partial, size int, failed *pushError) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	headers, err := e.headers()
	if err != nil {
		return answer, 0, &pushError{why: err.Error(), again: true}
	}
	headers.Set("Content-Type", typeProtobuf)
	if headers.Get("User-Agent") == "" {
		headers.Set("User-Agent", "pktvisord/"+e.cfg.Version)
	}
	body := message
	if !e.cfg.Plain {
		headers.Set("Content-Encoding", "gzip")
		body = e.compress(message)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.URL, bytes.NewReader(body))
	if err != nil { // the URL was checked
		return answer, 0, &pushError{why: err.Error()}
	}
	q.Header, q.Close = headers, true
	r, text, err := e.post(ctx, q)
	if err != nil {
		return answer, 0, &pushError{why: why(ctx, err), again: true}
	}
	if r.StatusCode/100 == 2 {
		return readPartial(text, r.Header.Get("Content-Type")), len(body), nil
	}
	return answer, 0, refusal(r, text)
}

// why describes why there is no answer.
func why(ctx context.Context, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "no answer in time"
	}
	return printable([]byte(err.Error()))
}

// refusal describes an answer with another status than 2xx.
func refusal(r *http.Response, text []byte) *pushError {
	e := &pushError{why: fmt.Sprintf("status %d", r.StatusCode)}
	switch r.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		e.again, e.after = true, retryAfter(r.Header.Get("Retry-After"), time.Now())
	}
	if r.StatusCode/100 == 3 {
		e.why += ": it redirects to " + printable([]byte(r.Header.Get("Location"))) + ", which is not followed: give that URL"
		return e
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == typeProtobuf {
		text = statusMessage(text)
	}
	if reason := printable(text); reason != "" {
		e.why += ": " + reason
	}
	return e
}

// retryAfter returns how long a server wants to be left alone: a number of seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// readPartial reads an ExportMetricsServiceResponse. What cannot be read says nothing: the status has said that the message was
// taken.
func readPartial(b []byte, mediaType string) (p partial) {
	if kind, _, _ := mime.ParseMediaType(mediaType); kind != typeProtobuf {
		return p
	}
	for f, ok := next(&b); ok; f, ok = next(&b) {
		if f.number != 1 {
			continue
		}
		inner := f.bytes
		for f, ok := next(&inner); ok; f, ok = next(&inner) {
			switch f.number {
			case 1:
				if f.value <= math.MaxInt64 { // it is an int64
					p.rejected = f.value
				}
			case 2:
				p.message = printable(f.bytes)
			}
		}
	}
	return p
}

// statusMessage returns the text of a google.rpc.Status.
func statusMessage(b []byte) []byte {
	for f, ok := next(&b); ok; f, ok = next(&b) {
		if f.number == 2 {
			return f.bytes
		}
	}
	return nil
}

// printable returns the first line of a text, shortened, with only printable characters.
func printable(text []byte) string {
	cut := text[:min(len(text), 4*maxReason)]
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return -1
		}
		return r
	}, string(cut))
	s = strings.TrimSpace(s)
	if n := []rune(s); len(n) > maxReason {
		s = string(n[:maxReason]) + "…"
	}
	return s
}
