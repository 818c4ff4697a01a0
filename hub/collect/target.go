package collect

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"pktvisor/api"
	"pktvisor/metric"
)

// maxAddress bounds an address or a URL, in bytes.
const maxAddress = 512

// Target is one agent to pull from.
type Target struct {
	// URL is where its API is, without a slash at the end: "http://ns1:10853". It identifies the target.
	URL string
	// Tags are added to those that the agent gives itself. If both have a key, the value is that of Tags.
	Tags metric.Tags
}

// ParseTarget reads a target as on a command line: an address, and tags after commas. An address is HOST, HOST:PORT or an
// http or https URL, which may have a path. An IPv6 address is in brackets. The default port is 10853; a URL has the port
// of its scheme.
//
//	ns1
//	ns1:10853,pop=ams1,country=nl
//	[2001:db8::1]:10853
//	https://proxy.example.net/agents/ns1,pop=ams1
func ParseTarget(s string) (Target, error) {
	address, rest, tagged := strings.Cut(s, ",")
	u, err := parseAddress(address)
	if err != nil {
		return Target{}, fmt.Errorf("agent %.200q: %w", address, err)
	}
	t := Target{URL: u}
	if tagged {
		if t.Tags, err = metric.ParseTags(strings.Split(rest, ",")); err != nil {
			return Target{}, fmt.Errorf("agent %.200q: %w", address, err)
		}
	}
	return t, nil
}

// parseAddress returns the URL of an address.
func parseAddress(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("it is empty: give HOST:PORT or a URL")
	case len(s) > maxAddress:
		return "", fmt.Errorf("it is too long: at most %d bytes", maxAddress)
	case strings.Contains(s, "://"):
		return parseURL(s)
	}
	host, port := s, strconv.Itoa(api.DefaultPort)
	if bare, ok := strings.CutSuffix(s, "]"); ok && strings.HasPrefix(bare, "[") {
		host = bare[1:]
	} else if strings.Contains(s, ":") {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", errors.New("give HOST:PORT, and an IPv6 address in brackets: [2001:db8::1]:10853")
		}
	}
	if err := checkHostPort(host, port); err != nil {
		return "", err
	}
	return (&url.URL{Scheme: "http", Host: net.JoinHostPort(strings.ToLower(host), port)}).String(), nil
}

// parseURL returns the canonical form of a URL.
func parseURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.Unwrap(err)
	case u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("a URL begins with http:// or https://")
	case u.User != nil:
		return "", errors.New("a password does not belong into a URL: give it in a file")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("give the URL without ? and #")
	}
	port := u.Port()
	if err := checkHostPort(u.Hostname(), port); err != nil {
		return "", err
	}
	if port == map[string]string{"http": "80", "https": "443"}[u.Scheme] {
		port = ""
	}
	host := strings.ToLower(u.Hostname())
	switch {
	case port != "":
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	u.Host = host
	return strings.TrimRight(u.JoinPath().String(), "/"), nil
}

// checkHostPort checks the host of an address, and the port unless it is empty.
func checkHostPort(host, port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return fmt.Errorf("port %.20q: give a number from 1 to 65535", port)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if host == "" || len(host) > 253 || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return fmt.Errorf("host %.100q: give a name or an IP address", host)
	}
	return nil
}
