package capture

import (
	"encoding/binary"
	"os/exec"
	"regexp"
	"testing"
)

// TestLinkTypeNames asks tcpdump for the name of every named link type.
func TestLinkTypeNames(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	name := regexp.MustCompile(`link-type (\w+)`)
	for link := range LinkType(300) {
		if link.String()[0] <= '9' || link >= 204 && link <= 206 {
			continue
		}
		path := writeTemp(t, pcapHeader(binary.LittleEndian, pcapMicros, 2, 4, uint32(link)))
		out, err := exec.Command(tcpdump, "-nr", path).CombinedOutput()
		m := name.FindSubmatch(out)
		if m == nil {
			t.Fatalf("link type %d: %v: %s", link, err, out)
		}
		if got := string(m[1]); got != link.String() {
			t.Errorf("link type %d: %s, tcpdump says %s", link, link, got)
		}
	}
}

func TestLinkTypeNumber(t *testing.T) {
	for link, want := range map[LinkType]string{204: "PPP_WITH_DIR", 205: "C_HDLC_WITH_DIR", 206: "FRELAY_WITH_DIR", LinkEthernet: "EN10MB", 65535: "65535"} {
		if s := link.String(); s != want {
			t.Errorf("%d: %s, want %s", int(link), s, want)
		}
	}
	if s := LinkType(147).String(); s != "147" {
		t.Error(s)
	}
}
