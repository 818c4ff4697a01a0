package dnswire

import (
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/net/dns/dnsmessage"
)

const benchName = "www.Example-Service.co.uk."

func BenchmarkParse(b *testing.B) {
	msg := query(b, benchName, dns.TypeA)
	b.SetBytes(int64(len(msg)))
	var m Message
	for b.Loop() {
		m.Parse(msg)
	}
}

func BenchmarkParseEDNSQuery(b *testing.B) {
	msg := query(b, benchName, dns.TypeA)
	b.SetBytes(int64(len(msg)))
	var m Message
	for b.Loop() {
		m.Parse(msg)
		m.ParseEDNS(msg)
	}
}

func BenchmarkParseEDNSResponse(b *testing.B) {
	msg := response(b, benchName, 6)
	b.SetBytes(int64(len(msg)))
	var m Message
	for b.Loop() {
		m.Parse(msg)
		m.ParseEDNS(msg)
	}
}

func BenchmarkAppendName(b *testing.B) {
	var m Message
	m.Parse(query(b, benchName, dns.TypeA))
	dst := make([]byte, 0, 4*MaxName)
	for b.Loop() {
		dst = AppendName(dst[:0], m.Name())
	}
}

func BenchmarkQname23(b *testing.B) {
	var m Message
	m.Parse(query(b, benchName, dns.TypeA))
	for b.Loop() {
		Qname2(m.Name())
		Qname3(m.Name())
	}
}

// These benchmarks measure what other libraries take for header and first question, or for the whole message.

func BenchmarkMiekgQuery(b *testing.B) {
	msg := query(b, benchName, dns.TypeA)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		var m dns.Msg
		if err := m.Unpack(msg); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDnsmessageQuestion(b *testing.B) {
	msg := query(b, benchName, dns.TypeA)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	var p dnsmessage.Parser
	for b.Loop() {
		if _, err := p.Start(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Question(); err != nil {
			b.Fatal(err)
		}
	}
}
