package capture

import "testing"

// TestStatsLost: what a source has lost is what the kernel and the interface dropped.
func TestStatsLost(t *testing.T) {
	if st := (Stats{Received: 1, OSDrops: 2, IfDrops: 4, Freezes: 8, Discarded: 16, Copies: 32}); st.Lost() != 6 {
		t.Errorf("%d lost, want 6", st.Lost())
	}
}
