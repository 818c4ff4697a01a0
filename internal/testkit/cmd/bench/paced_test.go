package main

import (
	"slices"
	"testing"

	"pktvisor/internal/testkit/veth"
)

func TestFirstRecords(t *testing.T) {
	capture := make([]byte, veth.HeaderLen)
	for _, length := range []byte{3, 0, 7} {
		header := make([]byte, veth.RecordLen)
		header[8] = length
		capture = append(append(capture, header...), make([]byte, length)...)
	}
	for n, want := range [][2]int{{24, 0}, {43, 1}, {59, 2}, {82, 3}, {82, 3}} {
		if part, frames := firstRecords(capture, n); len(part) != want[0] || frames != want[1] {
			t.Errorf("the first %d: %d bytes with %d frames, want %v", n, len(part), frames, want)
		}
	}
}

func TestParseRates(t *testing.T) {
	var p pacing
	if err := p.parseRates("10000,3"); err != nil || !slices.Equal(p.rates, []int{10000, 3}) {
		t.Errorf("%v, %v", p.rates, err)
	}
	for _, bad := range []string{"", "0", "-1", "5,x", "5,"} {
		if err := new(pacing).parseRates(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
