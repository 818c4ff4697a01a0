//go:build linux && (amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le)

package count

import (
	"sync/atomic"
	"unsafe"
)

// The layout of the maps, as in program/count.c.
const (
	numSlots  = 8 // seconds
	hostNets  = 4 // host subnets of each IP version that need no trie
	numGroups = 4
	portSets  = 2
)

// slot has the counts of a second of one CPU.
type slot struct {
	cells        [numGroups * 32]Cell
	dns          [numGroups * 64]uint64
	tcp          [numGroups * 4]uint64
	frames       [numGroups]uint64
	supers       [numGroups]uint64
	superPackets [numGroups]uint64
	truncated    [numGroups]uint64
}

// slotWords is the size of a slot in words of 64 bits. All its fields are such words.
const slotWords = unsafe.Sizeof(slot{}) / 8

// conf is what the program reads besides the frame. The program itself changes only window.
type conf struct {
	threshold, seed, snapLen, zero    uint32
	raw, received, decap, split       uint32
	tries, generation, firstPort, off uint32
	offset                            int64
	version, clock                    uint64
	window                            uint64
	coarse                            [portSets]uint64
	nets4                             [2][hostNets]net4
	nets6                             [2][hostNets]net6
	ports                             [portSets][1024]uint64
}

// net4 and net6 are a subnet as a masked comparison of the bytes as they are in the frame.
type (
	net4 struct{ addr, mask [4]byte }
	net6 struct{ addr, mask [16]byte }
)

const (
	confBytes = int(unsafe.Sizeof(conf{}))
	slotBytes = int(unsafe.Sizeof(slot{}))
)

// confOf returns the configuration in mapped memory.
func confOf(mem []byte) *conf { return (*conf)(unsafe.Pointer(&mem[0])) }

// addMapped adds a slot in mapped memory, which the program may change meanwhile.
func (t *slot) addMapped(mem []byte) {
	sum, now := t.words(), (*[slotWords]uint64)(unsafe.Pointer(&mem[0]))
	for i := range now {
		sum[i] += atomic.LoadUint64(&now[i])
	}
}

// since returns what was counted between before and t. Counters may wrap around.
func (t *slot) since(before *slot) *slot {
	d := new(slot)
	for i, v := range t.words() {
		d.words()[i] = v - before.words()[i]
	}
	return d
}

func (t *slot) words() *[slotWords]uint64 { return (*[slotWords]uint64)(unsafe.Pointer(t)) }
