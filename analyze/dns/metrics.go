// Package dns is the analyzer of DNS over UDP and TCP. It counts messages by transport, direction and rcode, names, types,
// and transactions with their latencies.
//
// The unit of wire_packets is the DNS message. A TCP segment may hold several messages, or a part of one. A transaction is a
// query paired with its response by addresses, ports, transport, ID and question. It is "in" if its server is in the host
// subnets, and "out" if its client is.
package dns

import "pktvisor/metric"

// Counters are the plain counts. Each shard counts in its own Counters and adds them to the bucket at the flush.
type Counters struct {
	Total       metric.Counter `metric:"wire_packets.total" title:"DNS messages" sample:"seen" unit:"messages" help:"DNS messages, identified by their header."`
	Queries     metric.Counter `metric:"wire_packets.queries" title:"Query" unit:"messages" help:"Queries: messages without the QR bit."`
	Replies     metric.Counter `metric:"wire_packets.replies" title:"Response" unit:"messages" help:"Responses: messages with the QR bit."`
	TCP         metric.Counter `metric:"wire_packets.tcp" title:"TCP" unit:"messages" help:"Messages over TCP."`
	UDP         metric.Counter `metric:"wire_packets.udp" title:"UDP" unit:"messages" help:"Messages over UDP."`
	IPv4        metric.Counter `metric:"wire_packets.ipv4" title:"IPv4" unit:"messages" help:"Messages over IPv4."`
	IPv6        metric.Counter `metric:"wire_packets.ipv6" title:"IPv6" unit:"messages" help:"Messages over IPv6."`
	In          metric.Counter `metric:"wire_packets.in" title:"In" unit:"messages" help:"Messages to the host subnets."`
	Out         metric.Counter `metric:"wire_packets.out" title:"Out" unit:"messages" help:"Messages from the host subnets to other addresses."`
	UnknownDir  metric.Counter `metric:"wire_packets.unknown_dir" title:"No direction" unit:"messages" help:"Messages neither to nor from the host subnets."`
	NXDomain    metric.Counter `metric:"wire_packets.nxdomain" title:"NXDOMAIN" unit:"messages" help:"Responses with rcode NXDOMAIN."`
	Refused     metric.Counter `metric:"wire_packets.refused" title:"REFUSED" unit:"messages" help:"Responses with rcode REFUSED."`
	ServFail    metric.Counter `metric:"wire_packets.srvfail" title:"SERVFAIL" unit:"messages" help:"Responses with rcode SERVFAIL."`
	NoError     metric.Counter `metric:"wire_packets.noerror" title:"NOERROR" unit:"messages" help:"Responses with rcode NOERROR."`
	OtherRcode  metric.Counter `metric:"wire_packets.other_rcode" title:"Other rcode" unit:"messages" help:"Responses with any other rcode, including those of EDNS."`
	NoData      metric.Counter `metric:"wire_packets.nodata" title:"NODATA" unit:"messages" help:"Responses to queries with rcode NOERROR, no answer and no TC bit, except referrals. The name exists, but not with this type."`
	Referrals   metric.Counter `metric:"wire_packets.referrals" title:"Referrals" unit:"messages" help:"Referrals: responses to queries with rcode NOERROR, no answer, no TC and no AA bit, and with NS but no SOA records in the authority section (RFC 2308, 2.2). A response that the capture cut before these records counts neither as NODATA nor as a referral."`
	Truncated   metric.Counter `metric:"wire_packets.truncated" title:"Cut (TC)" unit:"messages" help:"Responses with the TC bit."`
	Filtered    metric.Counter `metric:"wire_packets.filtered" title:"Filtered" unit:"messages" help:"Messages that the filter of the policy rejected. They count nowhere else. 0 without a filter."`
	EDNS        metric.Counter `metric:"wire_packets.edns" title:"EDNS" unit:"messages" help:"Messages with an OPT record (RFC 6891)."`
	ECS         metric.Counter `metric:"wire_packets.ecs" title:"Subnet" unit:"messages" help:"Messages with an EDNS client subnet (RFC 7871)."`
	OtherOpcode metric.Counter `metric:"wire_packets.other_opcode" title:"Other opcode" unit:"messages" help:"Messages with an opcode other than QUERY."`
	OtherClass  metric.Counter `metric:"wire_packets.other_class" title:"Not IN" unit:"messages" help:"Messages whose question is of a class other than IN."`
	NoQuestion  metric.Counter `metric:"wire_packets.no_question" title:"No question" unit:"messages" help:"Messages without a question that could be read."`
	Malformed   metric.Counter `metric:"wire_packets.malformed" title:"Malformed" unit:"messages" help:"Messages whose header is complete, but whose records are cut off or violate RFC 1035."`
	NotDNS      metric.Counter `metric:"not_dns" title:"Not DNS" unit:"packets" help:"Payloads on a DNS port whose wire length is too short for a DNS header."`
	HeaderCut   metric.Counter `metric:"header_cut" unit:"packets" help:"Payloads on a DNS port whose DNS header was not captured. They do not count as DNS messages. Use a longer snapshot length."`
	DeepSamples metric.Counter `metric:"deep_samples" title:"Deep samples" sample:"taken" unit:"messages" help:"Messages that were analysed in depth. Names, tables and transactions count only these."`

	Xacts            metric.Counter `metric:"xact.counts.total" title:"Transactions" unit:"transactions" help:"Queries paired with their first response."`
	Timeouts         metric.Counter `metric:"xact.counts.timeouts" title:"Timeouts" unit:"queries" help:"Queries that got no response in time. A query that was sent several times counts once, when its timeout ends."`
	Orphans          metric.Counter `metric:"xact.counts.orphans" title:"Orphans" unit:"responses" help:"Responses without a query. The query was not seen or was evicted, or the response came after its timeout. An orphan counts when no query has come within a second, or at the end of a file."`
	Repeats          metric.Counter `metric:"xact.counts.repeats" title:"Repeated queries" unit:"queries" help:"Queries that were sent or seen again while the same query was waiting. They belong to its transaction."`
	ResponseRepeats  metric.Counter `metric:"xact.counts.response_repeats" title:"Repeated responses" unit:"responses" help:"Further responses to a query within the timeout after the first response. They were seen twice, sent again because the query was repeated, or forged. Only the first response counts for the transaction."`
	TransferMessages metric.Counter `metric:"xact.counts.transfer_messages" title:"Transfer messages" unit:"responses" help:"Further messages of a zone transfer (AXFR, IXFR over TCP), each within the timeout after the previous one. They belong to its transaction."`
	Evicted          metric.Counter `metric:"xact.counts.evicted" title:"Evicted" unit:"queries" help:"Queries that were dropped from the table before their timeout, because too many were waiting. They are neither timeouts nor transactions. A response to such a query is an orphan."`
	Open             metric.Counter `metric:"xact.counts.open" title:"Open at the end" unit:"queries" help:"Queries that were still waiting at the end of the capture or of a loop of a replayed file."`
	InTotal          metric.Counter `metric:"xact.in.total" title:"Xacts in" unit:"transactions" help:"Transactions whose server is the host."`
	InTimeouts       metric.Counter `metric:"xact.in.timeouts" title:"Timeouts in" unit:"queries" help:"Queries to the host that it did not answer in time."`
	InOrphans        metric.Counter `metric:"xact.in.orphans" title:"Orphans in" unit:"responses" help:"Orphans that the host sent."`
	OutTotal         metric.Counter `metric:"xact.out.total" title:"Xacts out" unit:"transactions" help:"Transactions whose client is the host."`
	OutTimeouts      metric.Counter `metric:"xact.out.timeouts" title:"Timeouts out" unit:"queries" help:"Queries by the host that got no response in time."`
	OutOrphans       metric.Counter `metric:"xact.out.orphans" title:"Orphans out" unit:"responses" help:"Orphans that came to the host."`
	XactAD           metric.Counter `metric:"xact.ad" title:"AD" unit:"transactions" help:"Transactions whose response has the AD bit: authentic data."`
	XactAA           metric.Counter `metric:"xact.aa" title:"AA" unit:"transactions" help:"Transactions whose response has the AA bit: authoritative."`
	XactCD           metric.Counter `metric:"xact.cd" title:"CD" unit:"transactions" help:"Transactions whose response has the CD bit: checking disabled."`

	Gaps           metric.Counter `metric:"tcp.gaps" title:"TCP gaps" unit:"gaps" help:"Gaps in TCP streams where messages may be missing: a message whose header was not captured, missing bytes where a message may start, bytes that cannot be DNS, or a stream that was evicted in the middle of a message."`
	TCPIncomplete  metric.Counter `metric:"tcp.incomplete" title:"TCP incomplete" unit:"messages" help:"Messages over TCP whose header was captured but whose end was not, or did not come in time. The captured part counts."`
	TCPEvicted     metric.Counter `metric:"tcp.evicted" title:"TCP evicted" unit:"streams" help:"TCP streams that were evicted in the middle of a message, because others needed the memory."`
	FragIncomplete metric.Counter `metric:"fragments.incomplete" unit:"datagrams" help:"Fragmented datagrams on a DNS port that could not be reassembled, because fragments were missing, cut, or late. The captured part of the message counts."`
	FragHeadless   metric.Counter `metric:"fragments.headless" unit:"datagrams" help:"Datagrams of which only later IP fragments were captured. It is not known whether they are DNS."`
	FragEvicted    metric.Counter `metric:"fragments.evicted" unit:"datagrams" help:"Incomplete and headless datagrams that were evicted early, because others needed the memory or they had too many fragments."`
}

// Metrics are all metrics of the analyzer.
type Metrics struct {
	_ metric.Object `metric:"" title:"DNS" help:"DNS over UDP and TCP. All counts are of messages: a TCP segment may hold several messages or a part of one."`
	_ metric.Object `metric:"wire_packets" help:"DNS messages on the wire."`
	_ metric.Object `metric:"xact" help:"Transactions: queries paired with their responses."`
	_ metric.Object `metric:"xact.counts" help:"All transactions, whatever their direction."`
	_ metric.Object `metric:"xact.in" help:"Transactions whose server is the host."`
	_ metric.Object `metric:"xact.out" help:"Transactions whose client is the host."`
	_ metric.Object `metric:"xact.unknown" help:"Transactions neither to nor from the host."`
	_ metric.Object `metric:"xact.ratio" help:"Sizes of responses divided by the sizes of their queries."`
	_ metric.Object `metric:"tcp" help:"Streams of DNS over TCP."`
	_ metric.Object `metric:"fragments" help:"Datagrams in IP fragments."`
	_ metric.Object `metric:"cardinality" help:"Numbers of distinct names."`
	_ metric.Object `metric:"clients" help:"Distinct clients of the host, and those without direction, by the length of their prefix. A client is the sender of a query. What the host asks others does not count."`
	_ metric.Object `metric:"rates" help:"Rates over the seconds of the period."`

	Counters

	Waiting metric.Gauge `metric:"xact.open" title:"Open" show:"now" unit:"queries" help:"Queries that wait for their response."`

	Qnames metric.Cardinality `metric:"cardinality.qname" title:"QNames" unit:"names" help:"Distinct names in questions."`
	Rate   metric.Rate        `metric:"rates.total" title:"Messages/s" prom:"rates.all" unit:"messages/s" help:"DNS messages a second."`

	InMicros      metric.Histogram `metric:"xact.in.quantiles_us" title:"Latency in" prom:"xact.in" unit:"us" help:"Time from query to response of transactions whose server is the host."`
	OutMicros     metric.Histogram `metric:"xact.out.quantiles_us" title:"Latency out" prom:"xact.out" unit:"us" help:"Time from query to response of transactions whose client is the host."`
	UnknownMicros metric.Histogram `metric:"xact.unknown.quantiles_us" title:"Latency, no direction" prom:"xact.unknown" unit:"us" help:"Time from query to response of transactions neither to nor from the host."`
	Ratio         metric.Histogram `metric:"xact.ratio.quantiles" title:"Resp/query" prom:"xact.ratio" unit:"ratio" scale:"0.001" help:"Size of a transaction's response divided by the size of its query."`
	ResponseSize  metric.Histogram `metric:"response_size" sample:"all" title:"Response" unit:"bytes" help:"Size of responses as DNS messages on the wire. Covers all responses, sampled or not."`

	SlowIn  metric.Top `metric:"xact.in.top_slow" title:"Slow In" unit:"transactions" slots:"4096" group:"slow" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of slow transactions whose server is the host: at or above the p90 of the window so far."`
	SlowOut metric.Top `metric:"xact.out.top_slow" title:"Slow Out" unit:"transactions" slots:"4096" group:"slow" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of slow transactions whose client is the host: at or above the p90 of the window so far."`

	TopQname2        metric.Top      `metric:"top_qname2" title:"Top QName 2" unit:"messages" group:"qname" label:"qname" holds:"name" help:"Last two labels of names, in queries and responses."`
	TopQname3        metric.Top      `metric:"top_qname3" title:"Top QName 3" unit:"messages" group:"qname" label:"qname" holds:"name" help:"Last three labels of names, in queries and responses."`
	TopNXDomain      metric.Top      `metric:"top_nxdomain" title:"Top NX" unit:"messages" group:"rcode" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of NXDOMAIN responses."`
	TopRefused       metric.Top      `metric:"top_refused" title:"Top REFUSED" unit:"messages" slots:"4096" group:"rcode" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of REFUSED responses."`
	TopServFail      metric.Top      `metric:"top_srvfail" title:"Top SERVFAIL" unit:"messages" slots:"4096" group:"rcode" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of SERVFAIL responses."`
	TopNoData        metric.Top      `metric:"top_nodata" title:"Top NODATA" unit:"messages" slots:"4096" group:"rcode" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of responses without data."`
	TopNoError       metric.Top      `metric:"top_noerror" title:"Top NOERROR" unit:"messages" group:"rcode" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of NOERROR responses."`
	TopTimeout       metric.Top      `metric:"top_timeout" title:"Unanswered" unit:"queries" slots:"4096" group:"slow" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names of queries that got no response in time."`
	TopResponseBytes metric.Top      `metric:"top_response_bytes" title:"Response Bytes" unit:"bytes" group:"qname" label:"qname" holds:"name" fold:"top_zones3,top_zones2,top_zones" help:"Names whose responses have the most bytes."`
	TopZones         metric.Distinct `metric:"top_zones" title:"Zones by Names" unit:"names" group:"zones" label:"zone" holds:"name" help:"Registered domains by distinct names below them in questions: the name below a public suffix, by the ICANN section of the public suffix list."`
	TopZones2        metric.Distinct `metric:"top_zones2" title:"Zones 2 by Names" unit:"names" slots:"2048" group:"zones" label:"zone" holds:"name" help:"Last two labels by distinct names below them in questions."`
	TopZones3        metric.Distinct `metric:"top_zones3" title:"Zones 3 by Names" unit:"names" slots:"2048" group:"zones" label:"zone" holds:"name" help:"Last three labels by distinct names below them in questions."`
	TopZoneBits      metric.Distinct `metric:"top_zone_bits" prom:"top_zone_information" title:"Zones by Information" unit:"bits" slots:"2048" group:"zones" label:"zone" holds:"name" help:"Registered domains by the information in distinct names below them: for each name, the entropy of the bytes of its labels below the registered domain, times their number. A tunnel is high up with few queries."`

	TopECS      metric.Top `metric:"top_ecs" title:"Client Subnets" unit:"queries" slots:"4096" group:"ecs" label:"ecs" holds:"address" help:"EDNS client subnets of queries."`
	TopRcode    metric.Top `metric:"top_rcode" title:"Top RCodes" unit:"messages" slots:"1024" label:"rcode" holds:"value" help:"Rcodes of responses, including those of EDNS."`
	TopQtype    metric.Top `metric:"top_qtype" title:"Top QTypes" unit:"messages" slots:"1024" label:"qtype" holds:"value" help:"Types of first questions, in queries and responses."`
	TopOpcode   metric.Top `metric:"top_opcode" title:"Top Opcodes" unit:"messages" slots:"64" label:"opcode" holds:"value" help:"Opcodes of queries and responses."`
	TopUDPPorts metric.Top `metric:"top_udp_ports" title:"Top DNS UDP Ports" unit:"messages" group:"ports" label:"port" holds:"value" help:"Clients' UDP ports, in queries and responses."`

	TopAmpPrefix metric.Amplification `metric:"top_amp_prefix" title:"Amplified Nets" unit:"bytes" slots:"4096" group:"amplification" label:"prefix" holds:"address" help:"Client prefixes (/24 of IPv4, /48 of IPv6) that got the most bytes of responses over UDP, and the bytes of their queries. Bytes are of DNS messages, without headers of UDP and IP. Has queries to the host and their responses, those without direction, and responses to the host that it did not ask for. Sampled."`
	TopAmpQtype  metric.Amplification `metric:"top_amp_qtype" title:"Amplifying QTypes" unit:"bytes" slots:"256" group:"amplification" label:"qtype" holds:"value" help:"Types of the questions in the same messages, as far as these have one, with the bytes of the messages. Sampled."`
	TopAmpQname  metric.Amplification `metric:"top_amp_qname" title:"Amplifying QNames" unit:"bytes" slots:"4096" group:"amplification" label:"qname" holds:"name" help:"Names of the questions in the same messages, as far as these have one, with the bytes of the messages. Sampled."`

	TopClients              metric.Top `metric:"top_clients" title:"Top Clients" unit:"queries" slots:"4096" group:"clients" label:"client" holds:"address" help:"Addresses that sent the most queries to the host or without direction, sampled."`
	TopClientsNXDomain      metric.Top `metric:"top_clients_nxdomain" title:"Clients NX" unit:"messages" slots:"4096" group:"clients" label:"client" holds:"address" help:"Clients that got the most NXDOMAIN responses, sampled."`
	TopClientsTimeout       metric.Top `metric:"top_clients_timeout" title:"Clients unanswered" unit:"queries" slots:"4096" group:"clients" label:"client" holds:"address" help:"Clients with the most queries that got no response in time, sampled."`
	TopClientPrefix         metric.Top `metric:"top_client_prefix" title:"Top Client Nets" unit:"queries" slots:"4096" group:"clients" label:"prefix" holds:"address" help:"Client prefixes (/24 of IPv4, /48 of IPv6) that sent the most queries to the host or without direction, sampled."`
	TopClientPrefixNXDomain metric.Top `metric:"top_client_prefix_nxdomain" title:"Client Nets NX" unit:"messages" slots:"4096" group:"clients" label:"prefix" holds:"address" help:"Client prefixes that got the most NXDOMAIN responses, sampled."`
	TopClientPrefixTimeout  metric.Top `metric:"top_client_prefix_timeout" title:"Client Nets unanswered" unit:"queries" slots:"4096" group:"clients" label:"prefix" holds:"address" help:"Client prefixes with the most queries that got no response in time, sampled."`

	TopClientNames       metric.Distinct `metric:"top_client_names" title:"Clients by names" unit:"names" slots:"4096" group:"clients" label:"client" holds:"address" help:"Clients that asked for the most distinct names, sampled."`
	TopClientPrefixNames metric.Distinct `metric:"top_client_prefix_names" title:"Client Nets by names" unit:"names" slots:"4096" group:"clients" label:"prefix" holds:"address" help:"Client prefixes that asked for the most distinct names, sampled."`
	TopASClients         metric.Distinct `metric:"top_as_clients" title:"Clients by AS" unit:"addresses" slots:"4096" group:"geo" label:"asn" holds:"value" help:"Autonomous systems with the most distinct clients, sampled. Empty without a GeoIP database of networks."`

	ClientsV4n8   metric.Cardinality `metric:"clients.v4_8" title:"Clients IPv4 /8" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /8 prefixes of IPv4 clients, sampled."`
	ClientsV4n16  metric.Cardinality `metric:"clients.v4_16" title:"Clients IPv4 /16" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /16 prefixes of IPv4 clients, sampled."`
	ClientsV4n24  metric.Cardinality `metric:"clients.v4_24" title:"Clients IPv4 /24" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /24 prefixes of IPv4 clients, sampled."`
	ClientsV4n32  metric.Cardinality `metric:"clients.v4_32" title:"Clients IPv4" unit:"addresses" registers:"4096" group:"clients" help:"Distinct IPv4 clients, sampled."`
	ClientsV6n32  metric.Cardinality `metric:"clients.v6_32" title:"Clients IPv6 /32" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /32 prefixes of IPv6 clients, sampled."`
	ClientsV6n48  metric.Cardinality `metric:"clients.v6_48" title:"Clients IPv6 /48" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /48 prefixes of IPv6 clients, sampled."`
	ClientsV6n56  metric.Cardinality `metric:"clients.v6_56" title:"Clients IPv6 /56" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /56 prefixes of IPv6 clients, sampled."`
	ClientsV6n64  metric.Cardinality `metric:"clients.v6_64" title:"Clients IPv6 /64" unit:"prefixes" registers:"4096" group:"clients" help:"Distinct /64 prefixes of IPv6 clients, sampled."`
	ClientsV6n128 metric.Cardinality `metric:"clients.v6_128" title:"Clients IPv6" unit:"addresses" registers:"4096" group:"clients" help:"Distinct IPv6 clients, sampled."`
}

// Table is the declaration of the metrics.
var Table = metric.Define[Metrics]("dns")
