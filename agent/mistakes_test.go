package agent

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pktvisor/internal/testkit"
)

// Each test of this file checks a right answer where the C++ original, which this project replaces, gave a wrong one. The
// comment of the test says what the original did.

const (
	client  = "198.51.100.7:40000"
	server  = "192.0.2.53:53" // on the host
	client6 = "[2001:db8:99::7]:53"
	server6 = "[2001:db8:53::53]:53"
)

// TestMistakeBucketOrder: bucket/1 was the oldest minute, and window/N merged the oldest N.
func TestMistakeBucketOrder(t *testing.T) {
	s := &script{t: t}
	first := at("2024-03-01 12:00:00")
	for minute := range 5 {
		for i := range 1 << minute {
			s.udp(first+int64(minute)*60e9+int64(i)*1e6, client, server, dnsQuery(uint16(i), "a.example"))
		}
	}
	w := s.window(nil).Window()
	for n, want := range []uint64{16, 8, 4, 2, 1} {
		b := parse(t, w.Bucket(n))
		if b.Packets.Total != want || b.Period.StartTS != first/1e9+int64(4-n)*60 {
			t.Errorf("bucket %d starts at %d with %d packets, want %d with %d", n, b.Period.StartTS, b.Packets.Total, first/1e9+int64(4-n)*60, want)
		}
	}
	for n, want := range map[int]uint64{1: 16, 2: 24, 3: 28, 4: 30, 5: 31} {
		if b := parse(t, w.Merged(n)); b.Packets.Total != want {
			t.Errorf("window of %d has %d packets, want the newest: %d", n, b.Packets.Total, want)
		}
	}
}

// TestMistakePeriodLength: periods had 61 seconds, and started with any packet.
func TestMistakePeriodLength(t *testing.T) {
	s := &script{t: t}
	first := at("2024-03-01 12:00:17")
	for i := range int64(200) {
		s.udp(first+i*1e9, client, server, dnsQuery(uint16(i), "a.example"))
	}
	w := s.window(nil).Window()
	for n, want := range [][3]int64{{37, 163, 37}, {60, 103, 60}, {60, 43, 60}, {43, 0, 43}} {
		b := parse(t, w.Bucket(n))
		if b.Period.Length != want[0] || b.Period.StartTS != first/1e9+want[1] || b.Packets.Total != uint64(want[2]) {
			t.Errorf("bucket %d: %d s from %d with %d packets, want %d s from %d with %d", n,
				b.Period.Length, b.Period.StartTS, b.Packets.Total, want[0], first/1e9+want[1], want[2])
		}
		if n < 3 && b.Period.StartTS%60 != 0 {
			t.Errorf("bucket %d does not start with a minute", n)
		}
	}
}

// TestMistakeGaps: minutes without packets were missing, so that a gap of four minutes looked like one period.
func TestMistakeGaps(t *testing.T) {
	s := &script{t: t}
	first := at("2024-03-01 12:00:30")
	s.udp(first, client, server, dnsQuery(1, "a.example"))
	s.udp(first+4*60e9, client, server, dnsQuery(2, "a.example"))
	w := s.window(nil).Window()
	start := first/1e9 - 30
	for n, want := range [][3]int64{{240, 31, 1}, {180, 60, 0}, {120, 60, 0}, {60, 60, 0}, {30, 30, 1}} {
		b := parse(t, w.Bucket(n))
		if b.Period.StartTS != start+want[0] || b.Period.Length != want[1] || b.Packets.Total != uint64(want[2]) {
			t.Errorf("bucket %d: %d s from %d with %d packets, want %v", n, b.Period.Length, b.Period.StartTS-start, b.Packets.Total, want)
		}
	}
	if b := parse(t, w.Merged(5)); b.Period.Length != 241 || b.Packets.Total != 2 {
		t.Errorf("the window has %d packets in %d s, want 2 in 241", b.Packets.Total, b.Period.Length)
	}
}

// TestMistakeFileTime: the summary of a file had the time at which the file was read.
func TestMistakeFileTime(t *testing.T) {
	for _, when := range []string{"2009-02-13 23:31:30", "1999-12-31 23:59:59", "2037-01-01 00:00:00"} {
		s := &script{t: t}
		s.udp(at(when), client, server, dnsQuery(1, "a.example"))
		s.udp(at(when)+9e9, client, server, dnsQuery(1, "a.example"))
		a := summarise(t, s.file(), nil)
		if b := parse(t, a.Window().Merged(1)); b.Period.StartTS != at(when)/1e9 || b.Period.Length != 10 {
			t.Errorf("%s: %d s from %d, want 10 from %d", when, b.Period.Length, b.Period.StartTS, at(when)/1e9)
		}
		if got := a.LastPacket().UnixNano(); got != at(when)+9e9 {
			t.Errorf("%s: the newest packet is of %v", when, a.LastPacket())
		}
	}
}

// TestMistakeTCP: a DNS message over TCP was lost if it came in several segments or had more than 512 bytes, and its direction
// did not follow -H.
func TestMistakeTCP(t *testing.T) {
	for _, segment := range []int{1, 7, 40, 1400, 65_535} {
		for _, size := range []int{100, 512, 513, 1500, 5000} {
			s := &script{t: t}
			start := at("2024-03-01 12:00:00")
			s.segments(start, client, server, overTCP(dnsQuery(7, "big.example")), segment)
			s.segments(start+int64(time.Second), server, client, overTCP(long(7, "big.example", size)), min(segment, 1400))
			d := dnsMetrics(summarise(t, s.file(), nil).Window().Merged(1))
			if d.TCP != 2 || d.Queries != 1 || d.Replies != 1 || d.Xacts != 1 {
				t.Errorf("segments of %d, response of %d: %d messages, %d queries, %d responses, %d transactions",
					segment, size, d.TCP, d.Queries, d.Replies, d.Xacts)
			}
			if d.In != 1 || d.Out != 1 || d.InTotal != 1 || d.OutTotal != 0 {
				t.Errorf("segments of %d, response of %d: %d in, %d out; %d transactions in, %d out", segment, size, d.In, d.Out, d.InTotal, d.OutTotal)
			}
			if d.ResponseSize.Max() != uint64(size) {
				t.Errorf("segments of %d: response of %d bytes, want %d", segment, d.ResponseSize.Max(), size)
			}
		}
	}
}

// TestMistakeLongNames: the cardinality of 100 names of 32 bytes or more was 822, because the sketch hashed memory beyond them.
func TestMistakeLongNames(t *testing.T) {
	for _, length := range []int{1, 15, 16, 31, 32, 33, 63} {
		s := &script{t: t}
		for i := range 800 { // eight times each name
			label := fmt.Sprintf("%02d", i%100) + strings.Repeat("x", max(length-2, 0))
			s.udp(at("2024-03-01 12:00:00")+int64(i)*1e6, client, server, dnsQuery(uint16(i), label+".example.com"))
		}
		if b := parse(t, summarise(t, s.file(), nil).Window().Merged(1)); b.DNS.Cardinality.Qname != 100 {
			t.Errorf("labels of %d bytes: %d names, want 100", length, b.DNS.Cardinality.Qname)
		}
	}
}

// TestMistakeIPv6EqualPorts: a query over IPv6 from port 53 to port 53 was never paired.
func TestMistakeIPv6EqualPorts(t *testing.T) {
	s := &script{t: t}
	start := at("2024-03-01 12:00:00")
	s.udp(start, client6, server6, dnsQuery(9, "a.example"))
	s.udp(start+2e6, server6, client6, dnsResponse(9, 0, "a.example"))
	s.udp(start+1e9, server6, client6, dnsQuery(9, "b.example"))
	s.udp(start+1e9+5e6, client6, server6, dnsResponse(9, 0, "b.example"))
	d := dnsMetrics(summarise(t, s.file(), nil).Window().Merged(1))
	if d.Xacts != 2 || d.InTotal != 1 || d.OutTotal != 1 || d.Orphans != 0 || d.Open != 0 {
		t.Errorf("%d transactions, %d in, %d out, %d orphans, %d open", d.Xacts, d.InTotal, d.OutTotal, d.Orphans, d.Open)
	}
	if d.InMicros.Max() != 2000 || d.OutMicros.Max() != 5000 {
		t.Errorf("took %d us in and %d us out, want 2000 and 5000", d.InMicros.Max(), d.OutMicros.Max())
	}
}

// TestMistakeSampling: a deep sample of N percent took (N+1)/101 of the transactions: 1% instead of 0%, and 10.9% instead of
// 10%.
func TestMistakeSampling(t *testing.T) {
	const n = 50_000
	s := &script{t: t}
	for i := range n {
		s.udp(at("2024-03-01 12:00:00")+int64(i)*1e4, fmt.Sprintf("10.1.%d.%d:%d", i>>8, i&255, 1024+i), server, dnsQuery(uint16(i), "a.example"))
	}
	file := s.file()
	for _, percent := range []int{0, 1, 10, 50, 99, 100} {
		a := summarise(t, file, func(c *setup) { c.DeepSamplePercent = percent })
		d := dnsMetrics(a.Window().Merged(1))
		share := float64(percent) / 100
		if got, slack := float64(d.DeepSamples), 5*math.Sqrt(share*(1-share)*n); math.Abs(got-share*n) > slack {
			t.Errorf("%d%% of %d queries: %.0f, want %.0f within %.0f", percent, n, got, share*n, slack)
		}
		if d.Total != n {
			t.Errorf("%d%%: %d messages counted, want all %d", percent, d.Total, n)
		}
	}
}

// TestMistakeFlood: after a flood of random names, a name that occurred once was shown with thousands.
func TestMistakeFlood(t *testing.T) {
	const flood = 60_000
	s := &script{t: t}
	start := at("2024-03-01 12:00:00")
	counts := map[string]uint64{}
	seen := func(i int, name string) {
		s.udp(start+int64(i)*1e5, server, client, dnsResponse(uint16(i), 3, name))
		counts[name]++
	}
	for i := range flood {
		seen(i, fmt.Sprintf("%x.flood.example", uint64(i)*0x9e3779b97f4a7c15))
		counts["*.flood.example"]++ // the row of them all
		if i%100 == 0 {
			seen(i, "heavy.example")
		}
	}
	seen(flood, "once.example")
	b := summarise(t, s.file(), nil).Window().Merged(1)
	rows := parse(t, b).DNS.TopNXDomain
	if len(rows) < 2 || rows[0].Name != "*.flood.example" || rows[0].Estimate != flood || rows[1].Name != "heavy.example" {
		t.Fatalf("rows: %v, want the flood and heavy.example first", rows)
	}
	for _, r := range rows {
		if r.Estimate > counts[r.Name] {
			t.Errorf("%s is shown with %d, has %d", r.Name, r.Estimate, counts[r.Name])
		}
	}
	top := &dnsMetrics(b).TopNXDomain
	if lower, upper := top.Bounds([]byte("heavy.example")); lower < 500 || upper < 600 || upper > 650 {
		t.Errorf("heavy.example has %d to %d, want 600", lower, upper)
	}
	for name, n := range counts {
		folded := strings.HasSuffix(name, ".flood.example") && name[0] != '*' // counts in the row of its zone
		if lower, upper := top.Bounds([]byte(name)); lower > n || upper < n && !folded {
			t.Fatalf("%s has %d to %d, want %d", name, lower, upper, n)
		}
	}
}

// TestMistakeTimeouts: queries without a response did not count anywhere.
func TestMistakeTimeouts(t *testing.T) {
	s := &script{t: t}
	start := at("2024-03-01 12:00:00")
	for i := range uint16(30) {
		s.udp(start+int64(i)*1e8, "192.0.2.10:41000", "203.0.113.9:53", dnsQuery(i, "dead.example"))
	}
	s.udp(start+20e9, "192.0.2.10:41000", "203.0.113.9:53", dnsQuery(99, "a.example"))
	s.udp(start+20e9+1e6, "203.0.113.9:53", "192.0.2.10:41000", dnsResponse(99, 0, "a.example"))
	b := parse(t, summarise(t, s.file(), nil).Window().Merged(1))
	if b.DNS.Xact.Counts.Timeouts != 30 || b.DNS.Xact.Out.Timeouts != 30 || b.DNS.Xact.Counts.Total != 1 {
		t.Errorf("%d timeouts, %d of them out, %d transactions; want 30, 30 and 1", b.DNS.Xact.Counts.Timeouts, b.DNS.Xact.Out.Timeouts, b.DNS.Xact.Counts.Total)
	}
	if r := b.DNS.TopTimeout; len(r) != 1 || r[0] != (row{"dead.example", 30}) {
		t.Errorf("top_timeout: %v, want 30 of dead.example", r)
	}
}

// TestTimeoutBucket: a timeout counts in the minute of its query if that is still the live one. Otherwise it counts in the live
// one.
func TestTimeoutBucket(t *testing.T) {
	s := &script{t: t}
	start := at("2024-03-01 12:00:00")
	s.udp(start+10e9, client, server, dnsQuery(1, "early.example"))
	s.udp(start+57e9, client, server, dnsQuery(2, "late.example"))
	s.add(start+90e9, testkit.AppendARP(nil, hostAddr, hostAddr))
	w := s.window(nil).Window()
	for n, want := range []row{{"late.example", 1}, {"early.example", 1}} {
		if r := parse(t, w.Bucket(n)).DNS.TopTimeout; len(r) != 1 || r[0] != want {
			t.Errorf("bucket %d: %v, want %v", n, r, want)
		}
	}
}
