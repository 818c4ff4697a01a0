package capture

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"pktvisor/capture/count"
	"pktvisor/internal/testkit"
)

// collector reads the sources of a capture until it is stopped, and counts how often each numbered frame came.
type collector struct {
	sources []Source
	stop    atomic.Bool
	reading sync.WaitGroup
	mu      sync.Mutex
	seen    map[uint32]int
	byShard []int
}

func collect(t *testing.T, sources []Source) *collector {
	c := &collector{sources: sources, seen: map[uint32]int{}, byShard: make([]int, len(sources))}
	for i, s := range sources {
		c.reading.Go(func() {
			var b Batch
			for !c.stop.Load() {
				if err := s.ReadBatch(&b); err != nil {
					t.Error(err)
					return
				}
				c.mu.Lock()
				for _, f := range b.Frames {
					c.seen[binary.BigEndian.Uint32(f.Data[len(f.Data)-4:])]++
				}
				c.byShard[i] += len(b.Frames)
				c.mu.Unlock()
			}
		})
	}
	return c
}

// flood sends numbered frames between many addresses on an interface, until it is stopped. It returns how many it has sent.
type flood struct {
	stop    atomic.Bool
	sending sync.WaitGroup
	sent    [2]uint32
}

// startFlood sends from both ends of the veth pair: the frames with even numbers arrive at vrx, and those with odd numbers leave it.
func startFlood(t *testing.T) *flood {
	f := &flood{}
	for way, name := range []string{"vtx", "vrx"} {
		fd := rawSender(t, name)
		f.sending.Go(func() {
			for !f.stop.Load() {
				n := f.sent[way]
				body := binary.BigEndian.AppendUint32(nil, 2*n+uint32(way))
				host := netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)})
				if _, err := unix.Write(fd, etherFrame(ipPacket(host, hostB, 9, 9, -1, body))); err == nil {
					f.sent[way]++
				}
			}
		})
	}
	return f
}

func (f *flood) end() {
	f.stop.Store(true)
	f.sending.Wait()
}

// TestRingsChange: while frames come from both sides, rings are opened, closed and replaced by larger ones. Each frame is in exactly one
// ring, or counted by the kernel as outside the sample, or counted as dropped.
func TestRingsChange(t *testing.T) {
	for name, threshold := range map[string]uint32{"all": count.All, "half": 1 << 31} {
		t.Run(name, func(t *testing.T) {
			enterNetns(t, vethPair...)
			c, sources := openCounted(t, LiveConfig{Interface: "vrx", Shards: 3, OnDemand: true, RingBytes: 24 << 20}, count.Config{Threshold: threshold, Seed: 5})
			if open, most := Rings(sources); open != 1 || most != 3 {
				t.Fatalf("%d of %d rings are open at the start", open, most)
			}
			got := collect(t, sources)
			sending := startFlood(t)
			for _, n := range []int{2, 3, 1, 3, 2, 1, 2} {
				err := Spread(sources, n)
				for errors.Is(err, ErrChanging) { // the rings of the last change are not read yet
					err = Spread(sources, n)
				}
				if err != nil {
					t.Fatal(err)
				}
				if open, _ := Rings(sources); open != n {
					t.Fatalf("%d rings are open, want %d", open, n)
				}
			}
			sending.end()
			sent := uint64(sending.sent[0]) + uint64(sending.sent[1])
			total := c.Total()
			rings := total[count.Sampled].Frames + total[count.Other].Frames
			if all := total[count.Skipped].Frames + rings; all != sent {
				t.Errorf("the kernel has counted %d frames, and %d were sent", all, sent)
			}
			stats := func() (received, dropped uint64) {
				for _, s := range sources {
					st := s.Stats()
					received, dropped = received+st.Received, dropped+st.OSDrops
				}
				return received, dropped
			}
			received, dropped := stats()
			waitFor(t, "every frame is read", func() bool {
				received, dropped = stats()
				got.mu.Lock()
				defer got.mu.Unlock()
				return uint64(len(got.seen)) >= received && received+dropped == rings
			})
			got.stop.Store(true)
			got.reading.Wait()
			for n, times := range got.seen {
				if times != 1 {
					t.Fatalf("frame %d came %d times", n, times)
				}
			}
			if threshold == count.All {
				for n := range sending.sent[0] {
					if got.seen[2*n] != 1 && dropped == 0 {
						t.Fatalf("frame %d of %d is lost", n, sending.sent[0])
					}
				}
			}
			if uint64(len(got.seen)) != received || received+dropped != rings {
				t.Errorf("%d frames read, %d received, %d dropped; %d in the rings' sample", len(got.seen), received, dropped, rings)
			}
			for i, n := range got.byShard {
				if n == 0 {
					t.Errorf("shard %d had no frames", i)
				}
			}
			t.Logf("%d sent, %d dropped, by shard %v", sent, dropped, got.byShard)
		})
	}
}

// TestRingGrows: the ring of a calm interface is small, and grows with the rate. No frame is lost meanwhile.
func TestRingGrows(t *testing.T) {
	enterNetns(t, vethPair...)
	c, sources := openCounted(t, LiveConfig{Interface: "vrx", Shards: 1, RingBytes: 32 << 20}, count.Config{Threshold: count.All})
	l := sources[0].(*liveSource).live
	l.background = func(f func()) { f() } // The thread of the test is in its network namespace, and no other is.
	fd := rawSender(t, "vtx")
	sent, seen := uint32(0), map[uint32]int{}
	var b Batch
	burst := func(n int) {
		body := make([]byte, 8000)
		for range n {
			binary.BigEndian.PutUint32(body[len(body)-4:], sent)
			send(t, fd, etherFrame(ipPacket(hostA, hostB, 9, 9, -1, body)))
			sent++
		}
		for quiet := false; !quiet || len(seen) < int(sent); {
			if err := sources[0].ReadBatch(&b); err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Frames {
				seen[binary.BigEndian.Uint32(f.Data[len(f.Data)-4:])]++
			}
			quiet = len(b.Frames) == 0
		}
	}
	for range 3 {
		burst(10)
	}
	if n := l.ringBytes.Load(); n != leastRing {
		t.Errorf("the ring has %d bytes while few frames come", n)
	}
	sizes := []int64{}
	for range 4 {
		burst(1200) // 9.6 MB, more than half of the ring
		sizes = append(sizes, l.ringBytes.Load())
	}
	if want := []int64{32 << 20, 32 << 20, 32 << 20, 32 << 20}; !slices.Equal(sizes, want) {
		t.Errorf("the sizes are %d, want %d", sizes, want)
	}
	for n := range sent {
		if seen[n] != 1 {
			t.Fatalf("frame %d came %d times", n, seen[n])
		}
	}
	if st := sources[0].Stats(); st != (Stats{Received: uint64(sent)}) {
		t.Errorf("%d sent: %+v", sent, st)
	}
	total := c.Total()
	if n := total[count.Sampled].Frames + total[count.Other].Frames; n != uint64(sent) {
		t.Errorf("the kernel has counted %d frames, and %d were sent", n, sent)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, what, ok)
}
