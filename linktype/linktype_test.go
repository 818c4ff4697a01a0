package linktype

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestNames asks tcpdump for the name of every named link type.
func TestNames(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skip("tcpdump is not installed")
	}
	name := regexp.MustCompile(`link-type (\w+)`)
	for link := range Type(300) {
		if link.String()[0] <= '9' || link >= 204 && link <= 206 {
			continue
		}
		header := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0} // a pcap file without frames
		binary.LittleEndian.PutUint16(header[20:], uint16(link))
		path := filepath.Join(t.TempDir(), "empty.pcap")
		if err := os.WriteFile(path, header, 0o600); err != nil {
			t.Fatal(err)
		}
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

func TestString(t *testing.T) {
	for link, want := range map[Type]string{204: "PPP_WITH_DIR", 205: "C_HDLC_WITH_DIR", 206: "FRELAY_WITH_DIR", Ethernet: "EN10MB", 65535: "65535"} {
		if s := link.String(); s != want {
			t.Errorf("%d: %s, want %s", int(link), s, want)
		}
	}
	if s := Type(147).String(); s != "147" {
		t.Error(s)
	}
}
