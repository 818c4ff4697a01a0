package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pktvisor/internal/testkit"
	"pktvisor/server"
)

// A frame that stands for several packets (segmentation offload, GRO) counts as the packets on the wire. The expected
// values come from the kernel's own counters of segments and from arithmetic.

// neighbour is another network namespace, identified by the process that keeps it.
type neighbour struct {
	t   *testing.T
	pid string
}

// newNeighbour makes a namespace that lives as long as the test.
func newNeighbour(t *testing.T) neighbour {
	t.Helper()
	need(t, "nsenter", "unshare", "sleep")
	keeper := exec.Command("unshare", "--net", "sleep", "300")
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keeper.Process.Kill(); keeper.Wait() })
	n := neighbour{t, strconv.Itoa(keeper.Process.Pid)}
	own, _ := os.Readlink("/proc/thread-self/ns/net")
	testkit.Eventually(t, "the neighbour has its namespace", func() bool {
		theirs, err := os.Readlink("/proc/" + n.pid + "/ns/net")
		return err == nil && theirs != own
	})
	n.do("ip", "link", "set", "lo", "up")
	return n
}

func (n neighbour) do(args ...string) string {
	n.t.Helper()
	return do(n.t, "nsenter", append([]string{"-t", n.pid, "-n"}, args...)...)
}

// run calls f on a thread that is in the namespace. Sockets that f creates stay there.
func (n neighbour) run(f func() error) {
	n.t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := os.Open("/proc/" + n.pid + "/ns/net")
		if err == nil {
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			ns.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

// link connects the test's srv0 with the neighbour's cli0.
func (n neighbour) link() {
	n.t.Helper()
	for _, c := range []string{
		"link add srv0 type veth peer name cli0", "link set cli0 netns " + n.pid,
		"addr add 10.53.0.1/24 dev srv0", "addr add fd53::1/64 dev srv0 nodad", "link set srv0 up",
	} {
		enableIPv6("srv0")
		do(n.t, "ip", strings.Fields(c)...)
	}
	for _, c := range []string{"addr add 10.53.0.2/24 dev cli0", "addr add fd53::2/64 dev cli0 nodad", "link set cli0 up"} {
		n.do(append([]string{"ip"}, strings.Fields(c)...)...)
	}
	for _, to := range []string{"10.53.0.1", "fd53::1"} { // afterwards both sides know each other's hardware address
		testkit.Eventually(n.t, "the link is up", func() (refused bool) {
			n.run(func() error {
				_, err := net.DialTimeout("tcp", net.JoinHostPort(to, "9"), time.Second)
				refused = errors.Is(err, unix.ECONNREFUSED)
				return nil
			})
			return refused
		})
	}
}

func enableIPv6(name string) {
	os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("0"), 0)
}

// tcpCounts returns the kernel's counters of a connection.
func tcpCounts(t *testing.T, conn net.Conn) *unix.TCPInfo {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestLiveUDPSegments: each datagram of a send with UDP_SEGMENT counts, for both IP versions, sent or received, and put
// together by the sender or by the receiver.
func TestLiveUDPSegments(t *testing.T) {
	need(t, "ethtool", "nsenter", "unshare", "sleep")
	for _, c := range []struct {
		name   string
		sender string // in the words of ethtool
		gro    bool
		super  bool
	}{{"sender", "on", false, true}, {"neither", "off", false, false}, {"receiver", "off", true, true}} {
		for _, target := range []string{"10.53.0.1", "fd53::1"} {
			t.Run(c.name+" "+target, func(t *testing.T) {
				enterNetns(t)
				other := newNeighbour(t)
				other.link()
				other.do("ethtool", "-K", "cli0", "tx-udp-segmentation", c.sender)
				server, err := net.ListenPacket("udp", net.JoinHostPort(target, "53"))
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				if c.gro { // the sender must cut, because a veth pair would pass on the datagrams uncut
					other.do("ethtool", "-K", "cli0", "tso", "off")
					do(t, "ethtool", "-K", "srv0", "gro", "on")
					raw, _ := server.(syscall.Conn).SyscallConn()
					raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO, 1) })
					if err != nil {
						t.Fatal(err)
					}
				}
				p := startProcess(t, "-b", "udp port 53", "--shards", "2", "srv0")
				const sends, queries = 10, 60
				size := len(testkit.AppendDNS(nil, 0, 0x100, "q00.example.com", 1))
				other.run(func() error { return sendSegments(target, size, sends, queries) })
				version, heads := "ipv4", 14+20+8
				if netip.MustParseAddr(target).Is6() {
					version, heads = "ipv6", 14+40+8
				}
				var got map[string]float64
				testkit.Eventually(t, "all queries are counted", func() bool {
					got = p.summary(t, "/api/v1/metrics/window/2")
					return got["packets.total"] >= sends*queries
				})
				for name, want := range map[string]float64{
					"packets.total": sends * queries, "packets." + version: sends * queries, "packets.in": sends * queries,
					"packets.bytes.total": float64(sends * queries * (heads + size)), "dns.wire_packets.queries": sends * queries,
					"dns.top_qname3[q07.example.com]": sends, "dns.wire_packets.malformed": 0, "pcap.os_drops": 0,
				} {
					if got[name] != want {
						t.Errorf("%s: %v, want %v", name, got[name], want)
					}
				}
				frames := got["pcap.received"] - got["pcap.super_frames"] + got["pcap.super_frame_packets"]
				if frames != sends*queries || (got["pcap.super_frames"] > 0) != c.super {
					t.Errorf("received %v, super_frames %v with %v packets", got["pcap.received"], got["pcap.super_frames"], got["pcap.super_frame_packets"])
				}
			})
		}
	}
}

// sendSegments sends queries, many at a time, each in a datagram of size bytes.
func sendSegments(target string, size, sends, queries int) error {
	conn, err := net.Dial("udp", net.JoinHostPort(target, "53"))
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) })
	for i := range sends {
		var b []byte
		for q := range queries {
			b = testkit.AppendDNS(b, uint16(i*queries+q), 0x100, fmt.Sprintf("q%02d.example.com", q), 1)
		}
		if err == nil {
			_, err = conn.Write(b)
		}
	}
	return err
}

// TestLiveTCPSegments: a bulk transfer has the packets that the kernel counts for its connection, and the bytes of
// their headers.
func TestLiveTCPSegments(t *testing.T) {
	need(t, "sysctl")
	for _, target := range []string{"10.53.0.2", "fd53::2"} {
		t.Run(target, func(t *testing.T) {
			enterNetns(t)
			other := newNeighbour(t)
			other.link()
			// This makes all acknowledgements the same length. The setting applies to both IP versions.
			other.do("sysctl", "-qw", "net.ipv4.tcp_sack=0")
			p := startProcess(t, "--no-kernel-counters", "-b", "tcp", "--ring-size", "64", "srv0") // a whole ring from the start, for all of it
			var listener net.Listener
			other.run(func() (err error) {
				listener, err = net.Listen("tcp", net.JoinHostPort(target, "5300"))
				return err
			})
			read := make(chan int64)
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					t.Error(err)
				}
				n, _ := io.Copy(io.Discard, conn)
				conn.Close()
				listener.Close()
				read <- n
			}()
			conn, err := net.Dial("tcp", net.JoinHostPort(target, "5300"))
			if err != nil {
				t.Fatal(err)
			}
			const payload = 20 << 20
			if _, err := conn.Write(make([]byte, payload)); err != nil {
				t.Fatal(err)
			}
			conn.(*net.TCPConn).CloseWrite()
			defer conn.Close()
			if n := <-read; n != payload {
				t.Fatalf("%d bytes read", n)
			}
			io.Copy(io.Discard, conn) // until the other side closes
			counts := tcpCounts(t, conn)
			in, out := int(counts.Segs_in), int(counts.Segs_out)
			var got map[string]float64
			testkit.Eventually(t, "all segments are counted", func() bool {
				got = p.summary(t, "/api/v1/metrics/window/2")
				return got["packets.total"]+got["pcap.os_drops"] >= float64(in+out)
			})
			heads := 14 + 20 + 32 // TCP with the timestamp option
			if netip.MustParseAddr(target).Is6() {
				heads += 20
			}
			for name, want := range map[string]float64{
				"packets.total": float64(in + out), "packets.out": float64(out), "packets.in": float64(in),
				"packets.protocol.tcp.syn": 1, "packets.protocol.tcp.syn_ack": 1, "packets.protocol.tcp.rst": 0,
				// The two SYNs have eight more bytes of options.
				"packets.bytes.total": float64(int(counts.Bytes_sent) + heads*(in+out) + 16),
				"pcap.os_drops":       0,
			} {
				if got[name] != want {
					t.Errorf("%s: %v, want %v", name, got[name], want)
				}
			}
			if got["pcap.super_frames"] == 0 || got["pcap.received"] > got["packets.total"]/5 {
				t.Errorf("%v frames for %v packets, %v of them super frames: no offload to test", got["pcap.received"], got["packets.total"], got["pcap.super_frames"])
			}
		})
	}
}

// TestLiveAnyDevices: on any, a packet that comes in over a veth pair of the host itself counts once. The API reports
// the device.
func TestLiveAnyDevices(t *testing.T) {
	need(t, "tcpreplay")
	need(t, "tcpdump")
	cfg := testkit.TinyMixed()
	cfg.Packets, cfg.Rate = 500, 5000
	path, truth := writeTraffic(t, cfg)
	enterNetns(t, vethPair...)
	filter := "udp port 53 and not net 127.0.0.0/8"
	once := startProcess(t, "-b", filter, "--no-auto-host", "-H", testkit.HostSpec, "any")
	every := startProcess(t, "-b", filter, "--no-auto-host", "-H", testkit.HostSpec, "--any-copies", "any")
	out, err := exec.Command("tcpdump", "--count", "-nr", path, filter).Output()
	var sent float64
	if _, scan := fmt.Sscanf(string(out), "%f packets", &sent); err != nil || scan != nil || sent < 100 {
		t.Fatalf("tcpdump counts %q: %v, %v", out, err, scan)
	}
	do(t, "tcpreplay", "-q", "-i", "vtx", path)
	var got, all map[string]float64
	testkit.Eventually(t, "all packets are counted", func() bool {
		got, all = once.summary(t, "/api/v1/metrics/window/2"), every.summary(t, "/api/v1/metrics/window/2")
		return got["packets.total"] >= sent && all["packets.total"] >= 2*sent
	})
	if n := got["packets.total"]; n != sent || n != all["packets.total"]/2 || n > float64(truth.Total.Packets) || got["pcap.copies"] != n || all["pcap.copies"] != 0 {
		t.Errorf("%v packets and %v copies; every copy: %v and %v; of %d", n, got["pcap.copies"], all["packets.total"], all["pcap.copies"], truth.Total.Packets)
	}
	_, body := once.get(t, "/api/v1/metrics/app")
	var app struct {
		App struct {
			Devices []server.Device
			Drops   struct{ Copies uint64 }
		}
	}
	if err := json.Unmarshal(body, &app); err != nil {
		t.Fatal(err)
	}
	n := uint64(got["packets.total"])
	if want := []server.Device{{Name: "vrx", Frames: n}, {Name: "vtx", Copies: n}}; !slices.Equal(app.App.Devices, want) || app.App.Drops.Copies != n {
		t.Errorf("devices %v, want %v; %d copies", app.App.Devices, want, app.App.Drops.Copies)
	}
}
