// Package clock follows the time of packets from second to second. Frames are often a little out of order. A frame that is
// late, but in the minute of the newest second or the minute before, counts in its own second and does not move the clock.
// An older frame sets the clock back. A clock belongs to one goroutine.
package clock

import (
	"math"

	"pktvisor/minute"
)

const (
	Nanos = 1_000_000_000 // in a second
	Never = math.MinInt64 // a time before all packets
)

// Clock is the time that a stream of packets has reached. The zero value has not started.
type Clock struct {
	// Newest is the second that the clock has reached (Unix time). Second is the one that packets count in: the newest, or an
	// earlier one while packets are late.
	Newest, Second int64
	// Running reports whether the clock has entered a second.
	Running bool

	start, end int64 // the bounds of Second, in nanoseconds since the Unix epoch
}

// Has reports whether a packet at time t (nanoseconds since the Unix epoch) belongs to the second that packets count in.
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

// Late reports whether the packets of a second count in that second without moving the clock.
func (c *Clock) Late(second int64) bool {
	return c.Running && second <= c.Newest && second >= minute.Oldest(c.Newest)
}

// Span returns the bounds of the times that do not move the clock, in nanoseconds since the Unix epoch. The end is not included.
func (c *Clock) Span() (start, end int64) {
	return minute.Oldest(c.Newest) * Nanos, (c.Newest + 1) * Nanos
}

// SetBack returns the time of the newest packet, in nanoseconds, for a clock that is about to enter a second. If the clock
// goes back, the packet's time goes back by as much, so that the packet keeps its age.
func (c *Clock) SetBack(packet, second int64) int64 {
	if by := second - c.Newest; c.Running && by < 0 && packet != Never {
		packet += by * Nanos
	}
	return packet
}

// Second returns the second (Unix time) of a time in nanoseconds, which may be before 1970: there are such captures.
func Second(t int64) int64 {
	if t < 0 {
		return -((-t + Nanos - 1) / Nanos)
	}
	return t / Nanos
}
