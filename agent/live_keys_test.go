package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLiveKeys: while nobody looks, counts are shown each second and keys every three seconds. A reader that looks once a second finds both
// of the same second, from the second look on.
func TestLiveKeys(t *testing.T) {
	lives(t, 1, nil, func(a *only, sources []*fakeSource, end func() error) {
		// send sends a packet a second.
		send := func(seconds int) {
			for range seconds {
				time.Sleep(time.Second)
				sources[0].put(oneQuery)
			}
			synctest.Wait()
		}
		look := func(when string, counts, keys uint64) {
			t.Helper()
			b := a.Window().Bucket(0)
			if p, d := packetMetrics(b), dnsMetrics(b); uint64(p.Total) != counts || p.TopIPv4.Total() != keys || d.TopQname2.Total() != keys {
				t.Errorf("%s: %d packets, %d at addresses, %d at names; want %d, %d and %d", when, p.Total, p.TopIPv4.Total(), d.TopQname2.Total(), counts, keys, keys)
			}
		}
		time.Sleep(500 * time.Millisecond)
		// The first second ends with a flush of all. The packets of a second are flushed when one of the next arrives.
		send(9)
		look("after 9 packets", 8, 6)
		send(1)
		look("a second later", 9, 9)
		send(1)
		look("another second later", 10, 10)
		send(1)
		look("and another", 11, 11)
		send(12)
		look("after 12 seconds in which nobody looked", 23, 21)
	})
}
