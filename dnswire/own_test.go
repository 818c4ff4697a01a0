package dnswire

import (
	"path/filepath"
	"strings"
	"testing"

	"pktvisor/internal/testkit"
)

// ownDisagreements are tshark's answers about our own captures that this package does not share.
var ownDisagreements = map[string]string{
	"synthetic/link-80211.pcap":    "gopacket, which reads the frames, takes the last four bytes of each for its checksum",
	"synthetic/dns-malformed.pcap": "tshark counts a payload of 7 bytes, which has no DNS header, and the type of a question whose name is a pointer to itself",
}

// TestOwnCaptures compares the messages over UDP of the project's own captures with what miekg/dns and tshark say of them.
func TestOwnCaptures(t *testing.T) {
	messages, compared := 0, 0
	for _, c := range testkit.OwnCaptures(t) {
		if strings.HasSuffix(c.Path, ".zst") || strings.HasSuffix(c.Path, ".snoop") {
			continue // not what the test's reader reads
		}
		msgs := payloads(t, filepath.FromSlash(c.Path))
		for _, b := range msgs {
			messages++
			if s := disagreement(b); s != "" {
				t.Errorf("%s: %s\n%x", c.Name, s, b)
			}
		}
		if c.Answers.DNSTCP > 0 || len(msgs) != int(c.Answers.Messages) || ownDisagreements[c.Name] != "" {
			continue // TCP and reassembly are not this package's
		}
		compared++
		checkAnswers(t, c.Name, c.Answers, msgs)
	}
	if messages < 5000 || compared < 20 {
		t.Errorf("only %d messages were found, and %d captures compared with tshark", messages, compared)
	}
}

// checkAnswers compares messages with what tshark says of all of them together.
func checkAnswers(t *testing.T, name string, want *testkit.Answers, msgs [][]byte) {
	t.Helper()
	var m Message
	var got testkit.Answers
	rcodes, qtypes, names := map[string]uint64{}, map[string]uint64{}, map[string]bool{}
	for _, b := range msgs {
		m.Parse(b)
		m.ParseEDNS(b)
		if m.Response() {
			got.Replies++
			rcodes[RcodeName(uint16(m.Rcode()))]++
		} else {
			got.Queries++
		}
		if m.HasQuestion {
			got.WithQuestion++
			qtypes[TypeName(m.QType)]++
			names[string(AppendName(nil, m.Name()))] = true
		}
		if m.Has(FlagTC) {
			got.Truncated++
		}
		if m.EDNS {
			got.EDNS++
		}
		if m.HasECS {
			got.ECS++
		}
	}
	if got.Replies != want.Replies || got.Queries != want.Queries || got.WithQuestion != want.WithQuestion || got.Truncated != want.Truncated ||
		got.EDNS != want.EDNS || got.ECS != want.ECS || len(names) != int(want.Qnames) {
		t.Errorf("%s: got %+v with %d names, tshark says %+v", name, got, len(names), want)
	}
	for code, n := range want.Rcodes {
		if rcodes[code] != n {
			t.Errorf("%s: %d responses with %s, tshark says %d", name, rcodes[code], code, n)
		}
	}
	for qtype, n := range want.Qtypes {
		if qtypes[qtype] != n && !strings.HasPrefix(qtype, "TYPE") { // tshark's answers name common types only
			t.Errorf("%s: %d messages of type %s, tshark says %d", name, qtypes[qtype], qtype, n)
		}
	}
	for _, row := range want.TopQnames {
		if !names[row.Name] && row.Name != "" {
			t.Errorf("%s: name %q is missing", name, row.Name)
		}
	}
}
