package testkit

// Choices makes choices of bytes that a fuzzer has found, so that what is generated from them has the structure that a parser expects.
// Bytes that are close give inputs that are close. When no bytes are left, every choice is the first one.
type Choices struct{ left []byte }

// NewChoices returns the choices that bytes stand for.
func NewChoices(b []byte) *Choices { return &Choices{b} }

// More reports whether any bytes are left.
func (c *Choices) More() bool { return len(c.left) > 0 }

// Byte returns the next byte.
func (c *Choices) Byte() byte {
	if len(c.left) == 0 {
		return 0
	}
	b := c.left[0]
	c.left = c.left[1:]
	return b
}

// IntN returns a number from 0 to n-1. n is at least 1 and at most 65536.
func (c *Choices) IntN(n int) int {
	v := int(c.Byte())
	if n > 256 {
		v = v<<8 | int(c.Byte())
	}
	return v % n
}

// Uint16 returns any number.
func (c *Choices) Uint16() uint16 { return uint16(c.IntN(1 << 16)) }

// Chance reports whether something happens that happens once in n times. n is at most 256.
func (c *Choices) Chance(n int) bool { return c.IntN(n) == n-1 }

// Bytes returns at most n bytes.
func (c *Choices) Bytes(n int) []byte {
	n = min(n, len(c.left))
	b := c.left[:n:n]
	c.left = c.left[n:]
	return b
}

// Pick returns one of the values.
func Pick[T any](c *Choices, values ...T) T { return values[c.IntN(len(values))] }
