package capture

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// otherPair is the commands for two more connected interfaces: what otx sends, orx receives.
var otherPair = []string{"link add otx type veth peer name orx", "link set otx up", "link set orx up"}

// await reads the sources until an event has come, and returns it with the frames until then.
func await(t *testing.T, sources []Source, events *[]Event) (event Event, frames int) {
	t.Helper()
	var b Batch
	for begun := time.Now(); len(*events) == 0; {
		for _, s := range sources {
			if err := s.ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
			frames += len(b.Frames)
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("nothing happened")
		}
	}
	event = (*events)[0]
	*events = (*events)[1:]
	return event, frames
}

// settled reads the sources until all of them are in the state of the first one.
func settled(t *testing.T, sources []Source) {
	t.Helper()
	has := func(s Source) bool { return s.(*liveSource).ring != nil }
	for begun := time.Now(); ; receive(t, sources, 0) {
		if !slices.ContainsFunc(sources, func(s Source) bool { return has(s) != has(sources[0]) || s.(*liveSource).leaving }) {
			return
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the shards are not all in the same state")
		}
	}
}

// packetsFrom returns n packets between as many address pairs, so that all shards get some.
func packetsFrom(n int) (frames [][]byte) {
	for i := range n {
		frames = append(frames, etherFrame(ipPacket(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), hostB, 9, 9, -1, nil)))
	}
	return frames
}

// capturesFrom sends 100 packets on an interface, and checks that the sources have the wanted number of them.
func capturesFrom(t *testing.T, sources []Source, sender string, want int) {
	t.Helper()
	settled(t, sources)
	send(t, rawSender(t, sender), packetsFrom(100)...)
	if got := slices.Concat(receive(t, sources, want)...); len(got) != want {
		t.Errorf("%d frames of 100 from %s, want %d", len(got), sender, want)
	}
}

// TestLiveRenamed: the interface with the configured name is captured, and no other. Frames from before a renaming
// are not lost.
func TestLiveRenamed(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d shards, down %v", shards, down), func(t *testing.T) {
				enterNetns(t, vethPair...)
				var events []Event
				sources := openLiveTest(t, LiveConfig{Interface: "vrx", Shards: shards, OnEvent: func(e Event) { events = append(events, e) }})
				expect := func(want Event, frames int) {
					t.Helper()
					got, n := await(t, sources, &events)
					if got != want || n != frames {
						t.Fatalf("%+v after %d frames, want %+v after %d", got, n, want, frames)
					}
				}
				captures := func(sender string, want int) { t.Helper(); capturesFrom(t, sources, sender, want) }
				up, renamed := Event{Interface: "vrx", State: InterfaceUp}, Event{Interface: "vrx", State: InterfaceRenamed, NewName: "vold"}
				rename := func(from, to string) {
					t.Helper()
					ip(t, "link set "+from+" down")
					ip(t, "link set "+from+" name "+to)
					ip(t, "link set "+to+" up")
				}
				captures("vtx", 100)
				before := packetsFrom(50)
				send(t, rawSender(t, "vtx"), before...)
				ip(t, "link set vrx down")
				read := 0
				if down { // the capture notices this before the renaming
					var e Event
					e, read = await(t, sources, &events)
					if e.State != InterfaceDown {
						t.Fatalf("%+v", e)
					}
				}
				ip(t, "link set vrx name vold")
				e, n := await(t, sources, &events)
				if e.State == InterfaceDown && !down {
					read, n, e = n, 0, Event{}
					e, n = await(t, sources, &events)
				}
				if e != renamed {
					t.Fatalf("%+v, want %+v", e, renamed)
				}
				if e.String() != "interface vrx was renamed to vold; waiting for an interface vrx" {
					t.Error(e)
				}
				settled(t, sources)
				if read += n; shards == 1 && read != len(before) { // with several shards, some may not have read everything
					t.Errorf("%d frames of %d from before", read, len(before))
				}
				ip(t, "link set vold up")
				captures("vtx", 0)

				// Another interface gets the name.
				for _, c := range otherPair {
					ip(t, c)
				}
				rename("orx", "vrx")
				got, _ := await(t, sources, &events)
				for got.State == InterfaceDown {
					got, _ = await(t, sources, &events)
				}
				if got != up {
					t.Fatalf("%+v, want %+v", got, up)
				}
				captures("vtx", 0)
				captures("otx", 100)

				// The interfaces exchange names while both are up, without an error.
				ip(t, "link set vrx name vnew")
				ip(t, "link set vold name vrx")
				expect(Event{Interface: "vrx", State: InterfaceRenamed, NewName: "vnew"}, 0)
				expect(up, 0)
				captures("otx", 0)
				captures("vtx", 100)

				var received uint64
				for _, s := range sources {
					received += s.Stats().Received
				}
				if received != 350 {
					t.Errorf("%d frames in the stats, want 350", received)
				}
				ip(t, "link del vrx")
				expect(Event{Interface: "vrx", State: InterfaceGone}, 0)
				if len(events) > 0 {
					t.Errorf("more events: %v", events)
				}
			})
		}
	}
}

// TestLiveRenamedUnderLoad: an interface is left after a renaming even if frames never pause.
func TestLiveRenamedUnderLoad(t *testing.T) {
	enterNetns(t, vethPair...)
	var events []Event
	sources := openLiveTest(t, LiveConfig{Interface: "vrx", OnEvent: func(e Event) { events = append(events, e) }})
	fd, frame := rawSender(t, "vtx"), packetsFrom(1)[0]
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				unix.Write(fd, frame)
			}
		}
	}()
	ip(t, "link set vrx name vold")
	if e, _ := await(t, sources, &events); e.State != InterfaceRenamed || e.NewName != "vold" {
		t.Errorf("%+v", e)
	}
	close(stop)
	<-stopped
}

// TestLiveSameIndex: an interface with the index of a removed one is a different one, even if nobody saw the time between.
func TestLiveSameIndex(t *testing.T) {
	enterNetns(t, vethPair...)
	var events []Event
	sources := openLiveTest(t, LiveConfig{Interface: "vrx", OnEvent: func(e Event) { events = append(events, e) }})
	index := strconv.Itoa(indexOf(t, "vrx"))
	replace := func(old, name string) {
		t.Helper()
		ip(t, "link del "+old)
		ip(t, "link add "+name+" index "+index+" type veth peer name vtx") // after the peer, ip ignores the index
		ip(t, "link set vtx up")
		ip(t, "link set "+name+" up")
	}
	expect := func(want string) {
		t.Helper()
		if got, _ := await(t, sources, &events); got.String() != want {
			t.Fatalf("%v, want %s", got, want)
		}
	}
	replace("vrx", "vrx")
	expect("interface vrx is gone")
	expect("interface vrx is up")
	send(t, rawSender(t, "vtx"), packetsFrom(50)...)
	if got := receive(t, sources, 50)[0]; len(got) != 50 {
		t.Errorf("%d frames of 50", len(got))
	}
	replace("vrx", "vzz")
	expect("interface vrx is gone")
	ip(t, "link set vzz name vrx")
	expect("interface vrx is up")
}

// TestLiveMovedAway: an interface in another namespace is gone.
func TestLiveMovedAway(t *testing.T) {
	enterNetns(t, vethPair...)
	other := exec.Command("unshare", "--net", "sh", "-c", "echo; exec sleep 300")
	said, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Skipf("needs unshare: %v", err)
	}
	t.Cleanup(func() { other.Process.Kill(); other.Wait() })
	said.Read(make([]byte, 1)) // the process is in its namespace
	var events []Event
	sources := openLiveTest(t, LiveConfig{Interface: "vrx", OnEvent: func(e Event) { events = append(events, e) }})
	pid := strconv.Itoa(other.Process.Pid)
	ip(t, "link set vrx netns "+pid)
	awaitEvents(t, sources, &events, InterfaceGone)
	ip(t, "link add vrx type veth peer name orx")
	ip(t, "link set vrx up")
	awaitEvents(t, sources, &events, InterfaceUp)
}

// TestLiveByAddress: an address means the interface that has it, under any name, until another one has it.
func TestLiveByAddress(t *testing.T) {
	enterNetns(t, slices.Concat(vethPair, otherPair, []string{"addr add 192.0.2.1/24 dev vrx"})...)
	var events []Event
	sources := openLiveTest(t, LiveConfig{Interface: "192.0.2.1", Shards: 2, OnEvent: func(e Event) { events = append(events, e) }})
	captures := func(sender string, want int) { t.Helper(); capturesFrom(t, sources, sender, want) }
	expect := func(want string) {
		t.Helper()
		if got, _ := await(t, sources, &events); got.String() != want {
			t.Fatalf("%v, want %s", got, want)
		}
	}
	captures("vtx", 100)
	ip(t, "link set vrx name vnew")
	expect("interface vnew is up")
	captures("vtx", 100)
	ip(t, "addr add 192.0.2.1/24 dev orx") // two interfaces have it, which is no reason to leave
	captures("otx", 0)
	captures("vtx", 100)
	ip(t, "addr del 192.0.2.1/24 dev vnew")
	expect("interface orx is up")
	captures("vtx", 0)
	captures("otx", 100)
	ip(t, "addr add 192.0.2.1/24 dev vnew") // the same, although this one is first in the kernel's list
	captures("vtx", 0)
	captures("otx", 100)
	ip(t, "addr del 192.0.2.1/24 dev vnew")
	ip(t, "addr del 192.0.2.1/24 dev orx") // no interface has it, but it may return
	captures("otx", 100)
	ip(t, "link del orx")
	expect("interface orx is gone: no interface has the address 192.0.2.1")
	ip(t, "addr add 192.0.2.1/24 dev vnew")
	expect("interface vnew is up")
	captures("vtx", 100)
	if len(events) > 0 {
		t.Errorf("more events: %v", events)
	}
	if _, err := OpenLive(LiveConfig{Interface: "192.0.2.99"}); err == nil || !strings.HasSuffix(err.Error(), "no interface has the address 192.0.2.99") {
		t.Error(err)
	}
	if _, err := OpenLive(LiveConfig{Interface: "::1%lo"}); err == nil || !strings.Contains(err.Error(), "no interface has the address") {
		t.Error(err)
	}
}
