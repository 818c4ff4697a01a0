package dns

// nameRef is the place of a name in a nameStore. It is 1 plus a number with the slot in the upper bits and the size class in
// the lower two. Zero stands for no name.
type nameRef uint32

// nameStore keeps names of up to 255 bytes in slots of 32, 64, 128 and 256 bytes. The slot of a name that is freed fits any
// other name of its size class.
type nameStore struct {
	classes    [4]nameClass
	classBytes int // the maximum for the names of each class
}

type nameClass struct {
	mem  []byte
	free []uint32
	lens []uint8
}

// put stores a name and returns its place. If the class of the name is full, it stores nothing and returns 0.
func (s *nameStore) put(name []byte) nameRef {
	if len(name) == 0 {
		return 0
	}
	class, size := 0, 32
	for size < len(name) {
		class, size = class+1, size*2
	}
	c := &s.classes[class]
	var slot uint32
	if n := len(c.free); n > 0 {
		slot, c.free = c.free[n-1], c.free[:n-1]
	} else {
		if len(c.mem)+size > s.classBytes {
			return 0
		}
		slot = uint32(len(c.lens))
		c.lens = append(c.lens, 0)
		c.mem = append(c.mem, zeros[:size]...)
	}
	c.lens[slot] = uint8(len(name))
	copy(c.mem[int(slot)*size:], name)
	return nameRef(slot<<2|uint32(class)) + 1
}

var zeros [256]byte

func (s *nameStore) get(ref nameRef) []byte {
	if ref == 0 {
		return nil
	}
	class, slot := (ref-1)&3, uint32(ref-1)>>2
	c := &s.classes[class]
	at := int(slot) * (32 << class)
	return c.mem[at : at+int(c.lens[slot])]
}

func (s *nameStore) free(ref nameRef) {
	if ref == 0 {
		return
	}
	c := &s.classes[(ref-1)&3]
	c.free = append(c.free, uint32(ref-1)>>2)
}
