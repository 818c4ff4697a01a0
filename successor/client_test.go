package successor_test

import (
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/metric"
	"pktvisor/server"
	"pktvisor/successor"
)

// screenOf runs a command in a terminal of 240 by 50 and returns its screen once it has a text.
func screenOf(t *testing.T, until string, command ...string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		out, err := exec.Command("tmux", append([]string{"-S", socket}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	tmux(append([]string{"-u", "new-session", "-d", "-x", "240", "-y", "50"}, command...)...)
	t.Cleanup(func() { exec.Command("tmux", "-S", socket, "kill-server").Run() })
	deadline := time.After(20 * time.Second)
	for {
		screen := tmux("capture-pane", "-p")
		if strings.Contains(screen, until) {
			return screen
		}
		select {
		case <-deadline:
			t.Fatalf("no %q on the screen:\n%s", until, screen)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// firstRow returns the first row below a title on a screen.
func firstRow(screen, title string) string {
	lines := strings.Split(screen, "\n")
	for i, line := range lines {
		if before, _, ok := strings.Cut(line, "┌─"+title+"─"); ok {
			row, _, _ := strings.Cut(string([]rune(lines[i+1])[len([]rune(before))+1:]), "│")
			return row
		}
	}
	return ""
}

// TestTheirClient runs the successor's terminal client on a summary: each panel has our numbers. Set PKTVISOR_CLI to its path:
// docs/successor.md says how to build it.
func TestTheirClient(t *testing.T) {
	client := os.Getenv("PKTVISOR_CLI")
	if client == "" {
		t.Skip("PKTVISOR_CLI is not set to the successor's pktvisor-cli")
	}
	w := successor.Demo(t).Window()
	s := httptest.NewServer(server.New(server.Config{
		Window: w, Tables: agent.Tables, Version: "4.5.0", Started: time.Now(), Status: func() server.Status { return server.Status{} },
	}).Handler())
	defer s.Close()
	b := w.Merged(5)
	host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	screen := screenOf(t, "DNS NOERROR", client, "-H", host, "-p", port)
	t.Logf("\n%s", screen)
	p, d, c := metric.Of[packets.Metrics](b.Sections[0]), metric.Of[dns.Metrics](b.Sections[1]), b.Sections[2]
	drops := c.Counter(at(t, c, "os_drops"))
	for _, want := range []string{
		fmt.Sprintf("Pkts  %d | UDP %d (", p.Total, p.UDP), fmt.Sprintf(" TCP %d (", p.TCP), fmt.Sprintf(" Other %d (", p.OtherL4),
		fmt.Sprintf(" IPv4 %d (", p.IPv4), fmt.Sprintf(" IPv6 %d (", p.IPv6), fmt.Sprintf(" In %d (", p.In), fmt.Sprintf(" Out %d (", p.Out),
		"Pkt Rates Total " + rateText(&p.PpsTotal) + " pps", " In " + rateText(&p.PpsIn), " Out " + rateText(&p.PpsOut),
		fmt.Sprintf("IP Card. In: %.0f | Out: %.0f", p.SrcIPsIn.Estimate(), p.DstIPsOut.Estimate()),
		fmt.Sprintf("TCP Errors %d | OS Drops %d | IF Drops 0", d.Gaps, drops), fmt.Sprintf("Deep Samples %d (", p.DeepSamples), fmt.Sprintf("Response %d (", d.Replies),
		fmt.Sprintf("DNS Wire Pkts %d/%d | Rates Total %s", d.Total, d.Total, rateText(&d.Rate)),
		fmt.Sprintf("| UDP %d (", d.UDP), fmt.Sprintf("| TCP %d (", d.TCP), fmt.Sprintf("| IPv4 %d (", d.IPv4), fmt.Sprintf("| IPv6 %d (", d.IPv6),
		fmt.Sprintf("Query %d (", d.Queries), fmt.Sprintf("DNS Xacts %d | Timed Out %d | In %d (", d.Xacts, d.Timeouts, d.InTotal),
		fmt.Sprintf("Out %d (", d.OutTotal), fmt.Sprintf("In %s ms", milliseconds(&d.InMicros)), fmt.Sprintf("Out %s ms", milliseconds(&d.OutMicros)),
		fmt.Sprintf("Qname Card. %.0f", d.Qnames.Estimate()), fmt.Sprintf("DNS NOERROR %d (", d.NoError), fmt.Sprintf("SRVFAIL %d (", d.ServFail),
		fmt.Sprintf("NXDOMAIN %d (", d.NXDomain), fmt.Sprintf("REFUSED %d (", d.Refused), fmt.Sprintf("Period %ds", b.End-b.Start),
	} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen has no %q", want)
		}
	}
	for title, top := range map[string]*metric.Top{
		"Top QName 2": &d.TopQname2, "Top QName 3": &d.TopQname3, "Top NX": &d.TopNXDomain, "Slow In": &d.SlowIn, "Slow Out": &d.SlowOut,
		"Top QTypes": &d.TopQtype, "Top RCodes": &d.TopRcode, "Top SRVFAILS": &d.TopServFail, "Top REFUSED": &d.TopRefused,
		"Top DNS UDP Ports": &d.TopUDPPorts, "IPv4": &p.TopIPv4, "IPv6": &p.TopIPv6, "Top GeoLoc": &p.TopGeoLoc, "Top ASN": &p.TopASN,
	} {
		want := top.Heaviest(nil, 1)[0]
		row := firstRow(screen, title)
		if rest, ok := strings.CutPrefix(row, want.Key+" "); !ok || !strings.HasPrefix(strings.TrimSpace(rest)+" ", fmt.Sprint(want.Lower, " ")) {
			t.Errorf("%s begins with %q, want %q and %d", title, row, want.Key, want.Lower)
		}
	}
}

// at returns the position of a metric.
func at(t *testing.T, s *metric.Section, path string) int {
	t.Helper()
	i, ok := s.Table.Find(path)
	if !ok {
		t.Fatalf("no %s in %s", path, s.Table.Section)
	}
	return i
}

// rateText returns a rate as the client prints it. Nothing comes at present.
func rateText(r *metric.Rate) string {
	var q [4]uint64
	r.Quantiles([]float64{0.5, 0.9, 0.95, 0.99}, q[:])
	return fmt.Sprintf("0/s %d/%d/%d/%d", q[0], q[1], q[2], q[3])
}

// milliseconds returns quantiles of microseconds as the client prints them.
func milliseconds(h *metric.Histogram) string {
	ms := func(q float64) float64 { return float64(h.Quantile(q)) / 1000 }
	return fmt.Sprintf("%.1f/%.1f/%.1f/%.1f", ms(0.5), ms(0.9), ms(0.95), ms(0.99))
}
