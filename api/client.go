package api

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pktvisor/access"
	"pktvisor/internal/loopback"
)

// DefaultPort is the port on which an agent listens by default.
const DefaultPort = 10853

// maxAnswer bounds an answer, in bytes. A busy minute is under 16 kB.
const maxAnswer = 8 << 20

// Client requests summaries from one agent or hub.
type Client struct {
	base    *url.URL
	name    string // of the server, for people
	http    *http.Client
	timeout time.Duration
	auth    *access.Auth
	query   url.Values // of every request
}

// Selection is the part of a fleet that a hub is asked about. The zero value is everything.
type Selection struct {
	// Tags, each key=value, select hosts. Of several values of one key, a host must have one. Of several keys, it must have
	// all.
	Tags []string
	// Host selects one host by its name, Policy one policy. Tap selects the window of a policy of an agent that has one for each tap,
	// Handler that of a further handler of a type, and Key the summary of what a followed key of that window has.
	Host, Policy, Tap, Handler, Key string
}

// Of returns a client that asks for a part of the fleet, which only a hub understands, or for a policy. An earlier agent may ignore
// it: see [App].Fleet and [App].Policies.
func (c *Client) Of(s Selection) *Client {
	part := *c // it shares the connections
	part.query = url.Values{}
	for _, tag := range s.Tags {
		part.query.Add("tag", tag)
	}
	if s.Host != "" {
		part.query.Set("host", s.Host)
	}
	if s.Policy != "" {
		part.query.Set("policy", s.Policy)
	}
	if s.Tap != "" {
		part.query.Set("tap", s.Tap)
	}
	if s.Handler != "" {
		part.query.Set("handler", s.Handler)
	}
	if s.Key != "" {
		part.query.Set("key", s.Key)
	}
	return &part
}

// DefaultRows is the number of rows of a top table unless the request gives another.
const DefaultRows = 10

// The times of connections: until one is there, and between two probes of an idle one. They are those of
// [http.DefaultTransport].
const (
	dialLimit = 30 * time.Second
	keepAlive = 30 * time.Second
)

// unixPrefix begins the URL of an agent on a Unix socket.
const unixPrefix = "unix:"

// NewClient returns a client of the agent at base, an http or https URL such as http://localhost:10853, or unix: and the
// path of a socket. A path in an http URL is kept as a prefix. No request takes longer than timeout. For an https URL,
// secure says which certificates to trust; nil means those that the system trusts. auth is sent with every request; it
// may be nil. NewClient sends nothing.
func NewClient(base string, timeout time.Duration, secure *tls.Config, auth *access.Auth) (*Client, error) {
	if path, unix := strings.CutPrefix(base, unixPrefix); unix {
		if path == "" {
			return nil, fmt.Errorf("agent URL %q: it has no path", base)
		}
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
		local := &url.URL{Scheme: "http", Host: "localhost"}
		return &Client{base: local, name: base, http: &http.Client{Transport: transport}, timeout: timeout, auth: auth}, nil
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("agent URL %q: %w", base, errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("agent URL %q: it must begin with http:// or https://", base)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("agent URL %q: it has no host", base)
	}
	u.RawQuery, u.Fragment = "", ""
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 4
	transport.DialContext = loopback.Dialer(dialLimit, keepAlive)
	if secure != nil {
		transport.TLSClientConfig = secure
	}
	client := &http.Client{Transport: transport}
	if auth != nil {
		client.CheckRedirect = access.SameOrigin
	}
	return &Client{base: u, name: u.Host, http: client, timeout: timeout, auth: auth}, nil
}

// Host returns host:port as in the URL, or unix: and the path of a socket.
func (c *Client) Host() string { return c.name }

// Window returns the merge of the newest n buckets, including the live one, with up to rows rows of each table. An
// original agent returns at most [DefaultRows].
func (c *Client) Window(ctx context.Context, n, rows int) (Summary, error) {
	return get(ctx, c, "metrics/window/"+strconv.Itoa(n), rows, ParseSummary)
}

// Bucket returns bucket k, with up to rows rows of each table. Bucket 0 is the live one, bucket 1 the newest finished
// minute.
func (c *Client) Bucket(ctx context.Context, k, rows int) (Summary, error) {
	return get(ctx, c, "metrics/bucket/"+strconv.Itoa(k), rows, ParseSummary)
}

// Rates returns the packet rates of this second.
func (c *Client) Rates(ctx context.Context) (Rates, error) {
	return get(ctx, c, "metrics/rates", DefaultRows, ParseRates)
}

// App returns the agent's description of itself.
func (c *Client) App(ctx context.Context) (App, error) {
	return get(ctx, c, "metrics/app", DefaultRows, ParseApp)
}

// Tables returns the agent's declaration of its summaries. An agent without the route answers 404: see
// [Error.NotThere].
func (c *Client) Tables(ctx context.Context) (Tables, error) {
	return get(ctx, c, "tables", DefaultRows, ParseTables)
}

// get requests one route below /api/v1, with up to rows rows of each table.
func get[T any](ctx context.Context, c *Client, route string, rows int, parse func([]byte) (T, error)) (T, error) {
	query := url.Values{}
	if rows > DefaultRows {
		query.Set("rows", strconv.Itoa(rows))
	}
	return ask(ctx, c, route, query, parse)
}

// ask requests one route below /api/v1 with parameters of its own, which it may change, and parses the answer. Every error
// is an *Error.
func ask[T any](ctx context.Context, c *Client, route string, query url.Values, parse func([]byte) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	u := c.base.JoinPath("api/v1", route)
	maps.Copy(query, c.query)
	u.RawQuery = query.Encode()
	at := u.String()
	body, status, err := c.fetch(ctx, at)
	if err != nil {
		return none, &Error{Kind: kindOf(err), URL: at, Err: err}
	}
	if status != http.StatusOK {
		return none, &Error{Kind: Status, URL: at, Status: status, Message: errorOf(body)}
	}
	v, err := parse(body)
	if err != nil {
		return none, &Error{Kind: BadAnswer, URL: at, Status: status, Err: err}
	}
	return v, nil
}

// errTooLarge is wrapped by the error for an answer longer than maxAnswer.
var errTooLarge = errors.New("answer is larger than 8 MB")

func (c *Client) fetch(ctx context.Context, at string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept", "application/json")
	if err := c.auth.Set(req.Header); err != nil {
		return nil, 0, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, 0, err
	}
	if len(body) > maxAnswer {
		return nil, 0, errTooLarge
	}
	return body, res.StatusCode, nil
}

// Kind says what went wrong between the client and the agent.
type Kind uint8

const (
	// Unreachable means that there was no connection, or that it broke before the answer was complete.
	Unreachable Kind = iota + 1
	// Timeout means that there was no complete answer in time.
	Timeout
	// Status means that the answer has an HTTP status other than 200.
	Status
	// BadAnswer means that the answer is not what an agent sends.
	BadAnswer
)

// Error is the error type of every request of a Client.
type Error struct {
	Kind    Kind
	URL     string
	Status  int    // HTTP status, for Status and BadAnswer
	Message string // the agent's message, for Status; comes from the network, not cleaned
	Err     error  // the cause; nil for Status
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	switch e.Kind {
	case Timeout:
		return e.URL + ": no answer in time"
	case Status:
		text := fmt.Sprintf("%s: HTTP %d %s", e.URL, e.Status, http.StatusText(e.Status))
		if e.Message != "" {
			text += ": " + e.Message
		}
		return text
	case BadAnswer:
		return fmt.Sprintf("%s: unexpected answer: %v", e.URL, e.Err)
	default:
		return e.URL + ": " + e.Reason()
	}
}

// Reason returns the innermost cause in a few words, such as "connection refused".
func (e *Error) Reason() string {
	if op, ok := errors.AsType[*net.OpError](e.Err); ok && op.Err != nil {
		cause := op.Err.Error()
		if i := strings.LastIndex(cause, ": "); i >= 0 {
			cause = cause[i+2:]
		}
		return cause
	}
	if wrapped, ok := errors.AsType[*url.Error](e.Err); ok {
		return wrapped.Err.Error()
	}
	if e.Err != nil {
		return e.Err.Error()
	}
	return http.StatusText(e.Status)
}

// NotThere reports whether the agent answered that the route does not exist.
func (e *Error) NotThere() bool { return e.Kind == Status && e.Status == http.StatusNotFound }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func kindOf(err error) Kind {
	if errors.Is(err, errTooLarge) {
		return BadAnswer
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return Timeout
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return Timeout
	}
	return Unreachable
}

// errorOf returns the message in an answer that is not 200. The text is that of net/http for a request without TLS.
func errorOf(body []byte) string {
	if strings.HasPrefix(string(body), "Client sent an HTTP request to an HTTPS server") {
		return "it speaks HTTPS: give an https:// URL"
	}
	return errorField(body)
}

// errorField returns the text of {"error": "..."}, or "".
func errorField(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Error
}
