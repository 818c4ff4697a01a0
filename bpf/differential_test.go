package bpf

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	xbpf "golang.org/x/net/bpf"

	"pktvisor/linktype"
)

var randomFor = flag.Duration("bpf.random", 2*time.Second,
	"how long TestRandomExpressions compares with tcpdump")

// rival is tcpdump's compiler for one link type, and packets for the comparison.
type rival struct {
	link   linktype.Type
	source []string // -r file or -i interface
	live   bool
	frames [][]byte
}

func newRival(t testing.TB, link linktype.Type, frames [][]byte) *rival {
	return &rival{link: link, source: []string{"-r", linkFile(t, link)}, frames: frames}
}

// outcome is the result of comparing one expression.
type outcome struct {
	compared     bool // both compilers accept it
	ours, theirs int  // instructions
	split        int  // packets on which tcpdump's optimiser changes tcpdump's verdict
	accepted     int
}

// compare compiles an expression with both compilers. It returns an error if the two programs disagree on a packet,
// or if only one of the compilers accepts the expression.
//
// libpcap's optimiser drops reads whose result is not needed, and moves others. So for packets that are cut short,
// its program may differ from what the expression says. In that case its program without optimisation counts.
func (r *rival) compare(expr string) (o outcome, err error) {
	mask := net.CIDRMask(0, 32) // what tcpdump assumes for a file
	if r.live {
		mask = net.CIDRMask(8, 32) // the mask of lo
	}
	prog, err1 := Compile(expr, r.link, Options{Live: r.live, Netmask: mask})
	plain, err2 := tcpdump(expr, r.source, "-O")
	if rejects := errors.Is(err1, ErrRejectsAll); err2 != nil || err1 != nil && !rejects {
		return o, r.compareErrors(expr, err1, err2)
	} else if rejects {
		prog = decode([]RawInsn{{Code: clsRet}})
	}
	theirs, err2 := tcpdump(expr, r.source)
	if err2 != nil {
		if !strings.Contains(err2.Error(), "rejects all packets") {
			return o, r.compareErrors(expr, err1, err2)
		}
		theirs = decode([]RawInsn{{Code: clsRet}})
	}
	o = outcome{compared: true, ours: prog.Len(), theirs: theirs.Len()}
	for i, f := range r.frames {
		wireLen := uint32(len(f))
		if i%5 == 0 {
			wireLen += uint32(i)
		}
		anc := r.ancillary(i)
		got, want, alt := prog.run(f, wireLen, anc), theirs.run(f, wireLen, anc), plain.run(f, wireLen, anc)
		if want != alt {
			o.split++
		}
		if got != 0 {
			o.accepted++
		}
		if got != alt && !(got == want && eitherWillDo(expr)) && !r.swapped(f) {
			return o, fmt.Errorf("%s\non link type %d, packet %d, % x (of %d): %d, tcpdump says %d (%d with -O)\nours:\n%stcpdump's:\n%s",
				expr, r.link, i, f, wireLen, got, want, alt, prog.Dump(), theirs.Dump())
		}
	}
	return o, nil
}

// swapped reports whether a BSD loopback frame is in the other byte order. libpcap assumes a file's byte order for
// it. This package accepts both.
func (r *rival) swapped(f []byte) bool {
	return r.link == linktype.Null && len(f) >= 4 && f[0] == 0 && f[1] == 0 && f[2] == 0
}

func (r *rival) ancillary(i int) *ancillary {
	if !r.live {
		return nil
	}
	rnd := rand.New(rand.NewPCG(7, uint64(i)))
	a := &ancillary{pktType: uint32(rnd.IntN(5)), ifIndex: uint32(rnd.IntN(4))}
	if rnd.IntN(2) == 0 {
		a.tagged, a.tci = 1, uint32(pick(rnd, testVLANs))|uint32(rnd.IntN(8))<<13
	}
	return a
}

// compareErrors checks that both compilers refuse an expression, except for known differences.
func (r *rival) compareErrors(expr string, ours, theirs error) error {
	if ours != nil && theirs != nil {
		return nil
	}
	if theirs != nil {
		for _, known := range []string{
			// libpcap checks the first instruction of the operand, not its value.
			"division by zero", "modulus by zero", "shift by more than 31 bits",
			"too many registers needed",
			// It optimises the test of a live VLAN's number away, except for its jump.
			"no destination found for block-local relative jump",
		} {
			if strings.Contains(theirs.Error(), known) {
				return nil
			}
		}
		return fmt.Errorf("%s\non link type %d: compiled, but tcpdump says: %v", expr, r.link, theirs)
	}
	for _, known := range []string{"division by zero", "shift by more than 31 bits"} {
		if strings.Contains(ours.Error(), known) {
			return nil
		}
	}
	return fmt.Errorf("%s\non link type %d: tcpdump compiles it, but: %v", expr, r.link, ours)
}

// TestRandomExpressions compares random expressions with tcpdump. Use -bpf.random=10m for a long run.
func TestRandomExpressions(t *testing.T) {
	needTcpdump(t)
	rivals := testRivals(t, 3000, 3000)
	var all outcome
	n, compared, failures := 0, 0, 0
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for end := time.Now().Add(*randomFor); time.Now().Before(end) && failures < 5; n++ {
		o, err := compareRandom(rnd.Uint64(), rivals)
		if err != nil {
			t.Error(err)
			failures++
		}
		if o.compared {
			compared++
			all.ours += o.ours
			all.theirs += o.theirs
			all.split += o.split
		}
	}
	t.Logf("%d expressions, %d compiled by both, of %d and %d instructions; tcpdump disagrees with itself on %d packets",
		n, compared, all.ours, all.theirs, all.split)
}

// FuzzRandomExpressions does the same for seeds that the fuzzer finds.
func FuzzRandomExpressions(f *testing.F) {
	needTcpdump(f)
	for seed := range uint64(20) {
		f.Add(seed)
	}
	rivals := testRivals(f, 1000, 1000)
	f.Fuzz(func(t *testing.T, seed uint64) {
		if _, err := compareRandom(seed, rivals); err != nil {
			t.Error(err)
		}
	})
}

// compareRandom compares one random expression.
func compareRandom(seed uint64, rivals []*rival) (outcome, error) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	r := pick(rnd, rivals)
	if rnd.IntN(3) == 0 {
		r = rivals[0]
	}
	s := &speaker{r: rnd, link: r.link, live: r.live}
	expr := s.expression()
	switch {
	case rnd.IntN(4) == 0:
		expr = s.mistaken()
	case rnd.IntN(10) == 0 && !strings.Contains(expr, "geneve"):
		expr = pick(rnd, []string{"geneve", "geneve 0xb"}) + " and (" + expr + ")"
	}
	if !comparable(expr, r) {
		return outcome{}, nil
	}
	o, err := r.compare(r.guarded(expr))
	if err != nil {
		err = fmt.Errorf("seed %d: %w", seed, err)
	}
	return o, err
}

// guarded puts something before an expression that makes libpcap allocate its scratch slots for 802.11 headers first.
// Otherwise sums overwrite slots that it allocates later.
func (r *rival) guarded(expr string) string {
	if r.link == linktype.IEEE80211 || r.link == linktype.Radiotap {
		return "(ip or not ip) and (" + expr + ")"
	}
	return expr
}

// comparable excludes expressions that libpcap gets wrong: it loses the scratch slots of one variable header when
// another one follows.
func comparable(expr string, r *rival) bool {
	if sum := strings.Contains(expr, "[") || strings.Contains(expr, "len"); r.live && sum &&
		strings.Contains(expr, "vlan") {
		return false // see guarded
	}
	inner := strings.Contains(expr, "geneve") || strings.Contains(expr, "pppoes")
	if (r.link == linktype.IEEE80211 || r.link == linktype.Radiotap) && inner {
		return false
	}
	// If libpcap never optimises, it always reads all words of an address.
	if (r.link == linktype.IEEE80211 || r.link == linktype.Radiotap || inner) && maskedWords(expr) {
		return false
	}
	// Outside Geneve packets, its slots hold whatever a sum left there.
	rest, first := strings.CutPrefix(expr, "geneve")
	if strings.Contains(rest, "geneve") || !first && inner && strings.Contains(expr, "geneve") {
		return !strings.ContainsAny(expr, "[|!") && !strings.Contains(expr, " or ") &&
			!strings.Contains(expr, "not") && !strings.Contains(expr, "len") && !r.live
	}
	return !first || !r.live
}

// maskedWords reports whether a network in the expression has words that its mask leaves out. libpcap skips reading
// them only if it optimises.
func maskedWords(expr string) bool {
	expr = strings.ReplaceAll(expr, " ", "")
	for _, n := range []string{"0.0.0.0/0", "::/32", "::/10", "::/8", "::/0"} {
		if strings.Contains(expr, n) {
			return true
		}
	}
	return false
}

var negativeIndex = regexp.MustCompile(`\[[^\]]*(-|0xffffffff|4294967295)`)

// eitherWillDo reports whether the verdict of libpcap's optimised program is as good as that of the other: like the
// kernel, it also knows what a constant negative index leads to.
func eitherWillDo(expr string) bool {
	return maskedWords(expr) || negativeIndex.MatchString(expr)
}

// testRivals returns rivals for the link types that a file may have, with about ether Ethernet frames and about
// others frames of each other link type.
func testRivals(t testing.TB, ether, others int) []*rival {
	var rivals []*rival
	real := corpus(t)
	for _, link := range []linktype.Type{linktype.Ethernet, linktype.Null, linktype.Loop, linktype.PPP, linktype.PPPHDLC, linktype.PPPEther, linktype.CHDLC,
		linktype.IEEE80211, linktype.Radiotap, linktype.LinuxSLL, linktype.LinuxSLL2, linktype.Raw, linktype.IPv4, linktype.IPv6, linktype.ATM} {
		n := others
		if link == linktype.Ethernet {
			n = ether
		}
		rnd := rand.New(rand.NewPCG(3, uint64(link)))
		more := real[link]
		rnd.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
		frames := append(forged(link, n, 1), damaged(rnd, more[:min(len(more), n)])...)
		rivals = append(rivals, newRival(t, link, frames))
	}
	if os.Getuid() == 0 {
		frames := forged(linktype.Ethernet, others, 2)
		rivals = append(rivals, &rival{linktype.Ethernet, []string{"-i", "lo"}, true, frames})
	}
	return rivals
}

// TestInterpreter compares the interpreter with that of golang.org/x/net/bpf, with the programs of both compilers.
func TestInterpreter(t *testing.T) {
	frames := forged(linktype.Ethernet, 1000, 4)
	source := []string{"-r", linkFile(t, linktype.Ethernet)}
	_, missing := exec.LookPath("tcpdump")
	for _, expr := range sampleExpressions(100) {
		prog, err := Compile(expr, linktype.Ethernet, Options{})
		if err != nil {
			continue
		}
		crossCheck(t, expr, prog, frames)
		if missing != nil {
			continue
		}
		if prog, err = tcpdump(expr, source); err == nil {
			crossCheck(t, expr, prog, frames)
		}
	}
}

func crossCheck(t *testing.T, expr string, prog *Program, frames [][]byte) {
	t.Helper()
	if strconv.IntSize == 32 {
		return // x/net's interpreter adds offsets as ints, and panics if these have 32 bits
	}
	var insns []xbpf.Instruction
	for _, in := range prog.Raw() {
		insns = append(insns, xbpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}.Disassemble())
	}
	vm, err := xbpf.NewVM(insns)
	if err != nil {
		t.Fatalf("%s: %v\n%s", expr, err, prog.Dump())
	}
	for _, f := range frames {
		want, err := vm.Run(f)
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		if got := prog.Run(f, uint32(len(f))); got != uint32(want) {
			t.Fatalf("%s on % x: %d, want %d\n%s", expr, f, got, want, prog.Dump())
		}
	}
}

func sampleExpressions(n int) []string {
	rnd := rand.New(rand.NewPCG(5, 5))
	var exprs []string
	for range n {
		s := &speaker{r: rnd, link: linktype.Ethernet}
		exprs = append(exprs, s.expression())
	}
	return exprs
}
