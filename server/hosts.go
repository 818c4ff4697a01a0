package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"pktvisor/access"
)

// Hosts is the set of names that a server answers to. It protects against DNS rebinding: a web page from any site can
// make a browser send requests to the server by a name of its own that resolves to an address of this host, and read
// the answers. Only the name in the request reveals that.
//
// A server that listens on a loopback address answers to loopback addresses and to localhost. Any other server answers
// to every IP address and to the names of its host. Both answer to names that are added, and to requests without a
// host, which no browser sends. The port is ignored, because it may be a forwarded one.
type Hosts struct {
	loopback bool

	mu    sync.RWMutex
	names map[string]bool
}

// anyHost stands for every name.
const anyHost = "*"

// NewHosts returns the names for a server that listens on the given address, and adds names to them.
func NewHosts(listens net.Addr, names ...string) *Hosts {
	h := &Hosts{loopback: access.IsLocal(listens), names: make(map[string]bool)}
	h.Add(names...)
	return h
}

// CheckHostName returns an error if a name cannot be one of [Hosts].
func CheckHostName(name string) error {
	if host, ok := hostOf(name); name != anyHost && (!ok || host == "" || strings.ContainsAny(name, "*/@ ")) {
		return fmt.Errorf("%q is not a host name: give the name as a browser shows it, without http://, or * for any name", name)
	}
	return nil
}

// Add adds names. It ignores empty names. IP addresses that are served anyway do no harm.
func (h *Hosts) Add(names ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range names {
		if host, ok := hostOf(n); ok && host != "" {
			h.names[host] = true
		}
	}
}

// ownWait is how long to wait for the full name of the host.
const ownWait = 10 * time.Second

// AddOwn adds the host's own name, and the full name that the resolver returns for it. It waits for the resolver until
// ctx is done, at most ten seconds. If the server listens on loopback, it adds nothing.
func (h *Hosts) AddOwn(ctx context.Context, hostname string) {
	if h.loopback || hostname == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, ownWait)
	defer cancel()
	short, _, _ := strings.Cut(hostname, ".")
	h.Add(hostname, short)
	if full, err := net.DefaultResolver.LookupCNAME(ctx, hostname); err == nil {
		h.Add(full)
	}
}

// hostOf returns the host of a Host header in lower case, without its port and without the dot at the end of a full
// name. It fails if the port is not a number.
func hostOf(header string) (string, bool) {
	host := header
	if i := strings.LastIndexByte(header, ':'); i >= 0 && (strings.HasPrefix(header, "[") || strings.Count(header, ":") == 1) && !strings.HasSuffix(header, "]") {
		host = header[:i]
		if port := header[i+1:]; port != "" {
			if _, err := strconv.ParseUint(port, 10, 16); err != nil {
				return "", false
			}
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if host, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(host, ":") {
			return "", false
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, ".")), true
}

// Served reports whether the server answers a request with this Host header.
func (h *Hosts) Served(header string) bool {
	if h.named(header) {
		return true
	}
	host, ok := hostOf(header)
	h.mu.RLock()
	defer h.mu.RUnlock()
	return ok && host != "" && h.names[anyHost]
}

// named is Served if * is not one of the names. A request that changes something must have a name that was given: a browser may
// send one of any name that a web page likes.
func (h *Hosts) named(header string) bool {
	if header == "" {
		return true
	}
	host, ok := hostOf(header)
	if !ok || host == "" {
		return false
	}
	h.mu.RLock()
	named := h.names[host]
	h.mu.RUnlock()
	if named {
		return host != anyHost
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return !h.loopback || addr.Unmap().IsLoopback()
	}
	// Browsers do not look up localhost and names below it in the DNS (RFC 6761, 6.3).
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// check answers requests for other names with 421. Health checks use many names and reveal nothing, so they are always
// answered.
func (h *Hosts) check(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || h.Served(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		instead := "use an IP address or the name of this host"
		if h.loopback {
			instead = "use localhost"
		}
		fail(w, http.StatusMisdirectedRequest, "this program does not answer to the name %.100q: %s, or start it with --http-host and this name", r.Host, instead)
	})
}
