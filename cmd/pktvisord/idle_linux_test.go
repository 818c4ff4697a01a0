package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"pktvisor/internal/testkit"
)

// idleMiB bounds what an idle agent keeps resident besides its rings.
const idleMiB = 12

// TestIdleMemory: an agent that captures nothing returns the memory that only its start needed.
func TestIdleMemory(t *testing.T) {
	if testkit.RaceEnabled {
		t.Skip("the race detector takes memory of its own")
	}
	enterNetns(t, vethPair...)
	p := startProcess(t, "--shards", "1", "vrx")
	least := 1 << 30
	defer func() { t.Logf("%d KiB besides the ring", least) }()
	testkit.Eventually(t, fmt.Sprintf("at most %d MiB are resident besides the ring", idleMiB), func() bool {
		least = min(least, residentBesidesRings(t, p.Cmd.Process.Pid))
		return least <= idleMiB<<10
	})
}

var mappedLine = regexp.MustCompile(`(?m)^[0-9a-f]+-[0-9a-f]+ .*$|^Rss: +([0-9]+) kB$`)

// residentBesidesRings returns how many KiB of a process are resident, without memory that it shares with a packet socket.
func residentBesidesRings(t *testing.T, pid int) (kib int) {
	t.Helper()
	smaps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	ring := regexp.MustCompile(` socket:\[\d+\]$`)
	counts := false
	for _, m := range mappedLine.FindAllStringSubmatch(string(smaps), -1) {
		if m[1] == "" {
			counts = !ring.MatchString(m[0])
			continue
		}
		if n, _ := strconv.Atoi(m[1]); counts {
			kib += n
		}
	}
	return kib
}
