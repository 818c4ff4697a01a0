// Package rollup merges host-minutes into rollups: the summary of a group of hosts over a minute, five minutes, an hour
// or a day.
package rollup

import "fmt"

// Level is the length of time that a rollup covers. The zero Level is not a level. [Level.Below] and [Level.Above] return
// it at the ends.
type Level int

// The levels. Each is computed from the one below it.
const (
	Minute1 Level = iota + 1
	Minute5
	Hour1
	Day1
)

// levels holds the name and the length in seconds of each level.
var levels = [...]struct {
	name    string
	seconds int64
}{Minute1: {"1m", 60}, Minute5: {"5m", 300}, Hour1: {"1h", 3600}, Day1: {"1d", 86400}}

// ParseLevel returns the level of the name.
func ParseLevel(name string) (Level, error) {
	for l := Minute1; l <= Day1; l++ {
		if levels[l].name == name {
			return l, nil
		}
	}
	return 0, fmt.Errorf("level %.20q: give 1m, 5m, 1h or 1d", name)
}

// String returns the name of the level: 1m, 5m, 1h or 1d.
func (l Level) String() string {
	if !l.Valid() {
		return fmt.Sprintf("level %d", int(l))
	}
	return levels[l].name
}

// Valid reports whether l is one of the levels.
func (l Level) Valid() bool { return l >= Minute1 && l <= Day1 }

// Seconds returns the length of the level's rollups. It is 0 for the zero Level.
func (l Level) Seconds() int64 {
	if !l.Valid() {
		return 0
	}
	return levels[l].seconds
}

// Of returns the start of the level's rollup that t is in. Both are Unix seconds. Rollups are aligned to UTC. The level
// must be valid.
func (l Level) Of(t int64) int64 {
	s := levels[l].seconds
	return t - (t%s+s)%s
}

// Below returns the level whose rollups the level's rollups are computed from, or 0 for [Minute1].
func (l Level) Below() Level {
	if l <= Minute1 || l > Day1 {
		return 0
	}
	return l - 1
}

// Above returns the level that is computed from l, or 0 for [Day1].
func (l Level) Above() Level {
	if l < Minute1 || l >= Day1 {
		return 0
	}
	return l + 1
}
