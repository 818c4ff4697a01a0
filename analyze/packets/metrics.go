// Package packets is the analyzer of the network layer. It counts packets and bytes by protocol, IP version and direction,
// their rates and sizes, distinct addresses, and the addresses with the most packets, with their locations and networks.
package packets

import "pktvisor/metric"

// Counters are the plain counts. Each shard counts in its own Counters and adds them to the bucket at the flush.
type Counters struct {
	Total       metric.Counter `metric:"total" title:"Packets" sample:"seen" unit:"packets" help:"All packets."`
	UDP         metric.Counter `metric:"udp" title:"UDP" unit:"packets" help:"Packets whose IP protocol is UDP, including fragments. A later fragment counts like the first one of its datagram if that came before it."`
	TCP         metric.Counter `metric:"tcp" title:"TCP" unit:"packets" help:"Packets whose IP protocol is TCP, including fragments. A later fragment counts like the first one of its datagram if that came before it."`
	OtherL4     metric.Counter `metric:"other_l4" title:"Other" unit:"packets" help:"Packets that are neither TCP nor UDP, including those without IP."`
	IPv4        metric.Counter `metric:"ipv4" title:"IPv4" unit:"packets" help:"IPv4 packets."`
	IPv6        metric.Counter `metric:"ipv6" title:"IPv6" unit:"packets" help:"IPv6 packets."`
	NonIP       metric.Counter `metric:"non_ip" title:"Non-IP" unit:"packets" help:"Well-formed frames that do not carry IP, such as ARP."`
	Malformed   metric.Counter `metric:"malformed" unit:"packets" help:"Frames whose link-layer or IP header is cut off or inconsistent."`
	Unsupported metric.Counter `metric:"unsupported_link" title:"Bad link" unit:"packets" help:"Frames with a link layer that is not decoded."`
	In          metric.Counter `metric:"in" unit:"packets" help:"Packets to the host subnets."`
	Out         metric.Counter `metric:"out" unit:"packets" help:"Packets from the host subnets to other addresses."`
	UnknownDir  metric.Counter `metric:"unknown_dir" title:"No direction" unit:"packets" help:"Packets neither to nor from the host subnets, including those without IP."`
	Filtered    metric.Counter `metric:"filtered" title:"Filtered" unit:"packets" help:"Packets that the filter of the policy rejected. They count nowhere else. 0 without a filter."`
	DeepSamples metric.Counter `metric:"deep_samples" title:"Deep samples" sample:"taken" unit:"packets" help:"Packets that were analysed in depth. Tables and cardinalities count only these."`
	MalformedL4 metric.Counter `metric:"malformed_l4" title:"Malformed L4" unit:"packets" help:"Packets whose TCP or UDP header is cut off or inconsistent."`
	Fragments   metric.Counter `metric:"fragments" unit:"packets" help:"Packets that are fragments of an IP datagram."`
	TCPSyn      metric.Counter `metric:"protocol.tcp.syn" title:"TCP SYN" unit:"packets" help:"TCP segments that open a connection: SYN without ACK."`
	TCPSynAck   metric.Counter `metric:"protocol.tcp.syn_ack" title:"TCP SYN+ACK" unit:"packets" help:"TCP segments that accept a connection: SYN with ACK."`
	TCPRst      metric.Counter `metric:"protocol.tcp.rst" title:"TCP RST" unit:"packets" help:"TCP segments that reset a connection."`
	Late        metric.Counter `metric:"late" unit:"packets" help:"Packets that came after the minute of their timestamp was sealed. They count in the live minute, but not in the rates."`
	BytesTotal  metric.Counter `metric:"bytes.total" title:"Bytes" unit:"bytes" help:"Bytes on the wire of all frames, including the link layer."`
	BytesIn     metric.Counter `metric:"bytes.in" prom:"in" unit:"bytes" help:"Bytes on the wire of frames to the host subnets."`
	BytesOut    metric.Counter `metric:"bytes.out" prom:"out" unit:"bytes" help:"Bytes on the wire of frames from the host subnets."`
}

// Metrics are all metrics of the analyzer.
type Metrics struct {
	_ metric.Object `metric:"" title:"Packets" help:"The network layer: packets and bytes by protocol, IP version and direction, rates, sizes, and the busiest addresses with their locations."`
	_ metric.Object `metric:"protocol" help:"Counts by protocol."`
	_ metric.Object `metric:"protocol.tcp" help:"TCP segments by their flags."`
	_ metric.Object `metric:"bytes" help:"Bytes on the wire."`
	_ metric.Object `metric:"cardinality" help:"Numbers of distinct addresses."`
	_ metric.Object `metric:"rates" help:"Rates over the seconds of the period."`

	Counters

	SrcIPsIn  metric.Cardinality `metric:"cardinality.src_ips_in" title:"IPs in" unit:"addresses" help:"Distinct source addresses of packets to the host subnets."`
	DstIPsOut metric.Cardinality `metric:"cardinality.dst_ips_out" title:"IPs out" unit:"addresses" help:"Distinct destination addresses of packets from the host subnets."`

	PpsIn    metric.Rate `metric:"rates.pps_in" title:"In pps" alias:"in" unit:"packets/s" help:"Packets a second to the host subnets."`
	PpsOut   metric.Rate `metric:"rates.pps_out" title:"Out pps" alias:"out" unit:"packets/s" help:"Packets a second from the host subnets."`
	PpsTotal metric.Rate `metric:"rates.pps_total" title:"All pps" prom:"rates.pps_all" unit:"packets/s" help:"All packets a second."`
	BpsIn    metric.Rate `metric:"rates.bps_in" title:"In bps" unit:"bits/s" help:"Bits a second on the wire to the host subnets."`
	BpsOut   metric.Rate `metric:"rates.bps_out" title:"Out bps" unit:"bits/s" help:"Bits a second on the wire from the host subnets."`
	BpsTotal metric.Rate `metric:"rates.bps_total" title:"All bps" prom:"rates.bps_all" unit:"bits/s" help:"Bits a second on the wire, of all frames."`

	Size        metric.Histogram `metric:"size" sample:"all" title:"Packet size" unit:"bytes" help:"Length of frames on the wire, including the link layer."`
	PayloadSize metric.Histogram `metric:"payload_size" sample:"all" title:"Payload size" unit:"bytes" help:"Length of the payload of TCP and UDP packets on the wire."`

	TopIPv4   metric.Top `metric:"top_ipv4" title:"IPv4" unit:"packets" label:"ipv4" holds:"address" help:"Remote IPv4 addresses with the most packets to and from the host."`
	TopIPv6   metric.Top `metric:"top_ipv6" title:"IPv6" unit:"packets" label:"ipv6" holds:"address" help:"Remote IPv6 addresses with the most packets to and from the host."`
	TopGeoLoc metric.Top `metric:"top_geoLoc" title:"Top GeoLoc" unit:"packets" slots:"2048" group:"geo" label:"geo_loc" holds:"value" help:"GeoIP locations of the remote addresses with the most packets to and from the host."`
	TopASN    metric.Top `metric:"top_ASN" title:"Top ASN" unit:"packets" slots:"2048" group:"geo" label:"asn" holds:"value" help:"Autonomous systems of the remote addresses with the most packets to and from the host."`
}

// Table is the declaration of the metrics.
var Table = metric.Define[Metrics]("packets")
