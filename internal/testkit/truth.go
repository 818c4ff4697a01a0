package testkit

import (
	"math"
	"reflect"
	"slices"
	"sync"
)

// Truth is what is exactly so about generated traffic, under [HostSpec] and DNS on port 53.
type Truth struct {
	// HostSpec is the -H under which in and out hold.
	HostSpec string
	Total    Summary
	// Minutes are the parts of Total in each UTC minute, from the first packet's to the last's.
	Minutes []Summary
	// Seconds counts the packets of each second from the first packet's on.
	Seconds []Second

	count *counter // answers Count; nil for a truth read from a file
	once  sync.Once
	maps  map[string]map[string]uint64
}

// Summary is the truth about a span of time.
type Summary struct {
	// First and Last are the times of the first and last packet, Start that of the minute (in
	// Total: of the first one), in nanoseconds since the Unix epoch.
	Start, First, Last int64
	Counts
	// DistinctQnames are of all messages, in lower case; SrcIPsIn and DstIPsOut of the other side
	// of the packets in and out.
	DistinctQnames, SrcIPsIn, DstIPsOut uint64
	Tables                              Tables
	// XactIn and XactOut are the latencies of the transactions in and out in nanoseconds;
	// ReplyBytes the lengths of the DNS responses.
	XactInLatency, XactOutLatency, ReplyBytes Distribution
}

// Counts are plain counters. A message counts where the frame that completes it is; a transaction
// where its response is; a timeout at the query's time plus the timeout.
type Counts struct {
	Packets, Bytes              uint64 // Bytes: of whole frames
	IPv4, IPv6, NonIP           uint64
	UDP, TCP, OtherL4           uint64 // OtherL4 includes NonIP
	In, Out, Unknown            uint64
	BytesIn, BytesOut           uint64
	TCPSyn, TCPSynAck           uint64 // a SYN without, with ACK
	DNSMessages, Queries        uint64
	Replies                     uint64
	DNSUDP, DNSTCP              uint64 // of the messages, and so on:
	DNSIPv4, DNSIPv6            uint64
	DNSIn, DNSOut               uint64
	NoError, NXDomain, Servfail uint64 // of the replies, and so on:
	Refused, Nodata, Truncated  uint64 // Nodata: NOERROR, no answer, not truncated
	EDNS, ECS                   uint64 // of the messages
	AA, AD, CD                  uint64 // of the replies
	XactIn, XactOut             uint64
	TimeoutsIn, TimeoutsOut     uint64
	OrphansIn, OrphansOut       uint64 // replies of the host, to the host, without a query in time
	// PendingIn and PendingOut are queries without a response that had not timed out when the
	// traffic ended. They are in Total only.
	PendingIn, PendingOut uint64
}

func (c *Counts) add(o *Counts) {
	dst, src := reflect.ValueOf(c).Elem(), reflect.ValueOf(o).Elem()
	for i := range dst.NumField() {
		dst.Field(i).SetUint(dst.Field(i).Uint() + src.Field(i).Uint())
	}
}

// Tables are the top rows of each table: the 100 largest, ties by key.
type Tables struct {
	// Qname counts messages by full name, the next two by its last labels as the API names them.
	Qname, Qname2, Qname3 []Row
	// Replies by full name.
	NXDomain, Servfail, Refused, Nodata []Row
	// Qtype counts messages, Rcode replies; UDPPorts messages over UDP by the port that is not 53.
	Qtype, Rcode, UDPPorts []Row
	// IPv4 and IPv6 count packets in and out by the other side's address.
	IPv4, IPv6 []Row
}

// Row is a row of a table.
type Row struct {
	Name  string
	Count uint64
}

// maxRows is how many rows a table of a Truth holds.
const maxRows = 100

// Second counts the packets of a second.
type Second struct {
	Unix                int64
	Packets, In, Out    uint32
	BytesIn, BytesOut   uint64
	Transactions, Bytes uint64
}

// Distribution is the exact quantiles of integers, by nearest rank.
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

// At returns the smallest value that a share q of the values does not exceed; 0 where there
// are none. A distribution read from a file has only the quantiles that are its fields.
func (d *Distribution) At(q float64) int64 {
	if len(d.values) == 0 {
		return 0
	}
	return d.values[max(0, int(math.Ceil(q*float64(len(d.values))))-1)]
}

// Count returns how often a key of a table, named like the field of [Tables], came in all the traffic. A
// truth read from a file knows none.
func (t *Truth) Count(table, key string) uint64 { return t.Keys(table)[key] }

// Keys returns the counts of all keys of a table, named like the field of [Tables]. The map
// belongs to the truth.
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
