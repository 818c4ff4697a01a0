package policy

import (
	"net/netip"
	"time"
)

// Filter is a condition on the events of a policy. An event passes if it meets every condition that is given. The zero Filter
// lets every event pass. In a list, one match suffices.
type Filter struct {
	// BPF is an expression of the pcap-filter language about the frame. An empty one accepts every frame.
	BPF string
	// QNames are whole names, QNameSuffixes the ends of names at a label. Both are in lower case, without the last dot.
	QNames, QNameSuffixes []string
	// QTypes and Rcodes are the numbers of types and of response codes.
	QTypes, Rcodes []uint16
	// NotRcodes are the response codes that do not pass.
	NotRcodes []uint16
	// Queries and Responses let only these pass.
	Queries, Responses bool
	// Transports are udp and tcp.
	Transports []string
	// Directions are in, out and unknown, of the packet. XactDirections are those of the transaction.
	Directions, XactDirections []string
	// Clients and Servers are subnets.
	Clients, Servers []netip.Prefix
	// ASNs are numbers of the networks of the remote address. Places are the beginnings of its place, as the table of places
	// writes them. UnknownASN and UnknownPlace let only addresses pass that the databases do not have.
	ASNs                     []uint32
	Places                   []string
	UnknownASN, UnknownPlace bool
	// DNSSEC lets only responses pass that have a signature in the answer section.
	DNSSEC bool
	// Answers is the number of records in the answer section of a response. nil means any.
	Answers *int
	// SlowerThan is the least latency of a transaction. 0 means any.
	SlowerThan time.Duration
	// Messages are kinds of dnstap messages: auth, resolver, client, forwarder, stub, tool, update.
	Messages []string
	// Not are filters that must not let the event pass.
	Not []Filter
}
