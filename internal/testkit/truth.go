package testkit

import (
	"math"
	"reflect"
	"slices"
	"sync"
)

// Truth is the exact description of generated traffic, with [HostSpec] and DNS on port 53.
type Truth struct {
	// HostSpec is the -H for which in and out are right.
	HostSpec string
	Total    Summary
	// Minutes are the parts of Total in each UTC minute, from that of the first packet to that of the last.
	Minutes []Summary
	// Seconds counts the packets of each second, from that of the first packet on.
	Seconds []Second

	count *counter // for Count; nil for a truth read from a file
	once  sync.Once
	maps  map[string]map[string]uint64
}

// Summary is the truth about a period of time.
type Summary struct {
	// First and Last are the times of the first and last packet. Start is the time of the minute, in Total that
	// of the first minute. All are in nanoseconds since the Unix epoch.
	Start, First, Last int64
	Counts
	// DistinctQnames counts the names of all messages, in lower case. SrcIPsIn and DstIPsOut count the addresses
	// of the other side of the packets in and out.
	DistinctQnames, SrcIPsIn, DstIPsOut uint64
	Tables                              Tables
	// XactInLatency and XactOutLatency are the latencies of the transactions in and out, in nanoseconds.
	// ReplyBytes are the lengths of the DNS responses.
	XactInLatency, XactOutLatency, ReplyBytes Distribution
}

// Counts are plain counters. A message counts at the frame that completes it, a transaction at its response, and a
// timeout at the query's time plus the timeout.
type Counts struct {
	Packets, Bytes              uint64 // Bytes is the length of whole frames
	IPv4, IPv6, NonIP           uint64
	UDP, TCP, OtherL4           uint64 // OtherL4 includes NonIP
	In, Out, Unknown            uint64
	BytesIn, BytesOut           uint64
	TCPSyn, TCPSynAck           uint64 // a SYN without and with ACK
	DNSMessages, Queries        uint64
	Replies                     uint64
	DNSUDP, DNSTCP              uint64 // of the messages, as are the next:
	DNSIPv4, DNSIPv6            uint64
	DNSIn, DNSOut               uint64
	NoError, NXDomain, Servfail uint64 // of the replies, as are the next:
	Refused, Nodata, Truncated  uint64 // Nodata: NOERROR, no answer, not truncated
	EDNS, ECS                   uint64 // of the messages
	AA, AD, CD                  uint64 // of the replies
	XactIn, XactOut             uint64
	TimeoutsIn, TimeoutsOut     uint64
	OrphansIn, OrphansOut       uint64 // replies from and to the host, without a query in time
	// PendingIn and PendingOut are queries without a response that had not timed out when the traffic ended. Only
	// Total has them.
	PendingIn, PendingOut uint64
}

func (c *Counts) add(o *Counts) {
	dst, src := reflect.ValueOf(c).Elem(), reflect.ValueOf(o).Elem()
	for i := range dst.NumField() {
		dst.Field(i).SetUint(dst.Field(i).Uint() + src.Field(i).Uint())
	}
}

// Tables are the top rows of each table: the 100 largest, and ties ordered by key.
type Tables struct {
	// Qname counts messages by full name. Qname2 and Qname3 count them by the last labels, named as in the API.
	Qname, Qname2, Qname3 []Row
	// These count replies by full name.
	NXDomain, Servfail, Refused, Nodata []Row
	// Qtype counts messages, and Rcode counts replies. UDPPorts counts messages over UDP by the port that is not 53.
	Qtype, Rcode, UDPPorts []Row
	// IPv4 and IPv6 count packets in and out by the other side's address.
	IPv4, IPv6 []Row
}

// Row is a row of a table.
type Row struct {
	Name  string
	Count uint64
}

// maxRows is the number of rows that a table of a Truth has at most.
const maxRows = 100

// Second counts the packets of a second.
type Second struct {
	Unix                int64
	Packets, In, Out    uint32
	BytesIn, BytesOut   uint64
	Transactions, Bytes uint64
}

// Distribution has the exact quantiles of integers, by nearest rank.
type Distribution struct {
	N                            uint64
	Min, P50, P90, P95, P99, Max int64
	values                       []int64 // sorted
}

func newDistribution(values []int64) Distribution {
	slices.Sort(values)
	d := Distribution{N: uint64(len(values)), values: values}
	d.Min, d.P50, d.P90, d.P95, d.P99, d.Max = d.At(0), d.At(0.5), d.At(0.9), d.At(0.95), d.At(0.99), d.At(1)
	return d
}

// At returns the smallest value that a share q of the values does not exceed, or 0 if there are no values. A
// distribution read from a file has only the quantiles that are its fields.
func (d *Distribution) At(q float64) int64 {
	if len(d.values) == 0 {
		return 0
	}
	return d.values[max(0, int(math.Ceil(q*float64(len(d.values))))-1)]
}

// Count returns how often a key of a table, named like the field of [Tables], occurs in all the traffic. A truth read
// from a file does not have these counts.
func (t *Truth) Count(table, key string) uint64 { return t.Keys(table)[key] }

// Keys returns the counts of all keys of a table, named like the field of [Tables]. The caller must not change the
// map.
func (t *Truth) Keys(table string) map[string]uint64 {
	t.once.Do(func() { t.maps = map[string]map[string]uint64{} })
	if t.count == nil {
		return nil
	}
	if t.maps[table] == nil {
		m := map[string]uint64{}
		t.count.all.each(t.count, table, func(n uint64, key func() string) {
			if k := key(); k != "" {
				m[k] += n
			}
		})
		t.maps[table] = m
	}
	return t.maps[table]
}
