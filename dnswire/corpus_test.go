package dnswire

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// corpus is the folder with captures of other projects, beside the repository.
const corpus = "../../shared/corpus"

// payloads returns the UDP payloads to or from port 53 in a capture, if the UDP header directly follows the outermost
// IP header. It leaves out fragments, and returns none for captures that gopacket cannot read.
func payloads(t testing.TB, path string) [][]byte {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil
		}
		r = bufio.NewReader(r)
	}
	magic, err := r.(*bufio.Reader).Peek(4)
	if err != nil {
		return nil
	}
	var src gopacket.PacketDataSource
	var link func(gopacket.CaptureInfo) layers.LinkType
	if bytes.Equal(magic, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		p, err := pcapgo.NewNgReader(r, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return nil
		}
		src = p
		link = func(ci gopacket.CaptureInfo) layers.LinkType { return ci.AncillaryData[0].(layers.LinkType) }
	} else {
		p, err := pcapgo.NewReader(r)
		if err != nil {
			return nil
		}
		src = p
		link = func(gopacket.CaptureInfo) layers.LinkType { return p.LinkType() }
	}
	var out [][]byte
	for {
		data, ci, err := src.ReadPacketData()
		if err != nil {
			return out
		}
		if b := udp53(gopacket.NewPacket(data, link(ci), gopacket.NoCopy)); b != nil {
			out = append(out, b)
		}
	}
}

// udp53 returns the payload of a UDP datagram to or from port 53.
func udp53(p gopacket.Packet) []byte {
	inIP := false
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4, *layers.IPv6:
			if inIP {
				return nil
			}
			inIP = true
		case *layers.IPv6HopByHop, *layers.IPv6Destination, *layers.IPv6Routing:
		case *layers.UDP:
			if inIP && (l.SrcPort == 53 || l.DstPort == 53) {
				return l.Payload
			}
			return nil
		default:
			if inIP {
				return nil
			}
		}
	}
	return nil
}

// archived returns the DNS messages that are files in the corpus's archives.
func archived(t testing.TB) (out [][]byte) {
	if f, err := os.Open(corpus + "/PowerDNS+pdns/fuzzing-corpus-raw-dns-packets.tar.gz"); err == nil {
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(z); ; {
			if _, err := r.Next(); err != nil {
				break
			}
			if b, _ := io.ReadAll(r); len(b) > 0 {
				out = append(out, b)
			}
		}
	}
	if r, err := zip.OpenReader(corpus + "/zeek+zeek/src/fuzzers/corpora/dns-corpus.zip"); err == nil {
		defer r.Close()
		for _, e := range r.File {
			f, err := e.Open()
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(f); len(b) > 0 {
				out = append(out, b)
			}
			f.Close()
		}
	}
	return out
}

// captures calls f with each file of the corpus that has a truth file.
func captures(t testing.TB, f func(rel string)) {
	root := corpus + "/truth"
	if _, err := os.Stat(root); err != nil {
		t.Skip("the corpus is not here: ", err)
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel := strings.TrimSuffix(strings.TrimPrefix(path, root+"/"), ".json")
		if err == nil && d.Type().IsRegular() && rel+".json" != path && !strings.HasSuffix(rel, ".pvports") && !strings.HasSuffix(rel, "dnstap") {
			f(rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCorpusAgainstMiekg(t *testing.T) {
	messages := 0
	check := func(where string, b []byte) {
		messages++
		if s := disagreement(b); s != "" {
			t.Errorf("%s: %s\n%x", where, s, b)
		}
	}
	captures(t, func(rel string) {
		for _, b := range payloads(t, filepath.Join(corpus, rel)) {
			check(rel, b)
		}
	})
	for _, b := range archived(t) {
		check("archive", b)
	}
	if messages < 20000 {
		t.Errorf("only %d messages were found", messages)
	}
	t.Logf("%d messages", messages)
}

// truth is what tshark says about the DNS messages of a capture.
type truth struct {
	DNS struct {
		Messages, Encapsulated int
		Undecodable            int `json:"undecodable_on_port_53"`
		Questions              int `json:"messages_with_question"`
		Transport              map[string]int
		Opcode, Qclass         map[string]int
		Rcode                  map[string]int
		Qtype                  struct{ All map[string]int }
		Flags                  map[string]int
		Distinct               struct{ All int } `json:"distinct_qnames"`
		Qnames                 struct {
			List []string
			Cut  bool `json:"list_truncated"`
		}
	}
}

// differs lists the captures where tshark continues reading and this package stops on purpose.
var differs = map[string]string{
	"dns-stats+compactor/test-scripts/malformed.pcap":             "tshark takes six bytes on port 53 for a message; here a header is twelve",
	"the-tcpdump-group+tcpdump/tests/dns_fwdptr.pcap":             "the question's name points forwards",
	"ntop+nDPI/tests/cfgs/default/pcap/fuzz-2006-06-26-2594.pcap": "fuzzed questions: forward pointers, unknown label types, headers cut short",
}

func TestCorpusAgainstTruth(t *testing.T) {
	compared := 0
	captures(t, func(rel string) {
		var want truth
		b, err := os.ReadFile(corpus + "/truth/" + rel + ".json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		msgs := payloads(t, filepath.Join(corpus, rel))
		if want.DNS.Messages == 0 || want.DNS.Transport["tcp"] > 0 || len(msgs) != want.DNS.Messages || differs[rel] != "" {
			return // this package does not do TCP or reassembly
		}
		compared++
		compareTruth(t, rel, &want, msgs)
	})
	if compared < 75 {
		t.Errorf("only %d captures were compared", compared)
	}
}

func compareTruth(t *testing.T, rel string, want *truth, msgs [][]byte) {
	var m Message
	opcode, rcode, qtype, qclass := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	names, flags := map[string]bool{}, map[string]int{}
	questions := 0
	for _, b := range msgs {
		m.Parse(b)
		m.ParseEDNS(b)
		opcode[strconv.Itoa(int(m.Opcode()))]++
		if m.Response() {
			rcode[RcodeName(uint16(m.Rcode()))]++
		}
		if m.HasQuestion {
			questions++
			if name := TypeName(m.QType); want.DNS.Qtype.All[name] > 0 {
				qtype[name]++
			} else { // truth names only common types
				qtype["TYPE"+strconv.Itoa(int(m.QType))]++
			}
			qclass[strconv.Itoa(int(m.QClass))]++
			names[string(AppendName(nil, m.Name()))] = true
		}
		for k, is := range map[string]bool{"tc_bit": m.Has(FlagTC), "replies_aa": m.Has(FlagAA | FlagResponse),
			"queries_rd": m.Has(FlagRD) && !m.Response(), "edns": m.EDNS, "edns_do": m.DO(), "ecs": m.HasECS} {
			if is {
				flags[k]++
			}
		}
	}
	same := func(what string, got, want map[string]int) {
		for k := range want {
			if got[k] != want[k] {
				t.Errorf("%s: %s %s: %d, want %d", rel, what, k, got[k], want[k])
			}
		}
		for k := range got {
			if _, ok := want[k]; !ok {
				t.Errorf("%s: %s %s: %d, want none", rel, what, k, got[k])
			}
		}
	}
	if questions != want.DNS.Questions {
		t.Errorf("%s: %d questions, want %d", rel, questions, want.DNS.Questions)
	}
	same("opcode", opcode, want.DNS.Opcode)
	same("rcode", rcode, want.DNS.Rcode)
	same("qtype", qtype, want.DNS.Qtype.All)
	same("qclass", qclass, want.DNS.Qclass)
	for k := range flags {
		if flags[k] != want.DNS.Flags[k] {
			t.Errorf("%s: flag %s: %d, want %d", rel, k, flags[k], want.DNS.Flags[k])
		}
	}
	if len(names) != want.DNS.Distinct.All {
		t.Errorf("%s: %d names, want %d", rel, len(names), want.DNS.Distinct.All)
	}
	for _, n := range want.DNS.Qnames.List {
		// tshark escapes differently, and does not escape dots at all.
		ordinary := strings.IndexFunc(n, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`\"();@$`, c) }) < 0
		if ordinary && !names[n] {
			t.Errorf("%s: name %q is missing", rel, n)
		}
	}
}
