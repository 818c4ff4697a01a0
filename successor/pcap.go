package successor

// pcap1 is the handler pcap, version 1.0.
var pcap1 = &declaration{
	schema: "pcap", kind: "pcap", version: "1.0", section: "pcap",
	whole: []row{
		{
			path: "tcp_reassembly_errors", kind: counter, from: "dns.tcp.gaps", help: "Gaps in streams of DNS over TCP where messages may be missing.",
			remark: "of streams on DNS ports; needs a handler dns in the policy. There, packets of any port that its reassembler refuses",
		},
		{path: "os_drops", kind: counter, from: "pcap.os_drops", help: "Frames that the kernel dropped because the ring was full.", remark: "there always 0 with `af_packet`"},
		{path: "if_drops", kind: counter, from: "pcap.if_drops", help: "Frames that the interface dropped.", remark: "there always 0 with `af_packet`"},
	},
}
