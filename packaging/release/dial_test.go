package main

import (
	"context"
	"net"
)

// dialUnix connects to a Unix socket, whatever the address.
func dialUnix(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
}
