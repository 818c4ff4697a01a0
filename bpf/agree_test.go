package bpf

import (
	"bufio"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/linktype"
)

var allLinks = flag.Bool("bpf.all", false,
	"compare every expression on every link type, instead of some of them on link types other than Ethernet")

// expressions reads expressions from files in testdata.
func expressions(t testing.TB, names ...string) []string {
	t.Helper()
	var exprs []string
	for _, name := range names {
		f, err := os.Open(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			if line := s.Text(); line != "" && line[0] != '#' {
				exprs = append(exprs, line)
			}
		}
		f.Close()
	}
	return exprs
}

// TestAgreesWithTcpdump compares hundreds of expressions on tens of thousands of packets.
func TestAgreesWithTcpdump(t *testing.T) {
	needTcpdump(t)
	if testing.Short() {
		t.Skip("this test runs tcpdump thousands of times")
	}
	for _, r := range testRivals(t, 10000, 2000) {
		name := linkNames[r.link]
		files := []string{"expressions"}
		switch {
		case r.live:
			name += " live"
			fallthrough
		case r.link == linktype.Ethernet:
			files = append(files, "ethernet", "layers")
		case r.link == linktype.IEEE80211 || r.link == linktype.Radiotap:
			files = append(files, "ethernet", "wlan")
		case r.link == linktype.PPP || r.link == linktype.CHDLC:
			files = append(files, "layers")
		}
		t.Run(name, func(t *testing.T) {
			exprs := expressions(t, files...)
			every := 12
			if *allLinks || r.link == linktype.Ethernet && !r.live {
				every = 1
			}
			n, split, accepted := 0, 0, 0
			for i := int(r.link) % every; i < len(exprs); i += every {
				if !comparable(exprs[i], r) {
					continue
				}
				o, err := r.compare(r.guarded(exprs[i]))
				if err != nil {
					t.Error(err)
				}
				n++
				split += o.split
				accepted += o.accepted
			}
			t.Logf("%d expressions on %d packets, %d times accepted; tcpdump disagrees with itself on %d",
				n, len(r.frames), accepted, split)
		})
	}
}

// TestLength compares the lengths of programs with those of tcpdump's.
func TestLength(t *testing.T) {
	needTcpdump(t)
	r := newRival(t, linktype.Ethernet, nil)
	ours, theirs := 0, 0
	for i, expr := range expressions(t, "expressions", "ethernet", "layers") {
		if i%3 != 0 && !*allLinks {
			continue
		}
		o, err := r.compare(expr)
		if err != nil {
			t.Error(err)
		}
		ours += o.ours
		theirs += o.theirs
		if 2*o.ours > 3*o.theirs {
			t.Errorf("%s: %d instructions, tcpdump's has %d", expr, o.ours, o.theirs)
		}
	}
	t.Logf("%d instructions in all, tcpdump's %d", ours, theirs)
}

// TestLogic checks laws that hold for every packet, including packets that are cut short: a read beyond their end
// rejects them on both sides.
func TestLogic(t *testing.T) {
	frames := forged(linktype.Ethernet, 1500, 9)
	exprs := expressions(t, "expressions")
	match := func(expr string) []bool {
		prog, err := Compile(expr, linktype.Ethernet, Options{})
		out := make([]bool, len(frames))
		if errors.Is(err, ErrRejectsAll) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		for i, f := range frames {
			out[i] = prog.Match(f, uint32(len(f)))
		}
		return out
	}
	same := func(a, b string) {
		t.Helper()
		ma, mb := match(a), match(b)
		for i := range ma {
			if ma[i] != mb[i] {
				t.Errorf("%q says %v, %q says %v of % x", a, ma[i], b, mb[i], frames[i])
				return
			}
		}
	}
	for i, a := range exprs {
		if _, err := Compile(a, linktype.Ethernet, Options{}); err != nil {
			continue // inbound
		}
		a, b := "("+a+")", "("+exprs[(i*7+3)%len(exprs)]+")"
		if _, err := Compile(b, linktype.Ethernet, Options{}); err != nil {
			b = "tcp"
		}
		same(a, "not not "+a)
		same(a+" and "+b, "not (not "+a+" or not "+b+")")
		same(a+" or "+b, "not (not "+a+" and not "+b+")")
		same(a, a+" and "+a)
		same(a, a+" or "+a)
	}
}

// TestNoOptimize checks that the optimiser does not change any verdict.
func TestNoOptimize(t *testing.T) {
	for _, link := range []linktype.Type{linktype.Ethernet, linktype.Null, linktype.PPP, linktype.CHDLC, linktype.IEEE80211, linktype.Radiotap,
		linktype.LinuxSLL, linktype.LinuxSLL2, linktype.Raw, linktype.IPv4} {
		frames := forged(link, 200, 11)
		for _, expr := range expressions(t, "expressions", "ethernet", "layers", "wlan") {
			plain, err := Compile(expr, link, Options{NoOptimize: true})
			if err != nil {
				continue
			}
			prog, err := Compile(expr, link, Options{})
			if errors.Is(err, ErrRejectsAll) {
				prog = decode([]RawInsn{{Code: clsRet}})
			} else if err != nil {
				t.Fatalf("%s: %v", expr, err)
			}
			if prog.Len() > plain.Len() {
				t.Errorf("%s: %d instructions, %d without optimising", expr, prog.Len(), plain.Len())
			}
			for _, f := range frames {
				if prog.Run(f, uint32(len(f))) != plain.Run(f, uint32(len(f))) {
					t.Fatalf("%s on link type %d: the optimiser changes the verdict of % x\n%s%s",
						expr, link, f, prog.Dump(), plain.Dump())
				}
			}
		}
	}
}

// TestDump compares the text with that of tcpdump -d for programs that are the same.
func TestDump(t *testing.T) {
	needTcpdump(t)
	for _, expr := range []string{"udp port 53", "tcp[tcpflags] & tcp-syn != 0", "host 10.0.0.1", "ip[2:2] % 3 = 1",
		"ip[8] << 2 = 256", "len > 100"} {
		prog, err := Compile(expr, linktype.Ethernet, Options{})
		if err != nil {
			t.Fatal(err)
		}
		want := tcpdumpText(t, expr)
		if got := prog.Dump(); got != want {
			t.Errorf("%s:\n%swant\n%s", expr, got, want)
		}
	}
	prog, err := Compile("ip", linktype.Ethernet, Options{})
	if err != nil || !strings.HasPrefix(prog.Dump(), "(000) ldh      [12]\n") {
		t.Errorf("%v %v", prog, err)
	}
}
