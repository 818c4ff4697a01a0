package access

import (
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Denied says why a request is not answered.
type Denied struct {
	Status int
	// Wait is after how long the client may try again; 0 if that does not help.
	Wait time.Duration
	// Challenge is the header WWW-Authenticate, or empty.
	Challenge string
	Reason    string
}

func (d *Denied) Error() string { return d.Reason }

// challenge offers passwords first, because browsers can only send these. A token may be sent as a password, too.
const challenge = `Basic realm="pktvisor", charset="UTF-8", Bearer realm="pktvisor"`

// turnWait is how long a log-in waits while other passwords are checked.
const turnWait = 3 * time.Second

// Limit counts the requests of each client that is not on this host, whose proxy may stand for many people. It returns nil if
// the client may send one more.
func (g *Guard) Limit(r *http.Request) *Denied {
	client, local := clientOfRequest(r)
	if local {
		return nil
	}
	if wait := g.requests.take(client, g.now()); wait > 0 {
		return &Denied{Status: http.StatusTooManyRequests, Wait: wait, Reason: "too many requests from this address: ask less often"}
	}
	return nil
}

// Check returns nil if a request may be answered. [Guard.Limit] comes before it.
//
// Health checks need no log-in: they reveal nothing, and those who ask often have no credentials.
func (g *Guard) Check(r *http.Request) *Denied {
	client, _ := clientOfRequest(r)
	users := g.users.Load()
	if users == nil || r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
		return nil
	}
	role, denied := g.login(r, users, client)
	switch {
	case denied != nil:
		return denied
	case role < Admin && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return &Denied{Status: http.StatusForbidden, Reason: "this user may only read: log in as an admin"}
	}
	return nil
}

// login returns the role of who sent a request.
func (g *Guard) login(r *http.Request, users *Users, client netip.Addr) (Role, *Denied) {
	if g.isAdminToken(r) {
		return Admin, nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return 0, &Denied{Status: http.StatusUnauthorized, Challenge: challenge, Reason: "log in with a token (bearer) or with a name and a password (basic)"}
	}
	if token, ok := cutScheme(header, "Bearer "); ok && len(token) <= maxSecret {
		if role := users.token(token); role != 0 {
			return role, nil
		}
	}
	name, secret, basic := r.BasicAuth()
	basic = basic && secret != "" && len(secret) <= maxSecret
	if basic {
		if role := users.remembered(name, secret); role != 0 {
			return role, nil
		}
	}
	if wait := g.failures.take(client, g.now()); wait > 0 { // before the password is checked, so that many at once do not all pass
		return 0, &Denied{Status: http.StatusTooManyRequests, Wait: wait, Reason: "too many log-ins from this address have failed: wait"}
	}
	if basic {
		select {
		case users.turn <- struct{}{}:
		case <-r.Context().Done():
			return 0, &Denied{Status: http.StatusServiceUnavailable, Wait: turnWait, Reason: "the client has gone"}
		case <-time.After(turnWait):
			return 0, &Denied{Status: http.StatusServiceUnavailable, Wait: turnWait, Reason: "too many log-ins at once: try again"}
		}
		role := users.password(name, secret)
		<-users.turn
		if role != 0 {
			g.failures.giveBack(client)
			return role, nil
		}
	}
	return 0, &Denied{Status: http.StatusUnauthorized, Challenge: challenge, Reason: "wrong token, or wrong name or password"}
}

// cutScheme returns what follows the scheme of an Authorization header. The case of the scheme does not matter (RFC 9110,
// 11.1).
func cutScheme(header, scheme string) (string, bool) {
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimLeft(header[len(scheme):], " "), true
}

// clientOfRequest returns who sent a request, and whether it came from this host: see [Client].
func clientOfRequest(r *http.Request) (client netip.Addr, local bool) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, true // a Unix socket
	}
	return Client(at.Addr()), at.Addr().Unmap().IsLoopback()
}
