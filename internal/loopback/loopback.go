// Package loopback reaches the host's own loopback interface by the name localhost, without asking a resolver.
//
// RFC 6761, section 6.3, wants programs to treat that name as special. A resolver may not know it: small containers have no
// /etc/hosts, and Go does not ask the modules of the system's C library, such as nss-myhostname.
package loopback

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// addresses are those of localhost, in the order in which they are tried.
var addresses = [2]string{"127.0.0.1", "::1"}

// is reports whether a host is localhost, in any case and with or without the last dot.
func is(host string) bool { return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") }

// Listen listens on a TCP port of a host or an address. For localhost it takes the first loopback address that the system has. If
// that port is taken, it does not try another address: two programs would then answer to the same name and port.
func Listen(host string, port int) (net.Listener, error) {
	if !is(host) {
		return listen(host, port)
	}
	l, err := listen(addresses[0], port)
	if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
		if l, err := listen(addresses[1], port); err == nil {
			return l, nil
		}
	}
	return l, err
}

func listen(host string, port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
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
		conn, err := d.DialContext(ctx, network, net.JoinHostPort(addresses[0], port))
		if err != nil {
			if other, err := d.DialContext(ctx, network, net.JoinHostPort(addresses[1], port)); err == nil {
				return other, nil
			}
		}
		return conn, err
	}
}
