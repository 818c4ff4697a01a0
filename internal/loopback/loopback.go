// Package loopback reaches the host's own loopback interface by the name localhost, without asking a resolver.
//
// RFC 6761, section 6.3, wants programs to treat that name as special. A resolver may not know it: small containers have no
// /etc/hosts, and Go does not ask the modules of the system's C library, such as nss-myhostname.
package loopback

import (
	"context"
	"net"
	"strconv"
	"strings"
	"time"
)

// addresses are those of localhost, in the order in which they are tried.
var addresses = []string{"127.0.0.1", "::1"}

// is reports whether a host is localhost, in any case and with or without the last dot.
func is(host string) bool { return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") }

// Listen listens on a TCP port of a host or an address. For localhost it takes the first loopback address that the system has.
func Listen(host string, port int) (net.Listener, error) {
	if !is(host) {
		return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return first(func(address string) (net.Listener, error) {
		return net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	})
}

// Dialer returns a function for [net/http.Transport] that connects as a [net.Dialer] does. For localhost it tries the loopback
// addresses.
func Dialer(timeout, keepAlive time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, KeepAlive: keepAlive}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || !is(host) {
			return d.DialContext(ctx, network, address)
		}
		return first(func(address string) (net.Conn, error) {
			return d.DialContext(ctx, network, net.JoinHostPort(address, port))
		})
	}
}

// first returns what the first address gives, or the error of the first if none gives anything.
func first[T any](try func(address string) (T, error)) (got T, err error) {
	for i, address := range addresses {
		t, e := try(address)
		if e == nil {
			return t, nil
		}
		if i == 0 {
			err = e
		}
	}
	return got, err
}
