//go:build !race

package testkit

// RaceEnabled says that the race detector runs. Tests then use fewer packets, because they take ten times as long.
const RaceEnabled = false
