//go:build !linux

package capture

import (
	"context"
	"net/netip"
)

func defaultRoute() (string, error) { return "", errNoDefaultRoute }

// WatchAddrs calls onChange with the addresses of an interface once, and returns when ctx is
// done. It follows changes on Linux only.
func WatchAddrs(ctx context.Context, iface string, onChange func([]netip.Prefix)) error {
	addrs, err := HostAddrs(iface)
	if err != nil {
		return err
	}
	onChange(addrs)
	<-ctx.Done()
	return nil
}
