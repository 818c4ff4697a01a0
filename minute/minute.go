// Package minute has the times that all parts of the agent agree on: how long a bucket is, which minute a second belongs to,
// and how long each stage waits for the one before it.
//
// A second on its way to a reader passes these stages. Seconds are of packet time (Unix time), waits are of the wall clock.
//
//	second ends ──Settle──► shards without packets end it ──► complete in the window ──Whole after its end──► published
//	minute ends ──Grace──► sealed
package minute

import "time"

// Seconds is the length of a minute: of a bucket, and of a block of a rate.
const Seconds = 60

// MaxKept is how many minutes a window has at most, the live one included: a day.
const MaxKept = 24 * 60

// MaxSeconds is the length of the longest window. A rate keeps as many seconds exact.
const MaxSeconds = MaxKept * Seconds

// Late is how many seconds before the newest minute's start a packet may be and still count in its own second: the
// minute before. A clock that goes back further was set back.
const Late = Seconds

// Settle is how long after the end of a second a shard without packets ends it. By then the capture ring has handed
// over the frames that it held back to fill a block.
const Settle = 500 * time.Millisecond

// Whole is how long after its end a second is complete in the window: all shards have ended it, and their flush takes no
// more than the rest.
const Whole = Settle + 100*time.Millisecond

// Grace is how many seconds a finished minute waits for packets and shards that are late, before it is sealed.
const Grace = 2

// A minute must not be sealed before its last second is complete. If it could be, this would not compile.
const _ = uint(Grace*time.Second - Whole)

// Of returns the start of the minute that a second belongs to. Both are Unix times, which may be negative.
func Of(second int64) int64 { return second - (second%Seconds+Seconds)%Seconds }

// Same reports whether two seconds (Unix time) belong to the same minute.
func Same(a, b int64) bool { return Of(a) == Of(b) }

// Next returns the start of the minute after the one that a second (Unix time) belongs to.
func Next(second int64) int64 { return Of(second) + Seconds }

// Oldest returns the first second (Unix time) that may still count in its own bucket when the clock is at the given
// second: the start of the minute before.
func Oldest(second int64) int64 { return Of(second) - Late }
