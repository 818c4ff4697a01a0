// Package arp is the analyzer that tests add to those of the product, to show that one folder and one line are enough. It is
// about ARP over Ethernet: who asks for which IPv4 address, and who says that it has one.
package arp

import "pktvisor/metric"

// Counters are the plain counts. Each shard keeps its own and adds them at the flush.
type Counters struct {
	Total      metric.Counter `metric:"total" title:"Packets" unit:"packets" help:"All ARP packets."`
	Requests   metric.Counter `metric:"requests" unit:"packets" help:"Requests for the hardware address of another IPv4 address."`
	Replies    metric.Counter `metric:"replies" unit:"packets" help:"Replies."`
	Gratuitous metric.Counter `metric:"gratuitous" unit:"packets" help:"Gratuitous requests: the sender asks for its own IPv4 address, to announce it."`
	Probes     metric.Counter `metric:"probes" unit:"packets" help:"Probes: the sender has no IPv4 address yet, and asks whether one is in use."`
	OtherOps   metric.Counter `metric:"other_ops" title:"Other operations" unit:"packets" help:"ARP packets that are neither requests nor replies."`
	Foreign    metric.Counter `metric:"foreign" unit:"packets" help:"ARP packets about other addresses than those of Ethernet and IPv4."`
	Malformed  metric.Counter `metric:"malformed" unit:"packets" help:"ARP packets that are too short on the wire."`
	Cut        metric.Counter `metric:"cut" unit:"packets" help:"ARP packets that were not captured whole."`
}

// Metrics are all that the analyzer publishes.
type Metrics struct {
	_ metric.Object `metric:"" title:"ARP" help:"Address resolution: who asks for which IPv4 address, and who says that it has one."`
	_ metric.Object `metric:"cardinality" help:"How many distinct addresses."`
	_ metric.Object `metric:"rates" help:"What each second of the time had."`

	Counters

	Conflicts metric.Gauge       `metric:"conflicts" title:"In conflict" unit:"addresses" help:"IPv4 addresses that two hardware addresses have claimed within five minutes."`
	Senders   metric.Cardinality `metric:"cardinality.senders" title:"Senders" unit:"addresses" group:"arp" help:"Distinct hardware addresses of senders."`
	Rate      metric.Rate        `metric:"rates.packets" title:"Packets" unit:"packets/s" help:"ARP packets a second."`

	TopTargets metric.Top `metric:"top_targets" title:"Asked for" unit:"packets" slots:"1024" group:"arp" label:"ipv4" holds:"address" help:"IPv4 addresses that most requests and probes ask for."`
	TopSenders metric.Top `metric:"top_senders" title:"Senders" unit:"packets" slots:"1024" group:"arp" label:"hardware_address" help:"Hardware addresses of the senders of most ARP packets."`
}

// Table is the declaration of the metrics.
var Table = metric.Define[Metrics]("arp")
