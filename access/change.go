package access

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"pktvisor/internal/regular"
)

// minAdminToken is the least length of the token that lets others change the agent, in bytes. "openssl rand -hex 16" has 32.
const minAdminToken = 16

// readToken reads the file with the token that lets others change the agent.
func readToken(path string) (*[sha256.Size]byte, error) {
	token, err := regular.Secret(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	case strings.ContainsFunc(token, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }):
		err = errors.New("give one token in one line, without spaces")
	case len(token) < minAdminToken || len(token) > maxSecret:
		err = fmt.Errorf("the token has %d bytes: give %d to %d, for example those of openssl rand -hex 32", len(token), minAdminToken, maxSecret)
	}
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file %s: %w", path, err)
	}
	sum := sha256.Sum256([]byte(token))
	return &sum, nil
}

// isAdminToken reports whether a request has the token that lets others change the agent. It compares hashes: how long that
// takes says nothing about the token.
func (g *Guard) isAdminToken(r *http.Request) bool {
	admin := g.adminToken.Load()
	token, ok := cutScheme(r.Header.Get("Authorization"), "Bearer ")
	return admin != nil && ok && sha256.Sum256([]byte(token)) == *admin
}

// bearerOnly offers only what the token for changes can be sent by.
const bearerOnly = `Bearer realm="pktvisor"`

// MayChange returns nil if a request may change the agent. [Guard.Check] comes before it: if there is an auth file, the request has
// the token for changes, or is that of an admin. Without an auth file, a request must have the token, or must have come
// straight from this host: see [FromHere]. A nil Guard has no token.
func (g *Guard) MayChange(r *http.Request) *Denied {
	if g != nil && (g.users.Load() != nil || g.isAdminToken(r)) || FromHere(r) {
		return nil
	}
	if g == nil || g.adminToken.Load() == nil {
		return &Denied{Status: http.StatusForbidden, Reason: "only this host may change the agent: use its loopback address or its Unix socket, not a proxy, or start it with --admin-token-file"}
	}
	client, _ := clientOfRequest(r)
	if r.Header.Get("Authorization") != "" {
		if wait := g.failures.take(client, g.now()); wait > 0 {
			return &Denied{Status: http.StatusTooManyRequests, Wait: wait, Reason: "too many log-ins from this address have failed: wait"}
		}
	}
	return &Denied{Status: http.StatusUnauthorized, Challenge: bearerOnly, Reason: "to change the agent from elsewhere, send the token of --admin-token-file (bearer)"}
}

// forwarded are the headers by which proxies say that they pass on the request of somebody else: those of RFC 7239 and RFC 9110, and
// those of nginx, Apache, HAProxy, Envoy, Google, Azure, Fastly, Akamai and Cloudflare.
var forwarded = []string{
	"Forwarded", "Via", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Client-Ip", "Client-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip",
	"X-Envoy-External-Address", "X-Proxyuser-Ip", "X-Scheme", "X-Azure-Clientip", "X-Appengine-User-Ip",
}

// FromHere reports whether a request has come over a Unix socket, or over loopback from one address of loopback to another, and does
// not say that a proxy has passed it on. A proxy on this host that does not say so cannot be told from a client on this host.
func FromHere(r *http.Request) bool {
	for name := range r.Header {
		if slices.Contains(forwarded, name) || strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Original-") {
			return false
		}
	}
	at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if ok && !IsLocal(at) {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		_, unix := at.(*net.UnixAddr)
		return unix
	}
	return from.Addr().Unmap().IsLoopback()
}
