package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"pktvisor/linktype"
)

// TestLiveLoopback: a frame on lo is captured once, on lo and on any.
func TestLiveLoopback(t *testing.T) {
	enterNetns(t, append(vethPair, "link set lo up")...)
	lo := openLiveTest(t, LiveConfig{Interface: "lo"})
	lo2 := openLiveTest(t, LiveConfig{Interface: "lo", Shards: 2, Filter: onlyEtherType(0x0800, 1000)})
	all := openLiveTest(t, LiveConfig{Interface: "any", Shards: 2})
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const n = 50
	for i := range n {
		if _, err := conn.WriteTo([]byte{1, 2, 3, byte(i)}, conn.LocalAddr()); err != nil {
			t.Fatal(err)
		}
	}
	frame := etherFrame(ipPacket(hostA, hostB, 9, 9, -1, []byte{1, 2, 3, 4}))
	send(t, rawSender(t, "vtx"), frame) // any shows it once, where it enters on vrx

	for name, c := range map[string]struct {
		sources []Source
		want    int
	}{"lo": {lo, n}, "lo, 2 shards": {lo2, n}, "any": {all, n + 1}} {
		got := slices.Concat(receive(t, c.sources, c.want)...)
		if len(got) != c.want {
			t.Errorf("%s: %d frames captured, want %d", name, len(got), c.want)
		}
		directions := make(map[Direction]int)
		for _, f := range got {
			directions[f.Direction]++
			if f.Link != 1 || f.Data[12] != 8 {
				t.Errorf("%s: link %d, frame %x", name, f.Link, f.Data)
			}
		}
		if directions[DirUnknown] != n || directions[DirIn] != c.want-n || directions[DirOut] != 0 {
			t.Errorf("%s: directions %v", name, directions)
		}
	}
}

// openTun makes a tun interface, which has no link layer. Packets that are written to the file arrive on the
// interface.
func openTun(t *testing.T, name string) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs tun interfaces: %v", err)
	}
	f := os.NewFile(uintptr(fd), "tun")
	t.Cleanup(func() { f.Close() })
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		t.Fatal(err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		t.Skipf("needs tun interfaces: %v", err)
	}
	ip(t, "link set "+name+" up")
	return f
}

func TestLiveRawIP(t *testing.T) {
	enterNetns(t, vethPair...)
	tun := openTun(t, "tun7")
	// There is a filter for each link layer, because the byte that identifies UDP is at different offsets.
	var asked []linktype.Type
	filter := func(link linktype.Type) ([]bpf.RawInstruction, error) {
		asked = append(asked, link)
		return bpf.Assemble([]bpf.Instruction{
			bpf.LoadAbsolute{Off: map[linktype.Type]uint32{1: 23, 101: 9}[link], Size: 1},
			bpf.JumpIf{Val: 17, SkipFalse: 1},
			bpf.RetConstant{Val: 1 << 20},
			bpf.RetConstant{Val: 0},
		})
	}
	one := openLiveTest(t, LiveConfig{Interface: "tun7", Shards: 3, Filter: filter})
	if !slices.Equal(asked, []linktype.Type{101, 101, 101}) {
		t.Errorf("the filter was asked for link types %d", asked)
	}
	all := openLiveTest(t, LiveConfig{Interface: "any", Shards: 2, Filter: filter})
	noRaw := openLiveTest(t, LiveConfig{Interface: "any", Filter: func(link linktype.Type) ([]bpf.RawInstruction, error) {
		if link != 1 {
			return nil, errors.New("ether host: not on this link layer")
		}
		return nil, nil
	}})

	packets := [][]byte{ // without their EtherType
		ipPacket(hostA, hostB, 9, 9, -1, []byte("there"))[2:],
		ipPacket(hostB, hostA, 9, 9, -1, []byte("and back"))[2:],
		ipPacket(hostA, hostB, 9, 9, 8, []byte("fragment"))[2:],
	}
	icmp := bytes.Clone(packets[0])
	icmp[9] = 1
	for _, p := range append(packets, icmp) {
		if _, err := tun.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	ether := etherFrame([]byte{8, 0}, packets[0])
	send(t, rawSender(t, "vtx"), ether)

	got := receive(t, one, len(packets))
	with := slices.IndexFunc(got, func(f []Frame) bool { return len(f) > 0 })
	for i, f := range got[with] {
		if f.Link != 101 || f.Direction != DirIn || int(f.WireLen) != len(packets[i]) || !bytes.Equal(f.Data, packets[i]) {
			t.Errorf("packet %d: %+v", i, f)
		}
	}
	if len(got[with]) != len(packets) {
		t.Errorf("%d packets of %d in one shard", len(got[with]), len(packets))
	}
	links := make(map[linktype.Type]int)
	for _, f := range slices.Concat(receive(t, all, len(packets)+1)...) {
		links[f.Link]++
		if f.Link == 1 && !bytes.Equal(f.Data, ether) || f.Link == 101 && !slices.ContainsFunc(packets, func(p []byte) bool { return bytes.Equal(p, f.Data) }) {
			t.Errorf("any: link %d: %x", f.Link, f.Data)
		}
	}
	if links[1] != 1 || links[101] != len(packets) {
		t.Errorf("any: frames by link type: %v", links)
	}
	if got := receive(t, noRaw, 1)[0]; len(got) != 1 || got[0].Link != 1 {
		t.Errorf("any, with a filter for Ethernet only: %+v", got)
	}
}

// awaitEvents reads the sources until the given events have come.
func awaitEvents(t *testing.T, sources []Source, events *[]Event, want ...InterfaceState) {
	t.Helper()
	var b Batch
	for begun := time.Now(); len(*events) < len(want); {
		for _, s := range sources {
			if err := s.ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(begun) > 10*time.Second {
			break
		}
	}
	var got []InterfaceState
	for _, e := range *events {
		got = append(got, e.State)
		if e.Err != nil || e.Interface != "vrx" {
			t.Errorf("event: %v", e)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("events %v, want %v", got, want)
	}
	*events = nil
}

func TestLiveFlaps(t *testing.T) {
	for shards := 1; shards <= 2; shards++ {
		enterNetns(t, vethPair...)
		ip(t, "link set vrx down")
		var events []Event
		sources := openLiveTest(t, LiveConfig{Interface: "vrx", Shards: shards, Promisc: true, Filter: onlyEtherType(0x0800, 1000),
			OnEvent: func(e Event) { events = append(events, e) }})
		stop, stopped := make(chan bool), make(chan bool)
		go func() { // Stats may be called at any time
			defer close(stopped)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					for _, s := range sources {
						s.Stats()
					}
				}
			}
		}()
		sent := 0
		flow := func() {
			t.Helper()
			// All shards must capture again before frames are sent.
			for _, s := range sources {
				for begun := time.Now(); s.(*liveSource).ring == nil && time.Since(begun) < 10*time.Second; {
					receive(t, sources, 0)
				}
			}
			fd := rawSender(t, "vtx")
			frames := make([]int, shards)
			for i := range 100 {
				send(t, fd, etherFrame(ipPacket(netip.AddrFrom4([4]byte{10, 9, 8, byte(i)}), hostB, 9, 9, -1, nil)), etherFrame([]byte{8, 6}))
			}
			sent += 100
			for i, f := range receive(t, sources, 100) {
				frames[i] = len(f)
			}
			if n := frames[0] + frames[len(frames)-1]*(shards-1); n != 100 || slices.Min(frames) < 10 {
				t.Fatalf("frames by shard: %v, sent 100", frames)
			}
		}
		awaitEvents(t, sources, &events, InterfaceDown) // from the start
		ip(t, "link set vrx up")
		awaitEvents(t, sources, &events, InterfaceUp)
		flow()
		ip(t, "link set vrx down")
		awaitEvents(t, sources, &events, InterfaceDown)
		ip(t, "link set vrx up")
		awaitEvents(t, sources, &events, InterfaceUp)
		flow()
		ip(t, "link set vrx down") // up again so quickly that nobody can see it
		ip(t, "link set vrx up")
		awaitEvents(t, sources, &events, InterfaceDown, InterfaceUp)
		flow()

		// Frames that were in the ring when the interface went away are not lost.
		send(t, rawSender(t, "vtx"), etherFrame(ipPacket(hostA, hostB, 9, 9, -1, nil)))
		sent++
		ip(t, "link del vrx")
		if got := slices.Concat(receive(t, sources, 1)...); len(got) != 1 {
			t.Errorf("%d frames of 1 from before the interface was gone", len(got))
		}
		awaitEvents(t, sources, &events, InterfaceGone)
		for _, c := range vethPair {
			ip(t, c)
		}
		awaitEvents(t, sources, &events, InterfaceUp)
		flow()
		// An interface with the same index is still another interface.
		index := indexOf(t, "vrx")
		ip(t, "link del vrx")
		awaitEvents(t, sources, &events, InterfaceGone)
		ip(t, "link add vrx mtu 9000 index "+strconv.Itoa(index)+" type veth peer name vtx mtu 9000")
		ip(t, "link set vtx up")
		ip(t, "link set vrx up")
		awaitEvents(t, sources, &events, InterfaceUp)
		flow()

		close(stop)
		<-stopped
		var st Stats
		for _, s := range sources {
			st.Received += s.Stats().Received
			st.OSDrops += s.Stats().OSDrops
		}
		if st.Received != uint64(sent) || st.OSDrops != 0 {
			t.Errorf("%+v, sent %d", st, sent)
		}
	}
}

// TestLiveFlapUnderLoad: the capture notices that the interface is up again even if frames never pause.
func TestLiveFlapUnderLoad(t *testing.T) {
	enterNetns(t, vethPair...)
	var events []Event
	sources := openLiveTest(t, LiveConfig{Interface: "vrx", OnEvent: func(e Event) { events = append(events, e) }})
	ip(t, "link set vrx down")
	awaitEvents(t, sources, &events, InterfaceDown)
	ip(t, "link set vrx up")
	fd, frame := rawSender(t, "vtx"), etherFrame(ipPacket(hostA, hostB, 9, 9, -1, nil))
	var b Batch
	for range 20 {
		unix.Write(fd, frame) // it may fail just after the other end was down
		if err := sources[0].ReadBatch(&b); err != nil {
			t.Fatal(err)
		}
	}
	if len(events) != 1 || events[0].State != InterfaceUp {
		t.Errorf("after 20 batches: events %v", events)
	}
}

func TestLiveErrors(t *testing.T) {
	enterNetns(t, vethPair...)
	refuse := func(linktype.Type) ([]bpf.RawInstruction, error) { return nil, errors.New("column 7: no such thing") }
	for name, c := range map[string]struct {
		cfg  LiveConfig
		want string
	}{
		"missing":  {LiveConfig{Interface: "eth9"}, `capture on eth9: there is no interface "eth9"; there are: lo, `},
		"too long": {LiveConfig{Interface: "a-name-of-thirty-characters..."}, `there is no interface "a-name-of`},
		"unnamed":  {LiveConfig{}, "no interface is named"},
		"shards":   {LiveConfig{Interface: "vrx", Shards: 1000}, "1000 shards; must be 1 to 256"},
		"promisc":  {LiveConfig{Interface: "any", Promisc: true}, "promiscuous mode needs one interface"},
		"memory":   {LiveConfig{Interface: "vrx", RingBytes: -1}, "must not be negative"},
		"filter":   {LiveConfig{Interface: "vrx", Shards: 2, Filter: refuse}, "capture on vrx: column 7: no such thing"},
		"down":     {LiveConfig{Interface: "lo", Filter: refuse}, "capture on lo: column 7: no such thing"},
		"on any":   {LiveConfig{Interface: "any", Filter: refuse}, "capture on any: column 7: no such thing"},
	} {
		sources, err := OpenLive(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || sources != nil {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}

	// Without CAP_NET_RAW: this thread drops the capability, and ends with the test.
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	caps[0].Effective &^= 1 << unix.CAP_NET_RAW
	if err := unix.Capset(&header, &caps[0]); err != nil {
		t.Fatal(err)
	}
	_, err := OpenLive(LiveConfig{Interface: "vrx"})
	if want := "capture on vrx: no permission: it needs the capability CAP_NET_RAW; run as root or: setcap cap_net_raw,cap_bpf,cap_perfmon+ep pktvisord"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLivePromisc(t *testing.T) {
	enterNetns(t, vethPair...)
	promiscuous := func() bool {
		out, err := exec.Command("ip", "-d", "link", "show", "vrx").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Contains(string(out), "promiscuity 1")
	}
	openLiveTest(t, LiveConfig{Interface: "vrx"})
	if promiscuous() {
		t.Error("promiscuous unasked")
	}
	sources, err := OpenLive(LiveConfig{Interface: "vrx", Promisc: true, Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	if !promiscuous() {
		t.Error("not promiscuous")
	}
	for _, s := range sources {
		s.Close()
	}
	if promiscuous() {
		t.Error("still promiscuous when closed")
	}
}

func TestLiveClosed(t *testing.T) {
	enterNetns(t, vethPair...)
	sources, err := OpenLive(LiveConfig{Interface: "vrx", Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	send(t, rawSender(t, "vtx"), etherFrame(ipPacket(hostA, hostB, 9, 9, -1, nil)))
	var received uint64
	for _, s := range sources {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		received += s.Stats().Received
		if err := s.ReadBatch(new(Batch)); err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("reading a closed source: %v", err)
		}
	}
	if received != 1 {
		t.Errorf("%d frames in the stats, 1 sent", received)
	}
}

// TestLiveLargeFrames: on lo, the kernel joins TCP segments into frames of 64 KiB.
func TestLiveLargeFrames(t *testing.T) {
	enterNetns(t, "link set lo up")
	sources := openLiveTest(t, LiveConfig{Interface: "lo"})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 1 << 20
	finished := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.CopyN(io.Discard, c, n)
			c.Close()
		}
		finished <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	c.Close()
	// A busy machine sends some segments twice, so sequence numbers show what has come.
	seen := make([]bool, n)
	payload, largest, first := 0, 0, int64(-1)
	for _, f := range receive(t, sources, 1)[0] {
		if len(f.Data) != int(f.WireLen) {
			t.Errorf("%d bytes of %d", len(f.Data), f.WireLen)
		}
		ihl, tcp := int(f.Data[14]&15)*4, int(f.Data[14+int(f.Data[14]&15)*4+12]>>4)*4
		largest = max(largest, len(f.Data))
		size := len(f.Data) - 14 - ihl - tcp
		if size == 0 {
			continue
		}
		seq := int64(binary.BigEndian.Uint32(f.Data[14+ihl+4:]))
		if first < 0 {
			first = seq
		}
		for i := range size {
			if at := uint32(seq+int64(i)) - uint32(first); at < uint32(n) && !seen[at] {
				seen[at] = true
				payload++
			}
		}
	}
	if payload != n || largest < 32<<10 {
		t.Errorf("%d bytes of TCP payload captured, %d sent; the largest frame has %d bytes", payload, n, largest)
	}
}
