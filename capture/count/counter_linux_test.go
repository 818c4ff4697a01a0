//go:build amd64 || arm64

package count

import (
	"fmt"
	"os"
	"testing"
)

func TestZZ(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	c, err := Open(Config{Ports: []uint16{53}, SnapLen: 1 << 18, Threshold: All})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	i, _ := c.program.Info()
	vi, _ := i.VerifiedInstructions()
	xl, _ := i.Instructions()
	fmt.Println("verified", vi, "xlated", len(xl), xl.Size())
	f := make([]byte, 100)
	f[12] = 8
	f[14] = 0x45
	f[17] = 86
	f[23] = 17
	f[34] = 0
	f[35] = 53
	f[39] = 66
	f[46] = 0
	f[47] = 1
	in := append(make([]byte, 14), f...)
	in[12] = 8
	for k := 0; k < 3; k++ {
		best := int64(1e9)
		for j := 0; j < 600; j++ {
			_, d, err := c.program.Benchmark(in, 2000, nil)
			if err != nil {
				t.Fatal(err)
			}
			best = min(best, d.Nanoseconds())
		}
		fmt.Println("ns", best)
	}
	c.Read(wall().Unix(), func(s *Second) { fmt.Printf("%+v\n", s.Groups[1]) })
}
