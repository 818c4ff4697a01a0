package bpf_test

import (
	"fmt"

	"pktvisor/bpf"
	"pktvisor/linktype"
)

func ExampleCompile() {
	prog, err := bpf.Compile("arp or icmp", linktype.Ethernet, bpf.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(prog.Dump())

	frame := make([]byte, 60) // an ARP request
	frame[12], frame[13] = 0x08, 0x06
	fmt.Println(prog.Match(frame, 60))
	// Output:
	// (000) ldh      [12]
	// (001) jeq      #0x806           jt 5	jf 2
	// (002) jeq      #0x800           jt 3	jf 6
	// (003) ldb      [23]
	// (004) jeq      #0x1             jt 5	jf 6
	// (005) ret      #262144
	// (006) ret      #0
	// true
}

func ExampleError() {
	_, err := bpf.Compile("udp and dst port foo", linktype.Ethernet, bpf.Options{})
	fmt.Println(err)
	_, err = bpf.Compile("host 10.0.0.1 and net 10.0.0.1/8", linktype.Ethernet, bpf.Options{})
	fmt.Println(err)
	// Output:
	// column 18: expected a port number or name, got "foo"
	// column 23: 10.0.0.1 has bits set that its netmask leaves out
}
