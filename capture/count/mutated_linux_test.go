//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"pktvisor/capture/count"
	"pktvisor/decode"
	"pktvisor/internal/testkit"
	"pktvisor/linktype"
)

// TestAgreeOnMutated: the kernel agrees with the agent on frames whose bytes were changed, mostly in their headers, and on
// frames that were cut.
func TestAgreeOnMutated(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	var seeds [][]byte
	for _, dir := range []string{"captures", "synthetic"} {
		paths, err := filepath.Glob(filepath.Join(testkit.RepoRoot(t), "testdata", dir, "*.pcap"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			frames := captureFrames(path)[linktype.Ethernet]
			seeds = append(seeds, frames[:min(len(frames), 40)]...)
		}
	}
	rng := rand.New(rand.NewPCG(35, 1))
	// Values that fields of headers compare with.
	special := []byte{0, 1, 4, 5, 6, 17, 20, 40, 44, 51, 53, 58, 0x40, 0x45, 0x46, 0x60, 0x80, 0x81, 0x83, 0x85, 0xff}
	var frames [][]byte
	for range 12_000 {
		f := bytes.Clone(seeds[rng.IntN(len(seeds))])
		for range 1 + rng.IntN(3) {
			at := rng.IntN(min(len(f), 12+62))
			if rng.IntN(2) == 0 {
				f[at] = special[rng.IntN(len(special))]
			} else {
				f[at] ^= 1 << rng.IntN(8)
			}
		}
		if rng.IntN(8) == 0 {
			f = f[:max(minTestFrame, rng.IntN(len(f)))]
		}
		if rng.IntN(16) == 0 && len(f) >= 54 && f[12] == 0x86 { // an address of IPv4 in IPv6
			copy(f[22+16*rng.IntN(2):], "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02")
		}
		frames = append(frames, f)
	}
	for name, decap := range map[string]bool{"plain": false, "decap": true} {
		t.Run(name, func(t *testing.T) {
			c := count.OpenTest(t, count.Config{Ports: testPorts, Tunnels: decode.TunnelPorts(), Decap: decap, Hosts: testHosts, Threshold: count.All, Split: true})
			a := agree(t, c, testHosts, testPorts, decap, frames, linktype.Ethernet)
			t.Logf("%d frames are plain, %d are not", a.plain, a.other)
			if a.plain < 3_000 || a.other < 3_000 {
				t.Errorf("only %d frames are plain, and %d are not", a.plain, a.other)
			}
		})
	}
}
