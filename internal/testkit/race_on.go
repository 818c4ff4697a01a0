//go:build race

package testkit

// RaceEnabled says that the race detector runs: tests take fewer packets then, for they take ten times as long.
const RaceEnabled = true
