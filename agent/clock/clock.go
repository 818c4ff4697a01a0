// Package clock follows the time of packets from second to second. Frames are often a little out of order, so a clock
// does not go back within the minute of its newest second and the minute before. A frame that is late by less counts in
// the second of its own time, and the clock stays where it is. A clock belongs to one goroutine.
package clock

import (
	"math"

	"pktvisor/minute"
)

const (
	Nanos = 1_000_000_000 // in a second
	Never = math.MinInt64 // a time before all packets
)

// Clock is the time that a stream of packets has come to. The zero value has not started.
type Clock struct {
	// Newest is the second that the clock has come to, Second the one that packets count in (Unix time): the newest, or an
	// earlier one while packets are late.
	Newest, Second int64
	// Running reports whether the clock has entered a second.
	Running bool

	start, end int64 // the time of Second, in nanoseconds
}

// Has reports whether a packet of time t (nanoseconds since the Unix epoch) belongs to the second that packets count in.
func (c *Clock) Has(t int64) bool { return t >= c.start && t < c.end }

// Enter moves the clock to another second, forward or back.
func (c *Clock) Enter(second int64) {
	c.Newest, c.Running = second, true
	c.Count(second)
}

// Count makes packets count in another second, and leaves the clock where it is.
func (c *Clock) Count(second int64) {
	c.Second = second
	c.start, c.end = second*Nanos, (second+1)*Nanos
}

// Late reports whether packets of a second count in it without moving the clock.
func (c *Clock) Late(second int64) bool {
	return c.Running && second <= c.Newest && second >= minute.Oldest(c.Newest)
}

// Span returns the times of the packets that do not move the clock, in nanoseconds, end not included.
func (c *Clock) Span() (start, end int64) {
	return minute.Oldest(c.Newest) * Nanos, (c.Newest + 1) * Nanos
}

// SetBack returns the time of the newest packet, in nanoseconds, as of a clock that is about to enter a second. If the
// clock goes back, so does the packet: it stays as old as it was.
func (c *Clock) SetBack(packet, second int64) int64 {
	if by := second - c.Newest; c.Running && by < 0 && packet != Never {
		packet += by * Nanos
	}
	return packet
}

// Second returns the second (Unix time) of a time in nanoseconds. There are captures from before 1970.
func Second(t int64) int64 {
	if t < 0 {
		return -((-t + Nanos - 1) / Nanos)
	}
	return t / Nanos
}
