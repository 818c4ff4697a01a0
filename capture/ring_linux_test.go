package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// These tests capture in their own network namespaces, which end with the tests.

// enterNetns puts the test into a new network namespace and runs the given ip commands there. The test stays on one
// thread, which ends with it, and the namespace ends with the thread.
func enterNetns(t testing.TB, commands ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (Debian: iproute2)")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	// Disable IPv6, so that there is no neighbour discovery among the test's frames.
	for _, conf := range []string{"all", "default"} {
		os.WriteFile("/proc/sys/net/ipv6/conf/"+conf+"/disable_ipv6", []byte("1"), 0)
	}
	for _, c := range commands {
		ip(t, c)
	}
}

// ip runs the ip command.
func ip(t testing.TB, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// vethPair is the commands for two connected interfaces: what vtx sends, vrx receives.
var vethPair = []string{"link add vtx mtu 9000 type veth peer name vrx mtu 9000", "link set vtx up", "link set vrx up"}

// awaitRunning waits until an interface that is up also has a carrier, which the kernel notices a little later. Until
// then it discards the frames that are sent.
func awaitRunning(t testing.TB, name string) {
	t.Helper()
	for begun := time.Now(); time.Since(begun) < 10*time.Second; time.Sleep(time.Millisecond) {
		i, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagRunning != 0 {
			return
		}
	}
	t.Fatalf("%s is up but has no carrier", name)
}

// rawSender returns a socket that sends frames on an interface.
func rawSender(t testing.TB, name string) int {
	t.Helper()
	awaitRunning(t, name)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: indexOf(t, name)}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func indexOf(t testing.TB, name string) int {
	t.Helper()
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return int(ifr.Uint32())
}

func send(t testing.TB, fd int, frames ...[]byte) {
	t.Helper()
	for _, f := range frames {
		if _, err := unix.Write(fd, f); err != nil {
			t.Fatalf("send %d bytes: %v", len(f), err)
		}
	}
}

func openLiveTest(t testing.TB, cfg LiveConfig) []Source {
	t.Helper()
	sources, err := OpenLive(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, s := range sources {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return sources
}

// receive reads n frames, and those that come within one more wait. It returns copies, by source.
func receive(t testing.TB, sources []Source, n int) [][]Frame {
	t.Helper()
	got := make([][]Frame, len(sources))
	total := 0
	var b Batch
	for begun, quiet := time.Now(), false; total < n || !quiet; {
		quiet = true
		for i, s := range sources {
			if err := s.ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Frames {
				f.Data = bytes.Clone(f.Data)
				got[i] = append(got[i], f)
			}
			total += len(b.Frames)
			quiet = quiet && len(b.Frames) == 0
		}
		if quiet && time.Since(begun) > 10*time.Second {
			t.Fatalf("%d of %d frames received", total, n)
		}
	}
	return got
}

// etherFrame makes an Ethernet frame. rest starts with the EtherType.
func etherFrame(rest ...[]byte) []byte {
	return slices.Concat(append([][]byte{{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}}, rest...)...)
}

func tag(tpid, tci uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tpid), tci)
}

// ipPacket makes the EtherType and an IP packet with a UDP header and a body. fragOff is the fragment's offset in
// bytes, or -1 for a whole packet.
func ipPacket(src, dst netip.Addr, srcPort, dstPort uint16, fragOff int, body []byte) []byte {
	udp := body
	if fragOff <= 0 {
		udp = binary.BigEndian.AppendUint16(nil, srcPort)
		udp = binary.BigEndian.AppendUint16(udp, dstPort)
		udp = binary.BigEndian.AppendUint32(udp, uint32(8+len(body))<<16)
		udp = append(udp, body...)
	}
	if src.Is4() {
		h := make([]byte, 22)
		copy(h, []byte{8, 0, 0x45})
		binary.BigEndian.PutUint16(h[4:], uint16(20+len(udp)))
		if fragOff >= 0 {
			binary.BigEndian.PutUint16(h[8:], uint16(fragOff/8)|0x2000)
		}
		h[10], h[11] = 64, 17
		copy(h[14:], src.AsSlice())
		copy(h[18:], dst.AsSlice())
		sum := uint32(0)
		for i := 2; i < len(h); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(h[i:]))
		}
		sum = sum>>16 + sum&0xffff
		binary.BigEndian.PutUint16(h[12:], ^uint16(sum+sum>>16))
		return append(h, udp...)
	}
	next := byte(17)
	if fragOff >= 0 {
		frag := []byte{17, 0, 0, 0, 0, 0, 0, 7}
		binary.BigEndian.PutUint16(frag[2:], uint16(fragOff)|1)
		udp, next = append(frag, udp...), 44
	}
	h := make([]byte, 42)
	copy(h, []byte{0x86, 0xdd, 0x60})
	binary.BigEndian.PutUint16(h[6:], uint16(len(udp)))
	h[8], h[9] = next, 64
	copy(h[10:], src.AsSlice())
	copy(h[26:], dst.AsSlice())
	return append(h, udp...)
}

var (
	hostA = netip.MustParseAddr("192.0.2.1")
	hostB = netip.MustParseAddr("198.51.100.2")
)

func TestLiveFrames(t *testing.T) {
	enterNetns(t, vethPair...)
	packet := ipPacket(hostA, hostB, 1234, 53, -1, []byte("query"))
	var frames [][]byte
	for range 100 { // enough to fill more than one block
		frames = append(frames,
			etherFrame(packet),
			etherFrame(tag(0x8100, 5), packet),
			etherFrame(tag(0x8100, 0xefff), packet),
			etherFrame(tag(0x88a8, 100), tag(0x8100, 7), packet),
			etherFrame(tag(0x8100, 1), tag(0x8100, 2), tag(0x8100, 3), packet),
			etherFrame(ipPacket(hostA, hostB, 1, 2, -1, bytes.Repeat([]byte("x"), 8900))),
			etherFrame([]byte{0x88, 0xb5}),
			etherFrame([]byte{0, 3, 0x42, 0x42, 3}), // 802.3 with LLC
		)
	}
	in := openLiveTest(t, LiveConfig{Interface: "vrx"})
	out := openLiveTest(t, LiveConfig{Interface: "vtx"})
	fd := rawSender(t, "vtx")
	before := time.Now()
	send(t, fd, frames...)
	after := time.Now()

	for _, c := range []struct {
		sources []Source
		dir     Direction
	}{{in, DirIn}, {out, DirOut}} {
		got := receive(t, c.sources, len(frames))[0]
		if len(got) != len(frames) {
			t.Fatalf("%d frames captured, %d sent", len(got), len(frames))
		}
		last := before.UnixNano()
		for i, f := range got {
			if !bytes.Equal(f.Data, frames[i]) {
				t.Fatalf("frame %d (direction %d):\ngot  %x\nsent %x", i, c.dir, f.Data, frames[i])
			}
			if int(f.WireLen) != len(frames[i]) || f.Link != 1 || f.Direction != c.dir {
				t.Fatalf("frame %d of %d bytes: wire length %d, link %d, direction %d", i, len(frames[i]), f.WireLen, f.Link, f.Direction)
			}
			if f.Time < last {
				t.Fatalf("frame %d: %d ns before the one before it", i, last-f.Time)
			}
			last = f.Time
		}
		if last > after.UnixNano() {
			t.Fatalf("the last frame came %d ns after it was sent", last-after.UnixNano())
		}
		if got[1].Time%1000 == 0 && got[2].Time%1000 == 0 && got[3].Time%1000 == 0 {
			t.Error("the timestamps do not have nanoseconds")
		}
		if st := c.sources[0].Stats(); st != (Stats{Received: uint64(len(frames))}) {
			t.Errorf("stats %+v, sent %d", st, len(frames))
		}
	}
}

func TestLiveSnapLen(t *testing.T) {
	enterNetns(t, vethPair...)
	sources := openLiveTest(t, LiveConfig{Interface: "vrx", SnapLen: 64})
	frame := etherFrame(ipPacket(hostA, hostB, 1, 2, -1, make([]byte, 500)))
	tagged := etherFrame(tag(0x8100, 5), ipPacket(hostA, hostB, 1, 2, -1, make([]byte, 500)))
	send(t, rawSender(t, "vtx"), frame, tagged)
	got := receive(t, sources, 2)[0]
	if !bytes.Equal(got[0].Data, frame[:64]) || int(got[0].WireLen) != len(frame) {
		t.Errorf("%d bytes of %d", len(got[0].Data), got[0].WireLen)
	}
	if !bytes.Equal(got[1].Data, tagged[:68]) || int(got[1].WireLen) != len(tagged) {
		t.Errorf("tagged: %d bytes of %d", len(got[1].Data), got[1].WireLen)
	}
}

// onlyEtherType is a filter program.
func onlyEtherType(etherType, snaplen uint32) func(linktype.Type) ([]bpf.RawInstruction, error) {
	return func(linktype.Type) ([]bpf.RawInstruction, error) {
		return bpf.Assemble([]bpf.Instruction{
			bpf.LoadAbsolute{Off: 12, Size: 2},
			bpf.JumpIf{Val: etherType, SkipFalse: 1},
			bpf.RetConstant{Val: snaplen},
			bpf.RetConstant{Val: 0},
		})
	}
}

// TestLiveFilterFromTheStart opens captures under traffic: no frame that the filter does not select may get in, and
// no frame twice.
func TestLiveFilterFromTheStart(t *testing.T) {
	enterNetns(t, vethPair...)
	fd := rawSender(t, "vtx")
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := uint32(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			unix.Write(fd, etherFrame([]byte{0x88, 0xb5}))
			p := ipPacket(hostA, hostB, uint16(i), uint16(i>>16), -1, nil)
			unix.Write(fd, etherFrame(binary.BigEndian.AppendUint32([]byte{0x88, 0xb6}, i)))
			unix.Write(fd, etherFrame(p))
		}
	}()
	for round := range 6 {
		shards := 1 + round%3
		sources, err := OpenLive(LiveConfig{Interface: "vrx", Shards: shards, RingBytes: shards << 20, Filter: onlyEtherType(0x88b6, 100)})
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		seen := make(map[uint32]bool)
		for n := 0; n < 300; {
			for _, s := range sources {
				if err := s.ReadBatch(&b); err != nil {
					t.Fatal(err)
				}
				n += len(b.Frames)
				for _, f := range b.Frames {
					if f.Data[12] != 0x88 || f.Data[13] != 0xb6 {
						t.Fatalf("round %d: frame %x was captured, against the filter", round, f.Data)
					}
					i := binary.BigEndian.Uint32(f.Data[14:])
					if seen[i] {
						t.Fatalf("round %d: frame %d was captured twice", round, i)
					}
					seen[i] = true
				}
			}
		}
		for _, s := range sources {
			s.Close()
		}
	}
	close(stop)
	<-stopped
}

func TestLiveFanout(t *testing.T) {
	for _, shards := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			enterNetns(t, vethPair...)
			// Frames arrive on vrx and leave on it, as a server's queries and responses do.
			sources := openLiveTest(t, LiveConfig{Interface: "vrx", Shards: shards})
			queries, responses := rawSender(t, "vtx"), rawSender(t, "vrx")
			const pairs = 300
			sent := 0
			for i := range pairs {
				a := netip.AddrFrom4([4]byte{10, 0, byte(i), 7})
				b := netip.AddrFrom4([4]byte{192, 0, 2, byte(i % 3)})
				if i%2 == 1 {
					a = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
					b = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(i), 15: 1})
				}
				var tags []byte // none, one or two
				for j := range i / 2 % 3 {
					tags = append(tag([]uint16{0x8100, 0x88a8}[j], uint16(i)), tags...)
				}
				id := binary.BigEndian.AppendUint32(nil, uint32(i))
				body := bytes.Repeat(id, 100)
				send(t, queries,
					etherFrame(tags, ipPacket(a, b, uint16(1000+i), 53, -1, body)),
					etherFrame(tags, ipPacket(a, b, uint16(1000+i), 53, 0, body)),
					etherFrame(tags, ipPacket(a, b, 0, 0, 408, body)))
				send(t, responses,
					etherFrame(tags, ipPacket(b, a, 53, uint16(1000+i), -1, body)),
					etherFrame(tags, ipPacket(b, a, 53, uint16(1000+i), 0, body)),
					etherFrame(tags, ipPacket(b, a, 0, 0, 408, body)))
				sent += 6
			}
			send(t, queries, etherFrame([]byte{8, 6, 1, 2, 3, 4})) // not IP
			sent++

			got := receive(t, sources, sent)
			shardOf := make(map[uint32]int)
			counts := make(map[uint32]int)
			total, notIP := 0, 0
			for shard, frames := range got {
				total += len(frames)
				if shards > 1 && len(frames) < sent/shards/2 {
					t.Errorf("shard %d has only %d of %d frames", shard, len(frames), sent)
				}
				for _, f := range frames {
					if len(f.Data) < 100 {
						notIP++
						if shard != 0 {
							t.Errorf("a frame that is not IP in shard %d", shard)
						}
						continue
					}
					id := binary.BigEndian.Uint32(f.Data[len(f.Data)-4:])
					if s, ok := shardOf[id]; ok && s != shard {
						t.Fatalf("pair %d is in shards %d and %d", id, s, shard)
					}
					shardOf[id] = shard
					counts[id]++
				}
			}
			if total != sent || notIP != 1 || len(counts) != pairs {
				t.Fatalf("%d frames of %d, %d not IP, %d pairs", total, sent, notIP, len(counts))
			}
			for id, n := range counts {
				if n != 6 {
					t.Errorf("pair %d: %d frames of 6", id, n)
				}
			}
			received := uint64(0)
			for _, s := range sources {
				received += s.Stats().Received
			}
			if received != uint64(sent) {
				t.Errorf("stats: %d received, %d sent", received, sent)
			}
		})
	}
}

func TestLiveDrops(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards), func(t *testing.T) {
			enterNetns(t, vethPair...)
			sources := openLiveTest(t, LiveConfig{Interface: "vrx", Shards: shards, RingBytes: 1}) // the smallest ring: 1 MiB each
			fd := rawSender(t, "vtx")
			const sent = 50_000
			for i := range sent {
				send(t, fd, etherFrame(ipPacket(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), hostB, 9, 9, -1, nil)))
			}
			var st Stats
			for _, s := range sources {
				one := s.Stats()
				if one.OSDrops == 0 || one.Freezes == 0 {
					t.Errorf("no drops: %+v", one)
				}
				st.Received += one.Received
				st.OSDrops += one.OSDrops
			}
			if st.Received+st.OSDrops != sent {
				t.Errorf("%d received + %d drops, %d sent", st.Received, st.OSDrops, sent)
			}
			total := 0
			for _, frames := range receive(t, sources, int(st.Received)) {
				total += len(frames)
			}
			if total != int(st.Received) {
				t.Errorf("%d frames read, %d received", total, st.Received)
			}
			// After reading, the ring accepts frames again.
			send(t, fd, etherFrame(ipPacket(hostA, hostB, 9, 9, -1, nil)))
			receive(t, sources, 1)
		})
	}
}

func TestLiveAllocs(t *testing.T) {
	enterNetns(t, vethPair...)
	s := openLiveTest(t, LiveConfig{Interface: "vrx"})[0]
	fd := rawSender(t, "vtx")
	frame := etherFrame(tag(0x8100, 5), ipPacket(hostA, hostB, 9, 9, -1, nil))
	var b Batch
	// The goroutine that follows the interface also allocates now and then, but not in every one of a few tries.
	allocs := math.Inf(1)
	for try := 0; try < 5 && allocs > 0; try++ {
		allocs = min(allocs, testing.AllocsPerRun(3, func() {
			for range 300 {
				unix.Write(fd, frame)
			}
			for n := 0; n < 300; n += len(b.Frames) {
				if err := s.ReadBatch(&b); err != nil {
					t.Fatal(err)
				}
			}
		}))
	}
	if allocs != 0 {
		t.Errorf("%v allocations for 300 frames", allocs)
	}
}

// enableIPv6 enables IPv6 on an interface, which these tests' namespaces disable.
func enableIPv6(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("0"), 0); err != nil {
		t.Skipf("needs IPv6: %v", err)
	}
}
