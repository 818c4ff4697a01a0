package policy

import (
	"strings"
	"testing"
	"time"
)

// TestOTLP checks each message about OTLP, and each limit from both sides.
func TestOTLP(t *testing.T) {
	const url = "https://otlp.example"
	secret := "s3cret"
	for _, c := range []struct {
		o    OTLP
		want string // "" is valid
	}{
		{OTLP{}, ""},
		{OTLP{URL: "http://[::1]:4318"}, ""},
		{OTLP{URL: url + "/a?b=c", CA: "ca", Cert: "c", Key: "k", HeadersFile: "h", Headers: []string{"a=b", "x-y= z"}, Compression: "none"}, ""},
		{OTLP{URL: "otlp.example:4318"}, `otlp.url: "otlp.example:4318" is not the URL of an OTLP receiver: write it like http://192.0.2.1:4318 or https://otlp.example/v1/metrics`},
		{OTLP{URL: "grpc://otlp.example"}, `otlp.url: "grpc://otlp.example" is not the URL of an OTLP receiver: write it like http://192.0.2.1:4318 or https://otlp.example/v1/metrics`},
		{OTLP{URL: "http://"}, `otlp.url: "http://" is not the URL of an OTLP receiver: write it like http://192.0.2.1:4318 or https://otlp.example/v1/metrics`},
		{OTLP{URL: "http://a/#b"}, `otlp.url: "http://a/#b" is not the URL of an OTLP receiver: write it like http://192.0.2.1:4318 or https://otlp.example/v1/metrics`},
		{OTLP{URL: "https://u:s3cret@otlp.example"}, "otlp.url: a URL with a user or a password: other users can see the command line, so give an Authorization header in a file"},
		{OTLP{URL: "https://u:s3cret%@otlp.example"}, "otlp.url: a URL with a user or a password: other users can see the command line, so give an Authorization header in a file"},
		{OTLP{URL: "http://a:0"}, `otlp.url: "http://a:0": the port is not a number from 1 to 65535`},
		{OTLP{URL: "http://a:65536"}, `otlp.url: "http://a:65536": the port is not a number from 1 to 65535`},
		{OTLP{Interval: time.Second - 1}, "otlp.interval: 999.999999ms: give a time from 1s to 1h"},
		{OTLP{Interval: time.Hour + 1}, "otlp.interval: 1h0m0.000000001s: give a time from 1s to 1h"},
		{OTLP{URL: url, Headers: []string{secret}}, "otlp.headers: a header is name=value, for example api-key=s3cret"},
		{OTLP{URL: url, Headers: []string{"=x"}}, "otlp.headers: a header is name=value, for example api-key=s3cret"},
		{OTLP{URL: url, Headers: []string{"a b=" + secret}}, `otlp.headers: "a b" is not the name of a header: a header is name=value`},
		{OTLP{URL: url, Headers: []string{"a:b=" + secret}}, `otlp.headers: "a:b" is not the name of a header: a header is name=value`},
		{OTLP{URL: url, Headers: []string{"content-type=" + secret}}, "otlp.headers: the header content-type cannot be changed"},
		{OTLP{URL: url, Headers: []string{"a=x\r\nb: c"}}, "otlp.headers: the value of the header a has control characters"},
		{OTLP{URL: url, Headers: strings.Split(strings.Repeat("a=b,", 32)+"a=b", ",")}, "otlp.headers: 33 headers: give at most 32"},
		{OTLP{URL: url, Compression: "zstd"}, "otlp.compression: zstd: give gzip or none"},
		{OTLP{URL: url, Scale: 7}, "otlp.scale: 7: give a number from 0 to 6"},
		{OTLP{URL: url, Scale: -1}, "otlp.scale: -1: give a number from 0 to 6"},
		{OTLP{URL: url, TopN: 1001}, "otlp.topn: 1001: give a number of rows from 0 to 1000"},
		{OTLP{URL: url, Disable: []string{"geo", "x"}}, "otlp.disable: x: unknown group; give one of geo, ports"},
		{OTLP{URL: url, Cert: "c"}, "give otlp.cert and otlp.key, or neither"},
		{OTLP{HeadersFile: "h"}, "otlp.headers_file is for otlp.url: give both"},
		{OTLP{Headers: []string{"a=b"}}, "otlp.headers is for otlp.url: give both"},
		{OTLP{URL: "http://a", CA: "ca"}, "otlp.ca is for an https URL of otlp.url"},
	} {
		cfg := valid()
		if c.o.Interval == 0 {
			c.o.Interval = time.Second
		}
		if c.o.Compression == "" {
			c.o.Compression = "gzip"
		}
		cfg.OTLP = c.o
		if got := said(&cfg); got != c.want {
			t.Errorf("%+v:\n%s, want\n%s", c.o, got, c.want)
		}
	}
}

// TestAddress: a URL without a path has that of the standard, and one without a port that of its scheme.
func TestAddress(t *testing.T) {
	for url, want := range map[string]struct {
		address string
		port    uint16
	}{
		"":                             {"/v1/metrics", 0},
		"http://a":                     {"http://a/v1/metrics", 80},
		"https://a/":                   {"https://a/v1/metrics", 443},
		"http://[::1]:4318/x/?key=%20": {"http://[::1]:4318/x/?key=%20", 4318},
	} {
		o := OTLP{URL: url}
		if o.Address() != want.address || o.Port() != want.port {
			t.Errorf("%s: %s, port %d", url, o.Address(), o.Port())
		}
	}
}
