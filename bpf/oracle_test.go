package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/linktype"
)

func needTcpdump(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed, so there is nothing to compare with")
	}
}

// linkFile is a capture file of a link type without packets: libpcap compiles differently for a file than for a link
// type alone.
func linkFile(t testing.TB, link linktype.Type) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "link.pcap")
	hdr := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	hdr = append(hdr, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	hdr = binary.LittleEndian.AppendUint32(hdr, DefaultSnapLen)
	hdr = binary.LittleEndian.AppendUint32(hdr, uint32(link))
	if err := os.WriteFile(name, hdr, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// tcpdump compiles an expression with libpcap. source is "-r" with a file or "-i" with an interface. more are further
// flags, such as -O.
func tcpdump(expr string, source []string, more ...string) (*Program, error) {
	args := append([]string{"-ddd"}, source...)
	args = append(append(args, more...), "--", expr)
	cmd := exec.Command("tcpdump", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return nil, fmt.Errorf("%s", strings.TrimPrefix(lines[len(lines)-1], "tcpdump: "))
	}
	f := strings.Fields(string(out))
	if len(f) == 0 || len(f)%4 != 1 {
		return nil, fmt.Errorf("unexpected output of tcpdump -ddd")
	}
	var prog []RawInsn
	for i := 1; i < len(f); i += 4 {
		var in RawInsn
		if _, err := fmt.Sscan(strings.Join(f[i:i+4], " "), &in.Code, &in.Jt, &in.Jf, &in.K); err != nil {
			return nil, err
		}
		prog = append(prog, in)
	}
	return decode(prog), nil
}

func parseAddr(s string) []byte { return netip.MustParseAddr(s).AsSlice() }

// tcpdumpText returns what tcpdump -d prints for Ethernet.
func tcpdumpText(t testing.TB, expr string) string {
	t.Helper()
	out, err := exec.Command("tcpdump", "-d", "-r", linkFile(t, linktype.Ethernet), "--", expr).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
