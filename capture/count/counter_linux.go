//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"bytes"
	_ "embed" // for the object
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// object is the program as clang has compiled it: see program/build.sh. It needs nothing from the kernel's type information.
//
//go:embed count.o
var object []byte

// Names in the object.
const (
	programName = "count"
	confName    = "conf"
	slotsName   = "slots"
	hosts4Name  = "hosts4"
	hosts6Name  = "hosts6"
)

var mapNames = []string{confName, slotsName, hosts4Name, hosts6Name}

// maxHosts is the greatest number of host subnets of an IP version.
const maxHosts = 1 << 20

// Counter counts frames in the kernel. Its methods may be called from any goroutine, but Read only by one at a time.
type Counter struct {
	program *ebpf.Program
	maps    map[string]*ebpf.Map
	next    *ebpf.Map // for the jump from a filter to the program; nil before the first filter
	conf    *conf     // shared with the kernel, as is slots
	slots   []byte
	lock    *os.File // the locked directory of a pinned program
	tai     bool     // the program uses CLOCK_TAI

	handover *handover // nil without PrepareHandOver

	mu      sync.Mutex
	hosts   []netip.Prefix  // those that are in the tries
	reason  error           // why it was disabled
	filters []filterProgram // loaded, the oldest first

	last   int64 // the latest second that was read
	before [numSlots]slot
	first  [numSlots]slot // what a pinned program had counted before Open
}

// Open loads the program. Its error says what to do.
func Open(cfg Config) (*Counter, error) {
	c, err := open(cfg)
	if err != nil {
		return nil, explain(err)
	}
	if err := c.configure(cfg); err != nil {
		c.Close()
		return nil, explain(err)
	}
	return c, nil
}

func open(cfg Config) (*Counter, error) {
	if cfg.Pinned != "" {
		if _, err := os.Stat(cfg.Pinned); err == nil {
			c, err := openPinned(cfg.Pinned)
			if err == nil {
				return c, nil
			}
			if own, ownErr := loadShared(); ownErr == nil { // the process does not need what another left or uses
				return own, nil
			}
			return nil, err
		}
	}
	return loadShared()
}

// loadShared loads the program, and maps its memory.
func loadShared() (*Counter, error) {
	c, err := load()
	if err != nil {
		return nil, err
	}
	if err := c.share(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// load loads the program into the kernel.
func load() (*Counter, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("count the CPUs: %w", err)
	}
	var first error
	for _, tai := range []bool{true, false} { // Linux before 6.1 does not have the clock
		spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
		if err != nil {
			return nil, fmt.Errorf("read the program: %w", err)
		}
		spec.Maps[slotsName].MaxEntries = uint32(numSlots * cpus)
		for _, name := range []string{hosts4Name, hosts6Name} {
			spec.Maps[name].MaxEntries = maxHosts
		}
		if err := spec.Variables["tai"].Set(tai); err != nil {
			return nil, fmt.Errorf("choose the clock: %w", err)
		}
		loaded, err := ebpf.NewCollection(spec)
		if err == nil {
			c := &Counter{program: loaded.DetachProgram(programName), maps: map[string]*ebpf.Map{}, tai: tai}
			for _, name := range mapNames {
				c.maps[name] = loaded.DetachMap(name)
			}
			loaded.Close()
			return c, nil
		}
		if first == nil {
			first = err
		}
		if errors.Is(err, unix.EPERM) {
			break
		}
	}
	return nil, first
}

// share maps the memory that is shared with the kernel.
func (c *Counter) share() error {
	mem, err := mapMemory(c.maps[confName], confBytes)
	if err != nil {
		return err
	}
	c.conf = confOf(mem)
	c.slots, err = mapMemory(c.maps[slotsName], slotBytes*int(c.maps[slotsName].MaxEntries()))
	return err
}

func mapMemory(m *ebpf.Map, n int) ([]byte, error) {
	page := os.Getpagesize()
	mem, err := unix.Mmap(m.FD(), 0, (n+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("share memory with the kernel: %w", err)
	}
	return mem[:n:n], nil
}

// version identifies the program, and the layout of its maps.
var version = sync.OnceValue(func() uint64 {
	h := fnv.New64a()
	h.Write(object)
	return h.Sum64()&^1 | 1 // not 0
})

func flag(b bool) (n uint32) {
	if b {
		n = 1
	}
	return n
}

// configure sets everything that the program reads. No frame is counted yet.
func (c *Counter) configure(cfg Config) error {
	k := c.conf
	k.seed, k.snapLen = cfg.Seed, uint32(cfg.SnapLen)
	k.decap, k.split = flag(cfg.Decap), flag(cfg.Split)
	k.version, k.window, k.off = version(), 0, 0
	k.firstPort = 1 << 16
	for set, ports := range [portSets][]uint16{cfg.Ports, cfg.Tunnels} {
		k.coarse[set], k.ports[set] = 0, [1024]uint64{}
		for _, p := range ports {
			k.coarse[set] |= 1 << (p & 63)
			k.ports[set][p>>6] |= 1 << (p & 63)
		}
	}
	if len(cfg.Ports) > 0 {
		k.firstPort = uint32(cfg.Ports[0])
	}
	c.SetThreshold(cfg.Threshold)
	c.setClock()
	for i := range c.before { // what a pinned program has counted for somebody else
		c.sum(i, &c.before[i])
	}
	c.first = c.before
	c.last = wall().Unix() - 1
	return c.SetHosts(cfg.Hosts)
}

// Close releases the program. Sockets that use it keep it until they are closed. The counter must not be used after it.
func (c *Counter) Close() error {
	var errs []error
	if c.program != nil {
		errs = append(errs, c.program.Close())
	}
	for _, m := range c.maps {
		errs = append(errs, m.Close())
	}
	if c.next != nil {
		errs = append(errs, c.next.Close())
	}
	for _, f := range c.filters {
		errs = append(errs, f.program.Close())
	}
	if c.lock != nil {
		errs = append(errs, c.lock.Close())
	}
	if c.handover != nil {
		errs = append(errs, c.handover.close())
	}
	return errors.Join(errs...)
}

// SetThreshold changes the sample: frames enter the ring if the hash of their addresses is below the threshold, or all if it
// is [All]. It takes effect with the next frame, and takes no system call.
func (c *Counter) SetThreshold(below uint32) { atomic.StoreUint32(&c.conf.threshold, below) }

// Threshold returns the threshold.
func (c *Counter) Threshold() uint32 { return atomic.LoadUint32(&c.conf.threshold) }

// Attach makes the program the filter of a packet socket. If filter is not empty, only frames that it accepts are counted and
// can enter the ring. raw says that the interface's frames begin with the IP header. received leaves out sent frames.
func (c *Counter) Attach(fd int, filter []bpf.RawInstruction, raw, received bool) error {
	if err := c.Disabled(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	program := c.program
	if len(filter) > 0 {
		var err error
		program, err = c.filtered(filter)
		if errors.Is(err, unix.EPERM) {
			return &explained{"no permission: a filter (-b) needs the capability CAP_BPF, also with a program that load-bpf has left", err}
		}
		if err != nil {
			return explain(err)
		}
	}
	c.setKind(raw, received)
	if err := attachAll([]int{fd}, program); err != nil {
		return explain(err)
	}
	return nil
}

// setKind tells the program how the frames of the interface begin, and whether sent frames are left out.
func (c *Counter) setKind(raw, received bool) {
	atomic.StoreUint32(&c.conf.raw, flag(raw))
	atomic.StoreUint32(&c.conf.received, flag(received))
}

// Disable lets all frames enter the ring, and counts none. It keeps the reason for [Counter.Disabled].
func (c *Counter) Disable(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
	}
	atomic.StoreUint32(&c.conf.off, 1)
}

// Disabled returns why the counter was disabled, or nil.
func (c *Counter) Disabled() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// Read calls add with what was counted in each second (Unix time) up to until, since the last call. A second may come again
// with what another CPU has added to it in the meantime. Seconds in which nothing was counted do not come. If Read was not
// called for some seconds, some of these may count as a later one.
func (c *Counter) Read(until int64, add func(*Second)) {
	c.setClock()
	from := c.last - 1
	if oldest := until - numSlots + 1; from < oldest || from > until {
		from = oldest
	}
	c.last = until
	for second := from; second <= until; second++ {
		i := int(uint64(second) % numSlots)
		now := new(slot)
		c.sum(i, now)
		d := now.since(&c.before[i])
		c.before[i] = *now
		if d.frames != [numGroups]uint64{} {
			s := d.second()
			s.Second = second
			add(s)
		}
	}
}

// Total returns what was counted since [Open], by group, whether Read has read it or not.
func (c *Counter) Total() (total [NumGroups]Counts) {
	for i := range c.first {
		var now slot
		c.sum(i, &now)
		s := now.since(&c.first[i]).second()
		for g := range total {
			total[g].Add(&s.Groups[g])
		}
	}
	return total
}

// sum sets t to the sum of a slot over all CPUs.
func (c *Counter) sum(i int, t *slot) {
	*t = slot{}
	for ; i*slotBytes < len(c.slots); i += numSlots {
		t.addMapped(c.slots[i*slotBytes:])
	}
}

// second returns the counts of a slot by group.
func (t *slot) second() *Second {
	s := new(Second)
	for g := range s.Groups {
		out := &s.Groups[g]
		copy(out.Cells[:], t.cells[g*len(out.Cells):])
		copy(out.DNS[:], t.dns[g*len(out.DNS):])
		copy(out.TCP[:], t.tcp[g*len(out.TCP):])
		out.Frames, out.Supers, out.SuperPackets, out.Truncated = t.frames[g], t.supers[g], t.superPackets[g], t.truncated[g]
	}
	return s
}

// SetHosts changes the host subnets. A few are compared one by one; many are in tries. If they do not fit, the counter is
// disabled, and SetHosts returns why.
func (c *Counter) SetHosts(hosts []netip.Prefix) error {
	err := c.setHosts(hosts)
	if err != nil {
		err = explain(fmt.Errorf("%d host subnets: %w", len(hosts), err))
		c.Disable(err)
	}
	return err
}

func (c *Counter) setHosts(hosts []netip.Prefix) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var v4, v6 []netip.Prefix
	for _, p := range hosts {
		// The addresses of IPv4 that are mapped into IPv6 have the directions of IPv4.
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		if p = p.Masked(); p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	if len(v4) > hostNets || len(v6) > hostNets {
		return c.fillTries(slices.Concat(v4, v6))
	}
	next := (c.conf.generation + 1) & 1
	for i := range hostNets {
		n4, n6 := net4{addr: [4]byte{1}}, net6{addr: [16]byte{1}} // never equal
		if i < len(v4) {
			n4.addr = v4[i].Addr().As4()
			setMask(n4.mask[:], v4[i].Bits())
		}
		if i < len(v6) {
			n6.addr = v6[i].Addr().As16()
			setMask(n6.mask[:], v6[i].Bits())
		}
		c.conf.nets4[next][i], c.conf.nets6[next][i] = n4, n6
	}
	atomic.StoreUint32(&c.conf.generation, next)
	atomic.StoreUint32(&c.conf.tries, 0)
	return nil
}

func setMask(mask []byte, bits int) {
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
}

// fillTries puts the subnets into the tries, and then removes those that were there before.
func (c *Counter) fillTries(hosts []netip.Prefix) error {
	old := map[netip.Prefix]bool{}
	for _, p := range c.hosts {
		old[p] = true
	}
	c.hosts = hosts
	for _, p := range hosts {
		if old[p] {
			delete(old, p)
			continue
		}
		if err := c.trie(p).Put(trieKey(p), uint32(1)); err != nil {
			return err
		}
	}
	for p := range old {
		if err := c.trie(p).Delete(trieKey(p)); err != nil {
			return err
		}
	}
	atomic.StoreUint32(&c.conf.tries, 1)
	return nil
}

func (c *Counter) trie(p netip.Prefix) *ebpf.Map {
	if p.Addr().Is4() {
		return c.maps[hosts4Name]
	}
	return c.maps[hosts6Name]
}

func trieKey(p netip.Prefix) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(p.Bits())), p.Addr().AsSlice()...)
}
