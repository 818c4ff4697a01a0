package bpf

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// tcpdumpLinks are the names that tcpdump -y has for the link types.
var tcpdumpLinks = map[uint16]string{
	LinkNull: "NULL", LinkEthernet: "EN10MB", LinkPPP: "PPP", LinkRaw: "RAW",
	LinkPPPHDLC: "PPP_SERIAL", LinkPPPEther: "PPP_ETHER", LinkCHDLC: "C_HDLC",
	LinkWLAN: "IEEE802_11", LinkLoop: "LOOP", LinkSLL: "LINUX_SLL",
	LinkRadiotap: "IEEE802_11_RADIO", LinkIPv4: "IPV4", LinkIPv6: "IPV6",
	LinkNFLOG: "NFLOG", LinkSLL2: "LINUX_SLL2",
}

func needTcpdump(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("tcpdump"); err != nil {
		t.Skip("tcpdump is not installed: nothing to compare with")
	}
}

// tcpdump compiles an expression with libpcap; more are further flags, such as -O.
func tcpdump(expr string, link uint16, more ...string) (*Program, error) {
	args := append([]string{"-ddd", "-y", tcpdumpLinks[link]}, more...)
	cmd := exec.Command("tcpdump", append(args, "--", expr)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s", strings.TrimPrefix(strings.TrimSpace(stderr.String()), "tcpdump: "))
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
	return &Program{insns: prog}, nil
}
