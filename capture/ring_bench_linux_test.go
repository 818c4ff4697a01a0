package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkLive sends b.N frames of 114 bytes over a veth pair from one core and reads them on the others. It reports
// the share of lost frames, and the CPU time of the readers' threads a frame. Use -benchtime=2000000x or more,
// because the ring can hold a small number of frames without reading.
func BenchmarkLive(b *testing.B) {
	for _, c := range []struct {
		name   string
		pps    int // 0: as fast as possible
		shards int
	}{{"400kpps", 400_000, 1}, {"top", 0, 1}, {"top-2shards", 0, 2}} {
		b.Run(c.name, func(b *testing.B) { benchmarkLive(b, c.pps, c.shards) })
	}
}

func benchmarkLive(b *testing.B, pps, shards int) {
	enterNetns(b, vethPair...)
	sources := openLiveTest(b, LiveConfig{Interface: "vrx", Shards: shards})
	tx := newTxRing(b, "vtx")

	var read, cpu, touched atomic.Int64
	var done atomic.Bool
	finished := make(chan struct{}, shards)
	for _, s := range sources {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			defer func() { finished <- struct{}{} }()
			var batch Batch
			sum := 0
			for idle := 0; idle < 2; {
				if err := s.ReadBatch(&batch); err != nil {
					b.Error(err)
					return
				}
				for _, f := range batch.Frames {
					sum += int(f.Data[12]) + int(f.Data[len(f.Data)-1]) // as a decoder would
				}
				read.Add(int64(len(batch.Frames)))
				if idle++; len(batch.Frames) > 0 || !done.Load() {
					idle = 0
				}
			}
			var ru unix.Rusage
			unix.Getrusage(unix.RUSAGE_THREAD, &ru)
			cpu.Add(ru.Utime.Nano() + ru.Stime.Nano())
			touched.Add(int64(sum))
		}()
	}
	b.ResetTimer()
	tx.send(b, b.N, pps)
	b.StopTimer()
	done.Store(true)
	for range sources {
		<-finished
	}
	var st Stats
	for _, s := range sources {
		one := s.Stats()
		st.Received += one.Received
		st.OSDrops += one.OSDrops
	}
	if int(read.Load()) != int(st.Received) || int(st.Received+st.OSDrops) != b.N {
		b.Errorf("%d sent, %+v, %d read", b.N, st, read.Load())
	}
	b.SetBytes(114)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pps")
	b.ReportMetric(100*float64(st.OSDrops)/float64(b.N), "%lost")
	b.ReportMetric(float64(cpu.Load())/float64(max(read.Load(), 1)), "reader-ns/frame")
}

// txRing sends frames from memory shared with the kernel (TPACKET_V2), with one system call
// for many frames.
type txRing struct {
	fd   int
	mem  []byte
	next int
}

const (
	txSlot  = 256
	txSlots = 2048
)

func newTxRing(b *testing.B, name string) *txRing {
	fd := rawSender(b, name)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		b.Fatal(err)
	}
	unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	req := unix.TpacketReq{Block_size: 64 << 10, Block_nr: txSlot * txSlots / (64 << 10), Frame_size: txSlot, Frame_nr: txSlots}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_TX_RING, &req); err != nil {
		b.Fatal(err)
	}
	mem, err := unix.Mmap(fd, 0, txSlot*txSlots, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Munmap(mem) })
	for i := range txSlots {
		slot := mem[i*txSlot:]
		host := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		n := copy(slot[32:], etherFrame(ipPacket(host, hostB, uint16(i), 53, -1, fmt.Appendf(nil, "%072d", i))))
		binary.NativeEndian.PutUint32(slot[4:], uint32(n))
	}
	return &txRing{fd: fd, mem: mem}
}

// send sends n frames, pps a second, or as fast as possible if pps is 0.
func (r *txRing) send(b *testing.B, n, pps int) {
	const burst = 64
	begun := time.Now()
	for sent := 0; sent < n; sent += burst {
		for pps > 0 && time.Since(begun) < time.Duration(sent)*time.Second/time.Duration(pps) {
		}
		for range min(burst, n-sent) {
			status := statusWord(r.mem[r.next*txSlot:], 0)
			for atomic.LoadUint32(status) != unix.TP_STATUS_AVAILABLE {
				r.push(b) // it blocks until frames are gone
			}
			atomic.StoreUint32(status, unix.TP_STATUS_SEND_REQUEST)
			r.next = (r.next + 1) % txSlots
		}
		r.push(b)
	}
}

func (r *txRing) push(b *testing.B) {
	if err := unix.Sendto(r.fd, nil, 0, nil); err != nil && err != unix.ENOBUFS && err != unix.EAGAIN {
		b.Fatal(err)
	}
}
