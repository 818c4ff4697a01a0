package policy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// OTLP says where the metrics of a live capture are pushed by OTLP over HTTP.
type OTLP struct {
	// URL is where to post. Without one, nothing is pushed. Without a path, it is that of the standard: see [OTLP.Address].
	URL string `name:"url"`
	// Interval is the time from one push to the next: a second to an hour.
	Interval time.Duration `name:"interval"`
	// Headers are added to each request, each name=value: see [ParseHeader]. HeadersFile is the path of a file with more.
	Headers     []string `name:"headers"`
	HeadersFile string   `name:"headers_file"`
	// CA is the path of the certificates to trust, in PEM. Cert and Key are those of a client certificate and its key.
	CA   string `name:"ca"`
	Cert string `name:"cert"`
	Key  string `name:"key"`
	// Compression is gzip or none.
	Compression string `name:"compression"`
	// Scale is the resolution of histograms: 2^Scale buckets an octave, 0 to 6.
	Scale int `name:"scale"`
	// TopN is the number of rows of each top table: 0 to [MaxPromTopN].
	TopN int `name:"topn"`
	// Disable lists the groups of metrics that are not pushed.
	Disable []string `name:"disable"`
}

// DefaultOTLP returns the defaults of OTLP. It pushes nothing.
func DefaultOTLP() OTLP {
	return OTLP{Interval: time.Minute, Compression: "gzip", Scale: maxScale, TopN: 10}
}

const (
	// maxScale is the scale of the agent's histograms.
	maxScale = 6
	// maxHeaders bounds the headers of the command line.
	maxHeaders = 32
	// metricsPath is the path of a receiver of metrics unless the URL has one (OTLP specification, "OTLP/HTTP Request").
	metricsPath = "/v1/metrics"
)

// Address returns the URL with its path.
func (o *OTLP) Address() string {
	u, err := url.Parse(o.URL)
	if err != nil {
		return o.URL
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = metricsPath
	}
	return u.String()
}

// Port returns the TCP port of the URL, or 0 without a URL.
func (o *OTLP) Port() uint16 {
	u, err := url.Parse(o.URL)
	if err != nil || o.URL == "" {
		return 0
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(port)
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

func (o *OTLP) validate(f faults, known Known) {
	if o.URL != "" {
		if err := checkReceiver(o.URL); err != nil {
			f.problem("url", err.Error())
		}
	}
	if o.Interval < time.Second || o.Interval > time.Hour {
		f.value("interval", o.Interval, "give a time from 1s to 1h")
	}
	if len(o.Headers) > maxHeaders {
		f.problem("headers", fmt.Sprintf("%d headers: give at most %d", len(o.Headers), maxHeaders))
	}
	for _, text := range o.Headers[:min(len(o.Headers), maxHeaders)] {
		if _, _, err := ParseHeader(text); err != nil {
			f.problem("headers", err.Error())
		}
	}
	if o.Compression != "gzip" && o.Compression != "none" {
		f.value("compression", o.Compression, "give gzip or none")
	}
	if o.Scale < 0 || o.Scale > maxScale {
		f.value("scale", o.Scale, "give a number from 0 to %d", maxScale)
	}
	if o.TopN < 0 || o.TopN > MaxPromTopN {
		f.value("topn", o.TopN, "give a number of rows from 0 to %d", MaxPromTopN)
	}
	known.groups(f, "disable", o.Disable)
	if (o.Cert == "") != (o.Key == "") {
		f.sentence("cert", func(names ...string) string { return "give " + names[0] + " and " + names[1] + ", or neither" }, "otlp.key")
	}
	o.validateUse(f)
}

// validateUse reports what has no use without a URL, or without TLS.
func (o *OTLP) validateUse(f faults) {
	files := []struct{ field, value string }{{"headers_file", o.HeadersFile}, {"ca", o.CA}, {"cert", o.Cert}, {"key", o.Key}}
	for _, given := range files {
		switch {
		case given.value == "":
		case o.URL == "":
			f.sentence(given.field, func(names ...string) string { return names[0] + " is for " + names[1] + ": give both" }, "otlp.url")
		case given.field != "headers_file" && strings.HasPrefix(o.URL, "http://"):
			f.sentence(given.field, func(names ...string) string { return names[0] + " is for an https URL of " + names[1] }, "otlp.url")
		}
	}
	if o.URL == "" && len(o.Headers) > 0 {
		f.sentence("headers", func(names ...string) string { return names[0] + " is for " + names[1] + ": give both" }, "otlp.url")
	}
}

// checkReceiver returns an error that says what is wrong with the URL of a receiver, or nil. It does not repeat a secret.
func checkReceiver(text string) error {
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil, err != nil && strings.Contains(text, "@"):
		return errors.New("a URL with a user or a password: other users can see the command line, so give an Authorization header in a file")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "":
		return fmt.Errorf("%.100q is not the URL of an OTLP receiver: write it like http://192.0.2.1:4318 or https://otlp.example/v1/metrics", text)
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || port == 0) {
		return fmt.Errorf("%.100q: the port is not a number from 1 to 65535", text)
	}
	return nil
}

// ownHeaders are headers that a request sets itself.
var ownHeaders = map[string]bool{
	"Content-Type": true, "Content-Encoding": true, "Content-Length": true, "Transfer-Encoding": true, "Host": true,
	"Connection": true, "Te": true, "Trailer": true, "Upgrade": true,
}

// ParseHeader reads a header in the form name=value. Its error does not repeat the value, which may be a secret.
func ParseHeader(text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	switch {
	case !ok || name == "":
		return "", "", errors.New("a header is name=value, for example api-key=s3cret")
	case strings.ContainsFunc(name, func(r rune) bool {
		return r >= 0x7f || r <= ' ' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) // RFC 9110, 5.6.2
	}):
		return "", "", fmt.Errorf("%.50q is not the name of a header: a header is name=value", name)
	case ownHeaders[http.CanonicalHeaderKey(name)]:
		return "", "", fmt.Errorf("the header %.50s cannot be changed", name)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "", "", fmt.Errorf("the value of the header %.50s has control characters", name)
	}
	return name, value, nil
}
