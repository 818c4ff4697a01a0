package capture

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/decode"
	"pktvisor/linktype"
)

func addrsOfFrame(frame []byte, wireLen uint32, link linktype.Type) (src, dst netip.Addr, ok bool) {
	a, b, ok := (*decode.Decoder)(nil).Addrs(frame, wireLen, link)
	return a.Netip(), b.Netip(), ok
}

// space is another network namespace, and a thread in it.
type space struct {
	t     *testing.T
	tid   int
	calls chan func()
}

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{t: t, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the namespace with the thread
		s.tid = unix.Gettid()
		err := unix.Unshare(unix.CLONE_NEWNET)
		ready <- err
		for f := range s.calls {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	t.Cleanup(func() { close(s.calls) })
	s.ip("link set lo up")
	return s
}

// do calls f in the namespace. Sockets that f makes stay there.
func (s *space) do(f func()) {
	done := make(chan bool)
	s.calls <- func() { f(); close(done) }
	<-done
}

// ip runs ip commands in the namespace.
func (s *space) ip(commands ...string) {
	s.t.Helper()
	for _, c := range commands {
		var out []byte
		var err error
		s.do(func() { out, err = exec.Command("ip", strings.Fields(c)...).CombinedOutput() })
		if err != nil {
			s.t.Fatalf("ip %s: %v\n%s", c, err, out)
		}
	}
}

// here is the namespace of the test.
type here struct{}

func (here) do(f func()) { f() }

type place interface{ do(f func()) }

// end is one of the places that datagrams are sent from and to.
type end struct {
	place
	addr string
}

func (e end) listen(t *testing.T) (conn *net.UDPConn) {
	t.Helper()
	var err error
	e.do(func() {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(e.addr), 0)))
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// exchange sends n datagrams with a mark in each direction, and waits until they have arrived.
func exchange(t *testing.T, a, b end, n int, mark string) {
	t.Helper()
	ends := [2]*net.UDPConn{a.listen(t), b.listen(t)}
	for i, from := range ends {
		to := ends[1-i]
		buf := make([]byte, 100)
		pass := func(text string, patience int) bool {
			from.WriteTo([]byte(text), to.LocalAddr())
			for range patience {
				to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
				if k, err := to.Read(buf); err == nil && string(buf[:k]) == text {
					return true
				}
			}
			return false
		}
		for begun := time.Now(); !pass("warm", 1); {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("%s: %v cannot reach %v", mark, from.LocalAddr(), to.LocalAddr())
			}
		}
		for k := range n {
			if !pass(fmt.Sprint(mark, " ", i, " ", k, " end"), 100) {
				t.Fatalf("%s: datagram %d did not come", mark, k)
			}
		}
	}
}

// hostWithContainers makes the test's namespace a host with a bridge br0 and two containers on it, a link eth0 to
// another host, and two containers with a macvlan device on that.
func hostWithContainers(t *testing.T) map[string]end {
	t.Helper()
	enterNetns(t, "link set lo up", "link add br0 type bridge", "link add eth0 type veth peer name far")
	for _, conf := range []string{"all", "default", "br0", "eth0"} {
		os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/disable_ipv6", []byte("0"), 0)
	}
	for _, conf := range []string{"ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+conf, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []string{"addr add 10.1.0.1/24 dev br0", "addr add fd01::1/64 dev br0 nodad", "link set br0 up",
		"addr add 10.9.0.1/24 dev eth0", "addr add fd09::1/64 dev eth0 nodad", "link set eth0 up"} {
		ip(t, c)
	}
	ends := map[string]end{"host": {here{}, "10.9.0.1"}, "bridge": {here{}, "10.1.0.1"}, "own macvlan": {here{}, "10.8.0.1"}, "own vxlan": {here{}, "10.7.0.1"}}

	far := newSpace(t)
	ip(t, fmt.Sprint("link set far netns ", far.tid))
	far.ip("addr add 10.9.0.2/24 dev far", "addr add fd09::2/64 dev far nodad", "addr add 10.8.0.2/24 dev far", "link set far up",
		"route add 10.1.0.0/24 via 10.9.0.1", "-6 route add fd01::/64 via fd09::1",
		"link add vx0 type vxlan id 7 dstport 4789 remote 10.9.0.1 local 10.9.0.2", "addr add 10.7.0.2/24 dev vx0", "link set vx0 up")
	ends["far"], ends["far 6"] = end{far, "10.9.0.2"}, end{far, "fd09::2"}
	ends["far macvlan"], ends["far vxlan"] = end{far, "10.8.0.2"}, end{far, "10.7.0.2"}
	ip(t, "link add vx0 type vxlan id 7 dstport 4789 remote 10.9.0.2 local 10.9.0.1")
	ip(t, "addr add 10.7.0.1/24 dev vx0")
	ip(t, "link set vx0 up")

	for i := 1; i <= 2; i++ {
		c := newSpace(t)
		ip(t, fmt.Sprintf("link add p%d type veth peer name c%d", i, i))
		ip(t, fmt.Sprintf("link set p%d master br0 up", i))
		ip(t, fmt.Sprintf("link set c%d netns %d", i, c.tid))
		c.ip(fmt.Sprintf("addr add 10.1.0.%d/24 dev c%d", 1+i, i), fmt.Sprintf("addr add fd01::%d/64 dev c%d nodad", 1+i, i), fmt.Sprintf("link set c%d up", i),
			"route add default via 10.1.0.1", "-6 route add default via fd01::1")
		ends[fmt.Sprint("c", i)] = end{c, fmt.Sprint("10.1.0.", 1+i)}
		ends[fmt.Sprintf("c%d 6", i)] = end{c, fmt.Sprint("fd01::", 1+i)}
		m := newSpace(t)
		ip(t, fmt.Sprintf("link add m%d link eth0 type macvlan mode bridge", i))
		ip(t, fmt.Sprintf("link set m%d netns %d", i, m.tid))
		m.ip(fmt.Sprintf("addr add 10.9.0.%d/24 dev m%d", 2+i, i), fmt.Sprintf("link set m%d up", i))
		ends[fmt.Sprint("m", i)] = end{m, fmt.Sprint("10.9.0.", 2+i)}
	}
	ip(t, "link add mv0 link eth0 type macvlan mode bridge")
	ip(t, "addr add 10.8.0.1/24 dev mv0")
	ip(t, "link set mv0 up")
	return ends
}

// promiscuous is a capture by another program.
func promiscuous(t *testing.T, name string) {
	t.Helper()
	fd := rawSender(t, name)
	mreq := unix.PacketMreq{Ifindex: int32(indexOf(t, name)), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		t.Fatal(err)
	}
}

// TestAnyCountsOnce: a datagram counts once on any, whichever way it takes through the host. once is the expected
// number of frames, and all is how often the kernel shows it.
func TestAnyCountsOnce(t *testing.T) {
	ends := hostWithContainers(t)
	const n = 10
	open := func(cfg LiveConfig) []Source {
		cfg.Interface, cfg.Addrs = "any", addrsOfFrame
		return openLiveTest(t, cfg)
	}
	once, every, decap := open(LiveConfig{Shards: 2}), open(LiveConfig{Copies: true}), open(LiveConfig{Decap: true})
	rows := []struct {
		a, b          string
		once, all, in int // in: with Decap
	}{
		{"c1", "c2", 1, 2, 1},
		{"c1 6", "c2 6", 1, 2, 1},
		{"c1", "far", 1, 3, 1},
		{"c1 6", "far 6", 1, 3, 1},
		{"c1", "bridge", 1, 2, 1},
		{"host", "far", 1, 1, 1},
		{"host", "bridge", 1, 1, 1}, // over lo
		{"m1", "far", 1, 1, 1},
		{"m1", "m2", 1, 1, 1},
		{"own macvlan", "far macvlan", 1, 2, 1},
		{"own vxlan", "far vxlan", 2, 2, 1}, // counted also in the packet that carries it
		{"c1", "c2", 1, 3, 1},               // while another program captures on the bridge
	}
	total := 0
	for i, r := range rows {
		if i == len(rows)-1 {
			promiscuous(t, "br0")
		}
		exchange(t, ends[r.a], ends[r.b], n, fmt.Sprintf("row%02d", i))
		total += 2 * n
	}
	for _, c := range []struct {
		name    string
		sources []Source
		want    func(i int) int
	}{
		{"once", once, func(i int) int { return rows[i].once }},
		{"every copy", every, func(i int) int { return rows[i].all }},
		{"decap", decap, func(i int) int { return rows[i].in }},
	} {
		got := make(map[string]int)
		for _, f := range slices.Concat(receive(t, c.sources, total)...) {
			if at := bytes.Index(f.Data, []byte("row")); at >= 0 && bytes.HasSuffix(f.Data, []byte(" end")) {
				got[string(f.Data[at:at+7])]++
			}
		}
		for i, r := range rows {
			for dir := range 2 {
				if k := got[fmt.Sprintf("row%02d %d", i, dir)]; k != n*c.want(i) {
					t.Errorf("%s: %s and %s, direction %d: %d frames, want %d", c.name, r.a, r.b, dir, k, n*c.want(i))
				}
			}
		}
	}
	devices := make(map[string]Device)
	for _, d := range Devices(once) {
		devices[d.Name] = d
	}
	if d := devices["br0"]; d.Frames != 0 || d.Copies == 0 {
		t.Errorf("br0: %+v", d)
	}
	if d := devices["p1"]; d.Frames == 0 || d.Copies == 0 {
		t.Errorf("p1: %+v", d)
	}
	if len(Devices(every)) != 0 {
		t.Errorf("devices of a capture that leaves nothing out: %v", Devices(every))
	}
	sum := uint64(0)
	for _, s := range once {
		sum += s.Stats().Copies
	}
	for _, d := range devices {
		sum -= d.Copies
	}
	if sum != 0 {
		t.Errorf("the copies of the stats are %d more than those of the devices", int64(sum))
	}
}

// TestAnyFollowsChanges: a device that appears later has its role.
func TestAnyFollowsChanges(t *testing.T) {
	enterNetns(t, "link set lo up", "link add br0 type bridge", "link set br0 up")
	sources := openLiveTest(t, LiveConfig{Interface: "any", Addrs: addrsOfFrame})
	ip(t, "addr add 10.1.0.1/24 dev br0")
	c := newSpace(t)
	ip(t, "link add p1 type veth peer name c1")
	ip(t, fmt.Sprint("link set c1 netns ", c.tid))
	ip(t, "link set p1 master br0 up")
	c.ip("addr add 10.1.0.2/24 dev c1", "link set c1 up")
	const n = 10
	for begun, round := time.Now(), 0; ; round++ {
		mark := fmt.Sprintf("row%02d", round)
		exchange(t, end{here{}, "10.1.0.1"}, end{c, "10.1.0.2"}, n, mark)
		got := 0
		for _, f := range receive(t, sources, n)[0] {
			if bytes.Contains(f.Data, []byte(mark)) {
				got++
			}
		}
		if got == 2*n {
			return
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("%d frames, want %d", got, 2*n)
		}
	}
}

// TestDeviceRoles: the roles of devices as other hosts have them, from what netlink says about them.
func TestDeviceRoles(t *testing.T) {
	devices := map[uint32]device{}
	for _, d := range []device{
		{index: 1, name: "lo"},
		{index: 2, name: "eth0", master: 3},
		{index: 3, name: "bond0", kind: "bond"},
		{index: 4, name: "bond0.10", kind: "vlan", lower: 3, master: 5},
		{index: 5, name: "br10", kind: "bridge"},
		{index: 6, name: "tap0", kind: "tun", master: 5},
		{index: 7, name: "eth1"},
		{index: 8, name: "eth1.7", kind: "vlan", lower: 7},
		{index: 9, name: "eth9", kind: "macvlan"}, // on a device of another namespace
		{index: 10, name: "vx0", kind: "vxlan", lower: 7},
		{index: 11, name: "wg0", kind: "wireguard"},
		{index: 12, name: "patch0", kind: "veth", lower: 13, master: 5},
		{index: 13, name: "patch1", kind: "veth", lower: 12},
		{index: 14, name: "va", kind: "veth", lower: 15},
		{index: 15, name: "vb", kind: "veth", lower: 14},
		{index: 16, name: "c1", kind: "veth", master: 5},
	} {
		devices[d.index] = d
	}
	for _, tunnels := range []bool{true, false} {
		classify(devices, tunnels)
		var stacked, ports, looped []string
		for i := uint32(1); i <= 16; i++ {
			if d := devices[i]; d.stacked {
				stacked = append(stacked, d.name)
			}
			if devices[i].port {
				ports = append(ports, devices[i].name)
			}
			if devices[i].looped {
				looped = append(looped, devices[i].name)
			}
		}
		want := "[bond0 bond0.10 br10 eth1.7 patch0 patch1]"
		if !tunnels {
			want = "[bond0 bond0.10 br10 eth1.7 vx0 patch0 patch1]"
		}
		if got := fmt.Sprint(stacked); got != want {
			t.Errorf("stacked: %s, want %s", got, want)
		}
		// The bond and its slave send what the bridge forwards to the VLAN.
		if got := fmt.Sprint(ports); got != "[eth0 bond0 bond0.10 tap0 patch0 c1]" {
			t.Errorf("ports: %s", got)
		}
		if got := fmt.Sprint(looped); got != "[patch0 patch1 va vb]" {
			t.Errorf("looped: %s", got)
		}
	}
}

// TestRouterSides: with or without translated addresses, both directions between two addresses count on one device,
// and the same one.
func TestRouterSides(t *testing.T) {
	at := netip.MustParseAddr
	n := &hostNet{
		routes4: true, routes6: true,
		addrs: map[netip.Addr]struct{}{at("192.0.2.1"): {}, at("172.17.0.1"): {}, at("2001:db8::1"): {}},
		near:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("172.17.0.0/16"), netip.MustParsePrefix("fd00::/64")},
	}
	for _, c := range []struct {
		name, near, far string // the addresses as seen on the near device and on the far one
		nearSeen        string // the address that stands for near on the far device
		counted         int    // devices
	}{
		{"to a server", "172.17.0.2", "203.0.113.9", "172.17.0.2", 1},
		{"translated", "172.17.0.2", "203.0.113.9", "192.0.2.1", 1},
		{"translated, smaller", "172.17.0.2", "8.8.8.8", "192.0.2.1", 1},
		{"between networks", "172.17.0.2", "192.0.2.7", "172.17.0.2", 1},
		{"from one smaller", "192.0.2.7", "172.17.0.2", "192.0.2.7", 1},
		{"version 6", "fd00::2", "2001:db8:1::9", "fd00::2", 1},
		{"the host's own", "192.0.2.1", "203.0.113.9", "192.0.2.1", 2}, // it is seen on one device only
		{"to a group", "172.17.0.2", "224.0.0.251", "172.17.0.2", 2},
	} {
		count := func(near, far string, nearDevice bool) bool {
			there := n.side(at(near), at(far), !nearDevice)
			if back := n.side(at(far), at(near), nearDevice); back != there && c.name != "to a group" {
				t.Errorf("%s: there %v, back %v", c.name, there, back)
			}
			return there
		}
		got := 0
		if count(c.near, c.far, true) {
			got++
		}
		if count(c.nearSeen, c.far, false) {
			got++
		}
		if got != c.counted {
			t.Errorf("%s: counts on %d devices, want %d", c.name, got, c.counted)
		}
	}
	n.routes4 = false
	if !n.side(at("172.17.0.2"), at("203.0.113.9"), false) {
		t.Error("a host that is not a router leaves out packets to other addresses")
	}
}

// TestCopiesFollow: what the kernel reports about devices, addresses and forwarding gets into the table. So does a
// device that only a frame has shown, in the namespace in which the capture was opened. Otherwise no shard is needed
// for this.
func TestCopiesFollow(t *testing.T) {
	host := newSpace(t)
	host.ip("link add br0 type bridge", "link set br0 up", "addr add 10.1.0.1/24 dev br0")
	c := newCopies(LiveConfig{Addrs: addrsOfFrame})
	var w *linkWatch
	var err error
	host.do(func() { w, err = newLinkWatch(AnyInterface, c) })
	if err != nil {
		t.Fatal(err)
	}
	go w.run()
	defer w.close()
	until := func(what string, ok func(n *hostNet) bool) {
		t.Helper()
		for begun := time.Now(); !ok(c.net.Load()); runtime.Gosched() {
			if time.Since(begun) > 20*time.Second {
				t.Fatalf("never: %s: %+v", what, c.net.Load())
			}
		}
	}
	named := func(n *hostNet, name string) (found device) {
		for _, d := range n.devices {
			if d.name == name {
				found = d
			}
		}
		return found
	}
	until("the bridge is known from the start", func(n *hostNet) bool { d := named(n, "br0"); return d.stacked && d.kind == "bridge" })
	if n := c.net.Load(); len(n.near) == 0 || !n.neighbour(netip.MustParseAddr("10.1.0.77")) || n.neighbour(netip.MustParseAddr("10.1.1.77")) {
		t.Errorf("neighbours %v", n.near)
	}
	host.ip("link add p1 type veth peer name c1", "link set p1 master br0")
	until("a port", func(n *hostNet) bool { return named(n, "p1").port && !named(n, "c1").port })
	host.ip("link set p1 nomaster")
	until("it is no longer a port", func(n *hostNet) bool { return !named(n, "p1").port })
	host.ip("addr add 10.2.0.1/16 dev c1")
	until("an address", func(n *hostNet) bool {
		_, own := n.addrs[netip.MustParseAddr("10.2.0.1")]
		return own && n.neighbour(netip.MustParseAddr("10.2.9.9"))
	})
	host.do(func() {
		for _, conf := range []string{"ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+conf, []byte("1"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	until("it forwards", func(n *hostNet) bool { return n.routes4 && n.routes6 })
	host.do(func() { os.WriteFile("/proc/sys/net/ipv4/conf/all/forwarding", []byte("0"), 0) })
	until("it does not forward IPv4", func(n *hostNet) bool { return !n.routes4 && n.routes6 })

	// A frame of an unknown device causes a request, at most every mapEvery.
	s := &seenBy{copies: c, count: make(map[uint32]*deviceCount)}
	before := c.net.Load()
	tables, begun := 0, time.Now()
	for tables < 3 {
		s.begin()
		s.keeps(&Frame{Link: linktype.Ethernet, Data: make([]byte, 60)}, 1<<30, unix.PACKET_HOST)
		if now := c.net.Load(); now != before {
			before, tables = now, tables+1
		}
		runtime.Gosched()
		if time.Since(begun) > 20*time.Second {
			t.Fatal("the device was not asked for")
		}
	}
	if took := time.Since(begun); took < 2*mapEvery {
		t.Errorf("three times within %v", took)
	}
	if s.devices()[0].Name != "#1073741824" || s.devices()[0].Frames == 0 {
		t.Errorf("%+v", s.devices())
	}
}
