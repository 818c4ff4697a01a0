package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Answers is what another program, tshark, says about a capture. The IP counts are for the outermost IP header. The
// DNS counts are for the DNS that directly follows it, on port 53 unless the truth says otherwise, with fragments and
// TCP streams reassembled.
type Answers struct {
	Packets, Bytes      uint64
	IPv4, IPv6, NonIP   uint64
	UDP, TCP, OtherL4   uint64 // by the protocol number; OtherL4 includes NonIP
	TCPSyn, TCPSynAck   uint64 // without and with ACK
	SrcIPs, DstIPs      uint64 // distinct
	TopSrcIPs           []Row  // the 10 largest, in packets
	Messages            uint64
	Queries, Replies    uint64
	DNSUDP, DNSTCP      uint64
	DNSIPv4, DNSIPv6    uint64
	Truncated, Nodata   uint64
	EDNS, ECS           uint64
	WithQuestion        uint64 // messages with a first question
	Qnames              uint64 // distinct
	Rcodes, Qtypes      map[string]uint64
	TopQnames           []Row // the 10 largest, in messages; then in replies of the rcode
	TopNXDomain         []Row
	TopServfail         []Row
	TopRefused          []Row
	PairsTShark         uint64 // transactions: tshark's own pairing
	PairsSimple         uint64 // paired by addresses, ports, transport and ID, the latest query first, without timeout
	PairsSameQname      uint64 // of PairsSimple, those with the same name
	QueriesWithoutReply uint64 // in the simple pairing
	RepliesWithoutQuery uint64
}

// TruthFile is a file of the corpus's truth folder. truth.py, beside it, makes these files and describes the fields
// in its first lines.
type TruthFile struct {
	File     string `json:"file"`
	DNSPorts []int  `json:"dns_ports"`
	Status   map[string]struct {
		RC     int    `json:"rc"`
		Stderr string `json:"stderr"`
	} `json:"tshark_status"`
	Packets       uint64 `json:"packets"`
	BytesWire     uint64 `json:"bytes_wire"`
	BytesCaptured uint64 `json:"bytes_captured"`
	CutBySnaplen  uint64 `json:"packets_cut_by_snaplen"`
	Time          struct {
		FirstRecord *float64 `json:"first_record"`
		Min, Max    *float64
		Backwards   uint64 `json:"records_going_back_in_time"`
	} `json:"time"`
	FrameLen         map[string]*float64 `json:"frame_len"`
	PacketsPerSecond map[string]*float64 `json:"packets_per_epoch_second_nonempty"`
	Net              TruthNet            `json:"net"`
	DNS              TruthDNS            `json:"dns"`
	Frames           map[string]uint64   `json:"frames_by_protocol"`
}

// TruthNet is the part of a [TruthFile] about IP.
type TruthNet struct {
	IPv4        uint64            `json:"ipv4"`
	IPv6        uint64            `json:"ipv6"`
	NonIP       uint64            `json:"non_ip"`
	L4Field     map[string]uint64 `json:"l4_field"`
	L4Dissected map[string]uint64 `json:"l4_dissected"`
	TCPSyn      uint64            `json:"tcp_syn"`
	TCPSynAck   uint64            `json:"tcp_syn_ack"`
	DistinctSrc map[string]uint64 `json:"distinct_src_ips"`
	DistinctDst map[string]uint64 `json:"distinct_dst_ips"`
	SrcIPs      TruthList         `json:"src_ips"`
	DstIPs      TruthList         `json:"dst_ips"`
	TopSrc      []TruthRow        `json:"top10_src_ip_packets"`
	TopDst      []TruthRow        `json:"top10_dst_ip_packets"`
	TopEither   []TruthRow        `json:"top10_ip_packets_either_side"`
	TopSrcBytes []TruthRow        `json:"top10_src_ip_bytes"`
	TopPairs    []TruthRow        `json:"top10_ip_pairs_packets"`
	TopSrcPort  []TruthRow        `json:"top10_src_port"`
	TopDstPort  []TruthRow        `json:"top10_dst_port"`
}

// TruthDNS is the part of a [TruthFile] about DNS.
type TruthDNS struct {
	Messages       uint64                       `json:"messages"`
	Queries        uint64                       `json:"queries"`
	Replies        uint64                       `json:"replies"`
	Undecodable    uint64                       `json:"undecodable_on_port_53"`
	Encapsulated   uint64                       `json:"encapsulated_messages"`
	ICMPQuoted     uint64                       `json:"icmp_quoted_messages"`
	WithQuestion   uint64                       `json:"messages_with_question"`
	Transport      map[string]uint64            `json:"transport"`
	Opcode         map[string]uint64            `json:"opcode"`
	Rcode          map[string]uint64            `json:"rcode"`
	Qtype          map[string]map[string]uint64 `json:"qtype"`
	Qclass         map[string]uint64            `json:"qclass"`
	Qdcount        map[string]uint64            `json:"qdcount"`
	RRTypes        map[string]uint64            `json:"rr_types"`
	EDNSOptions    map[string]uint64            `json:"edns_option_codes"`
	Flags          map[string]uint64            `json:"flags"`
	DistinctQnames map[string]uint64            `json:"distinct_qnames"`
	Qnames         TruthList                    `json:"qnames"`
	Clients        uint64                       `json:"distinct_clients"`
	Servers        uint64                       `json:"distinct_servers"`
	TopQname       []TruthRow                   `json:"top10_qname"`
	TopQuery       []TruthRow                   `json:"top10_qname_queries"`
	TopNXDomain    []TruthRow                   `json:"top10_qname_nxdomain"`
	TopServfail    []TruthRow                   `json:"top10_qname_servfail"`
	TopRefused     []TruthRow                   `json:"top10_qname_refused"`
	TopClients     []TruthRow                   `json:"top10_clients"`
	TopServers     []TruthRow                   `json:"top10_servers"`
	Xact           struct {
		TShark TruthXact `json:"tshark"`
		Simple TruthXact `json:"simple"`
	} `json:"xact"`
}

// TruthXact is one way to pair queries and replies. Times are in microseconds.
type TruthXact struct {
	Pairs               uint64                     `json:"pairs"`
	SameQname           uint64                     `json:"pairs_same_qname"`
	QueriesWithoutReply uint64                     `json:"queries_without_reply"`
	RepliesWithoutQuery uint64                     `json:"replies_without_query"`
	Micros              map[string]json.RawMessage `json:"time_us"`
}

// TruthList is a list of distinct strings. It is complete unless Truncated is set.
type TruthList struct {
	List      []string `json:"list"`
	Truncated bool     `json:"list_truncated"`
}

// TruthRow is a row of a table in a truth file: a JSON array of name and count.
type TruthRow Row

// UnmarshalJSON reads the array of name and count.
func (r *TruthRow) UnmarshalJSON(b []byte) error {
	pair := [2]any{&r.Name, &r.Count}
	return json.Unmarshal(b, &pair)
}

// LoadTruth reads a truth file.
func LoadTruth(path string) (*TruthFile, error) {
	t := new(TruthFile)
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, t)
	}
	if err != nil {
		return nil, fmt.Errorf("truth %s: %w", path, err)
	}
	return t, nil
}

// CorpusCapture is a capture of the corpus that has a truth file.
type CorpusCapture struct {
	Name  string // path below the corpus
	Path  string
	Truth *TruthFile // with DNS on port 53
	// PortsTruth counts DNS on ports 53, 5353, 5355 and 53000. It is nil if there is no such truth file.
	PortsTruth *TruthFile
}

// CorpusCaptures lists the captures of the corpus that have a truth file, ordered by name. It skips the test if there
// is no corpus.
func CorpusCaptures(tb testing.TB) []CorpusCapture {
	tb.Helper()
	corpus := Corpus(tb)
	root := filepath.Join(corpus, "truth")
	var list []CorpusCapture
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		name, isTruth := strings.CutSuffix(path, ".json")
		if err != nil || !isTruth || strings.HasSuffix(name, ".pvports") {
			return err
		}
		if name, err = filepath.Rel(root, name); err != nil {
			return err
		}
		c := CorpusCapture{Name: name, Path: filepath.Join(corpus, name)}
		if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if c.Truth, err = LoadTruth(path); err != nil || len(c.Truth.DNSPorts) == 0 { // without ports it is the truth about a dnstap file
			return err
		}
		if c.PortsTruth, err = LoadTruth(filepath.Join(root, name+".pvports.json")); errors.Is(err, fs.ErrNotExist) {
			c.PortsTruth = nil
		} else if err != nil {
			return err
		}
		list = append(list, c)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// Answers returns the fields that can be compared with a summary.
func (t *TruthFile) Answers() *Answers {
	n, d := &t.Net, &t.DNS
	return &Answers{
		Packets: t.Packets, Bytes: t.BytesWire, IPv4: n.IPv4, IPv6: n.IPv6, NonIP: n.NonIP,
		UDP: n.L4Field["udp"], TCP: n.L4Field["tcp"], OtherL4: n.L4Field["other"], TCPSyn: n.TCPSyn, TCPSynAck: n.TCPSynAck,
		SrcIPs: n.DistinctSrc["total"], DstIPs: n.DistinctDst["total"], TopSrcIPs: rows(n.TopSrc),
		Messages: d.Messages, Queries: d.Queries, Replies: d.Replies,
		DNSUDP: d.Transport["udp"], DNSTCP: d.Transport["tcp"], DNSIPv4: d.Transport["ipv4"], DNSIPv6: d.Transport["ipv6"],
		Truncated: d.Flags["tc_bit"], Nodata: d.Flags["replies_noerror_empty_answer"], EDNS: d.Flags["edns"], ECS: d.Flags["ecs"],
		WithQuestion: d.WithQuestion, Qnames: d.DistinctQnames["all"], Rcodes: d.Rcode, Qtypes: d.Qtype["all"],
		TopQnames: rows(d.TopQname), TopNXDomain: rows(d.TopNXDomain), TopServfail: rows(d.TopServfail), TopRefused: rows(d.TopRefused),
		PairsTShark: d.Xact.TShark.Pairs, PairsSimple: d.Xact.Simple.Pairs, PairsSameQname: d.Xact.Simple.SameQname,
		QueriesWithoutReply: d.Xact.Simple.QueriesWithoutReply, RepliesWithoutQuery: d.Xact.Simple.RepliesWithoutQuery,
	}
}

func rows(t []TruthRow) []Row {
	var r []Row
	for _, x := range t {
		r = append(r, Row(x))
	}
	return r
}

// The names of files with answers end so, behind the name of the capture. The second is of those about the innermost
// packets of tunnels.
const (
	AnswersSuffix      = ".answers.json"
	DecapAnswersSuffix = ".decap.answers.json"
)

// LoadAnswers reads the answers about one of the project's own captures, from NAME.answers.json beside the capture.
func LoadAnswers(path string) (*Answers, error) {
	a := new(Answers)
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, a)
	}
	if err != nil {
		return nil, fmt.Errorf("answers %s: %w", path, err)
	}
	return a, nil
}

// OwnCapture is a capture of the project's own, in testdata/captures or testdata/synthetic.
type OwnCapture struct {
	Name    string // path below testdata
	Path    string
	Answers *Answers // tshark's, about the outermost packets
	Decap   *Answers // the same about the innermost ones; nil for captures without tunnels
}

// OwnCaptures lists the captures in testdata/captures and testdata/synthetic, by name.
func OwnCaptures(tb testing.TB) []OwnCapture {
	tb.Helper()
	root := filepath.Join(RepoRoot(tb), "testdata")
	files, err := filepath.Glob(filepath.Join(root, "*", "*"+AnswersSuffix))
	if err != nil {
		tb.Fatal(err)
	}
	var list []OwnCapture
	for _, f := range files {
		if strings.HasSuffix(f, DecapAnswersSuffix) {
			continue
		}
		path := strings.TrimSuffix(f, AnswersSuffix)
		c := OwnCapture{Path: path, Name: filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)}
		if c.Answers, err = LoadAnswers(f); err != nil {
			tb.Fatal(err)
		}
		if c.Decap, err = LoadAnswers(path + DecapAnswersSuffix); errors.Is(err, fs.ErrNotExist) {
			c.Decap = nil
		} else if err != nil {
			tb.Fatal(err)
		}
		list = append(list, c)
	}
	if len(list) < 40 {
		tb.Fatalf("%d captures in %s, want at least 40", len(list), root)
	}
	return list
}
