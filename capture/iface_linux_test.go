package capture

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func prefixes(s ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func TestResolveTarget(t *testing.T) {
	enterNetns(t, append(vethPair, "link set lo up", "addr add 192.0.2.1/24 dev vrx", "addr add 10.1.1.1 peer 10.1.1.2 dev vtx")...)
	check := func(target, want string) {
		t.Helper()
		if got, err := ResolveTarget(target); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", target, got, err, want)
		}
	}
	fails := func(target, want string) {
		t.Helper()
		if got, err := ResolveTarget(target); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want an error with %q", target, got, err, want)
		}
	}
	enableIPv6(t, "vrx")
	ip(t, "addr add 2001:db8::1/64 dev vrx nodad")
	ip(t, "addr add fe80::5/64 dev vrx nodad")

	check("any", "any")
	check("vrx", "vrx")
	check("192.0.2.1", "vrx")
	check("::ffff:192.0.2.1", "vrx")
	check("10.1.1.1", "vtx")
	check("2001:db8::1", "vrx")
	check("fe80::5", "vrx")
	check("fe80::5%vrx", "vrx")
	check("127.0.0.1", "lo")
	fails("fe80::5%vtx", "no interface has the address fe80::5%vtx")
	fails("192.0.2.2", "no interface has the address 192.0.2.2")
	fails("10.1.1.2", "no interface has")
	fails("eth7", `there is no interface "eth7"; there are: `)
	fails("auto", "there is no default route; name an interface, or any")
	ip(t, "-6 route add default via 2001:db8::2 dev vrx")
	check("auto", "vrx")
	ip(t, "route add default via 192.0.2.3 dev vrx metric 200")
	check("auto", "vrx")
	ip(t, "route add default via 10.1.1.2 dev vtx metric 100")
	check("auto", "vtx")
	ip(t, "route add unreachable default metric 5")
	check("auto", "vtx")

	for iface, want := range map[string][]netip.Prefix{
		"vtx": prefixes("10.1.1.1/32"),
		"lo":  prefixes("127.0.0.1/32"),
		"any": prefixes("10.1.1.1/32", "127.0.0.1/32", "192.0.2.1/32", "2001:db8::1/128", "fe80::5/128"),
	} {
		got, err := HostAddrs(iface)
		got = slices.DeleteFunc(got, func(p netip.Prefix) bool { // the link-local addresses that the kernel made
			return p.Addr().IsLinkLocalUnicast() && p != netip.MustParsePrefix("fe80::5/128")
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", iface, got, err, want)
		}
	}
	if _, err := HostAddrs("eth7"); err == nil || !strings.Contains(err.Error(), "there is no interface") {
		t.Errorf("eth7: %v", err)
	}
}

func TestDefaultRoutes(t *testing.T) {
	const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	for text, want := range map[string]string{
		"":   "",
		head: "",
		head + "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
			"eth1\t00000000\t010200C0\t0003\t0\t0\t50\t00000000\t0\t0\t0\n" +
			"eth2\t00000000\t010200C0\t0003\t0\t0\t70\t00000000\t0\t0\t0\n": "eth1",
		head + "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n": "", // 0.0.0.0/1
		head + "eth0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n": "", // down
		"eth0 00000000 x": "",
	} {
		if got := defaultRoute4(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	const zero = "00000000000000000000000000000000"
	for text, want := range map[string]string{
		"": "",
		zero + " 00 " + zero + " 00 " + zero + " ffffffff 00000001 00000000 00200200       lo\n": "",
		zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n" +
			zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000064 00000001 00000000 00000003 eth1\n": "eth1",
		zero + " 01 " + zero + " 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n": "",
	} {
		if got := defaultRoute6(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestWatchAddrs(t *testing.T) {
	enterNetns(t, append(vethPair, "addr add 192.0.2.1/24 dev vrx")...)
	enableIPv6(t, "vrx")
	ip(t, "link set vrx addrgenmode none")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// Each change is made after the change before it was seen. The watcher must stay on this thread, so
	// everything happens in the callback.
	steps := []struct {
		do   []string
		want []netip.Prefix
	}{
		{[]string{"addr add 192.0.2.9/24 dev vrx"}, prefixes("192.0.2.1/32", "192.0.2.9/32")},
		{[]string{"addr add 10.0.0.1/8 dev vtx", "addr add 2001:db8::7/64 dev vrx nodad"}, prefixes("192.0.2.1/32", "192.0.2.9/32", "2001:db8::7/128")},
		{[]string{"addr del 192.0.2.9/24 dev vrx"}, prefixes("192.0.2.1/32", "2001:db8::7/128")},
		{[]string{"link del vrx", "link add vrx type veth peer name vtx", "addr add 192.0.2.77/24 dev vrx", "addr add 10.7.7.7/24 dev vtx"}, prefixes("192.0.2.77/32")},
		{[]string{"link set vrx name vold", "link set vtx name vrx"}, prefixes("10.7.7.7/32")},
	}
	want := prefixes("192.0.2.1/32")
	i := 0
	err := WatchAddrs(ctx, "vrx", func(got []netip.Prefix) {
		got = slices.DeleteFunc(slices.Clone(got), func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() })
		if !slices.Equal(got, want) {
			return // in the middle of a step; if it stays so, the test ends with its deadline
		}
		if i == len(steps) {
			cancel()
			return
		}
		for _, c := range steps[i].do {
			ip(t, c)
		}
		want = steps[i].want
		i++
	})
	if err != nil || i != len(steps) {
		t.Errorf("%v after %d steps of %d", err, i, len(steps))
	}
}

// TestWatchAddrsOfMissing: an interface that is gone before the watch begins is followed once there is one with its name.
func TestWatchAddrsOfMissing(t *testing.T) {
	enterNetns(t)
	// The shell makes the interface once the watch listens: for links and addresses, which are groups 1, 5 and 9.
	add := exec.Command("sh", "-c", "until grep -q ' 00000111 ' /proc/net/netlink; do :; done; "+
		"ip link add late type veth peer name early && ip addr add 192.0.2.5/24 dev late")
	add.Stderr = os.Stderr
	if err := add.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []netip.Prefix
	err := WatchAddrs(ctx, "late", func(addrs []netip.Prefix) {
		if got = addrs; len(got) > 0 {
			cancel()
		}
	})
	if want := prefixes("192.0.2.5/32"); err != nil || !slices.Equal(got, want) {
		add.Process.Kill() // it may wait for the watch
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if err := add.Wait(); err != nil {
		t.Error(err)
	}
}
