package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pktvisor/access"
)

// allowedKey is the key of a function in the context of a request, which reports whether the guard still allows it.
type allowedKey struct{}

// stillAllowed reports whether a request that takes long is still allowed: its token may have been removed.
func stillAllowed(r *http.Request) bool {
	still, ok := r.Context().Value(allowedKey{}).(func() bool)
	return !ok || still()
}

// guarded answers the requests that the guard allows.
func guarded(guard *access.Guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		denied := guard.Check(r)
		if denied == nil {
			still := func() bool { return guard.Check(r) == nil }
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), allowedKey{}, still)))
			return
		}
		refuse(w, denied)
	})
}

// limited answers requests within the limit of each client.
func limited(guard *access.Guard, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if denied := guard.Limit(r); denied != nil {
			refuse(w, denied)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func refuse(w http.ResponseWriter, denied *access.Denied) {
	if denied.Challenge != "" {
		w.Header().Set("WWW-Authenticate", denied.Challenge)
	}
	if denied.Wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(denied.Wait.Seconds()))))
	}
	fail(w, denied.Status, "%s", denied.Reason)
}

// CheckOrigin returns an error if text is not an origin as browsers write it (RFC 6454, 6.2).
func CheckOrigin(text string) error {
	if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || text != u.Scheme+"://"+strings.ToLower(u.Host) {
		return fmt.Errorf("%.100q is not an origin: give a scheme and a host as a browser shows them, for example https://grafana.example", text)
	}
	return nil
}

// onlyReads reports whether a request reads, or asks whether another one that reads may be sent.
func onlyReads(r *http.Request) bool {
	method := r.Method
	if asked := r.Header.Get("Access-Control-Request-Method"); method == http.MethodOptions && asked != "" {
		method = asked
	}
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// crossOrigin lets the pages of some origins read the answers. Browsers ask first (preflight) if a request has a token; that
// request has none, so it is answered before the guard.
func crossOrigin(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		h.Add("Vary", "Origin")
		if !slices.Contains(origins, origin) || !onlyReads(r) {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", "ETag, Link, Retry-After")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, HEAD")
			h.Set("Access-Control-Allow-Headers", "Authorization, If-None-Match")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
