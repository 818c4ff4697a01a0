//go:build race

package agent

// raceEnabled says that the race detector runs: tests take a tenth of the packets, for they take ten times as long.
const raceEnabled = true
