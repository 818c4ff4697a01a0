package testkit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Latency is a log-normal distribution of response times, given by two of its quantiles.
type Latency struct{ P50, P99 time.Duration }

// TrafficConfig says what traffic to make. A share is a fraction from 0 to 1, and zero means none. The other fields
// have the defaults that their comments name. Start from a preset.
type TrafficConfig struct {
	// Packets is the exact number of frames to write. Default 100,000.
	Packets int
	// Seed chooses among the traffics that fit this description.
	Seed uint64
	// World chooses the names and the addresses. The hosts of a fleet, which see the same clients ask for the same names, have
	// different seeds and the same world. Default: the seed.
	World uint64
	// Start is the time of the first packet. Default 2024-03-01 12:00:20 UTC, which is not the start of a minute,
	// so that the first bucket is partial.
	Start time.Time
	// Rate is the mean number of packets a second. Default 20,000. The rate swings around the mean by RateSwing,
	// once in 47 seconds.
	Rate      float64
	RateSwing float64
	// Nano writes nanosecond timestamps. Latencies are in whole units of the file's clock.
	Nano bool

	// DNSShare is the share of DNS conversations among all conversations. Mix describes the rest.
	DNSShare float64
	// Names and Clients are the numbers of popular names and of client addresses (for each IP version). They are
	// drawn by a Zipf law with the exponent Zipf. Defaults 10,000, 5,000 and 1.1.
	Names, Clients int
	Zipf           float64
	// DistinctSources uses a new client address for every conversation instead.
	DistinctSources bool
	// IPv6Share is the share of conversations over IPv6. OutShare is the share in which the host is the client
	// and one of 500 servers elsewhere responds.
	IPv6Share, OutShare float64
	// TCPShare is the share of DNS conversations over TCP. One carries up to six queries, pipelined.
	TCPShare float64
	// TCPDisorderShare is the share of TCP responses whose segments are swapped, and the share of those with a
	// segment sent twice.
	TCPDisorderShare float64

	// Shares of the queries. RandomLabelShare asks for a name that does not exist and is never asked for again.
	// The responses to the other queries have the rcodes of the next shares, or are NOERROR without an answer
	// (NodataShare).
	RandomLabelShare                                        float64
	NXDomainShare, ServfailShare, RefusedShare, NodataShare float64
	EDNSShare, ECSShare, TruncatedShare, MixedCaseShare     float64
	// UnansweredShare never get a response. LateShare get it after Timeout, when it is an orphan.
	UnansweredShare, LateShare float64
	// OrphanShare is the share of UDP conversations that are a response without a query.
	OrphanShare float64
	// Timeout is the time after which a query counts as unanswered. Default 5 s.
	Timeout time.Duration
	// In and Out are the latencies of the host's responses and of the responses to the host. Defaults 300 µs and
	// 20 ms, and 12 ms and 300 ms.
	In, Out Latency
	// LargeAnswers adds RRSIG records, about 1150 bytes, to the responses with EDNS that are not errors.
	LargeAnswers bool

	// HostileShare is the share of conversations that are a frame of a flood with one client, port, ID and connection.
	HostileShare float64

	// Mix sets the weights of frames that are not DNS. Default: some of everything.
	Mix Mix
	// VLANShare is the share of conversations other than DNS whose frames have one or two tags.
	VLANShare float64
}

// Mix sets the weights of the kinds of frames that are not DNS, relative to each other.
type Mix struct{ TCPData, TCPSyn, UDP, ICMP, Transit, ARP int }

// HostSpec is the value of pktvisord's -H for which the directions of a [Truth] are right: the host subnets of all
// generated traffic.
const HostSpec = "192.0.2.0/24,2001:db8:53::/48"

// The host's addresses: two servers, and a resolver that asks other servers.
var (
	hostServers = [2][2]netip.Addr{
		{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("192.0.2.54")},
		{netip.MustParseAddr("2001:db8:53::53"), netip.MustParseAddr("2001:db8:53::54")},
	}
	hostResolver = [2]netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8:53::10")}
)

// upstreams is the number of servers elsewhere that the host asks, for each IP version.
const upstreams = 500

// setDefaults sets the fields that are zero and have a default.
func (c *TrafficConfig) setDefaults() {
	setDefault(&c.Packets, 100_000)
	setDefault(&c.World, c.Seed)
	setDefault(&c.Start, time.Date(2024, 3, 1, 12, 0, 20, 0, time.UTC))
	setDefault(&c.Rate, 20_000)
	setDefault(&c.Names, 10_000)
	setDefault(&c.Clients, 5_000)
	setDefault(&c.Zipf, 1.1)
	setDefault(&c.Timeout, 5*time.Second)
	setDefault(&c.In, Latency{300 * time.Microsecond, 20 * time.Millisecond})
	setDefault(&c.Out, Latency{12 * time.Millisecond, 300 * time.Millisecond})
	setDefault(&c.Mix, Mix{TCPData: 40, TCPSyn: 15, UDP: 25, ICMP: 12, Transit: 5, ARP: 3})
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// validate reports every field that is out of range.
func (c *TrafficConfig) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for name, share := range map[string]float64{
		"RateSwing": c.RateSwing, "DNSShare": c.DNSShare, "IPv6Share": c.IPv6Share, "OutShare": c.OutShare,
		"TCPShare": c.TCPShare, "TCPDisorderShare": c.TCPDisorderShare, "RandomLabelShare": c.RandomLabelShare,
		"rcode shares": c.NXDomainShare + c.ServfailShare + c.RefusedShare + c.NodataShare, "EDNSShare": c.EDNSShare,
		"ECSShare": c.ECSShare, "TruncatedShare": c.TruncatedShare, "MixedCaseShare": c.MixedCaseShare,
		"UnansweredShare+LateShare": c.UnansweredShare + c.LateShare, "OrphanShare": c.OrphanShare, "HostileShare": c.HostileShare, "VLANShare": c.VLANShare,
	} {
		if !(share >= 0 && share <= 1) {
			bad("%s is %v, not within 0 to 1", name, share)
		}
	}
	if c.RateSwing == 1 {
		bad("RateSwing of 1 makes the rate zero")
	}
	if c.Packets < 0 || c.Names < 1 || c.Clients < 1 || c.Names > 5_000_000 || c.Clients > 1<<30 {
		bad("Packets, Names (at most 5,000,000) or Clients (at most 2^30) is out of range")
	}
	if !(c.Rate > 0) || c.Zipf < 0 {
		bad("Rate and Zipf must be positive")
	}
	if c.In.P99 < c.In.P50 || c.Out.P99 < c.Out.P50 || c.In.P50 <= 0 || c.Out.P50 <= 0 {
		bad("a latency's P99 is under its P50, or not positive")
	}
	return errors.Join(errs...)
}

// DNSHeavy is a busy authoritative server and resolver: 90% DNS, 200,000 popular names, 100,000 clients, Zipf 1.1,
// 15% IPv6, 5% random labels.
func DNSHeavy() TrafficConfig {
	return TrafficConfig{
		RateSwing: 0.3, DNSShare: 0.9, Names: 200_000, Clients: 100_000, Zipf: 1.1,
		IPv6Share: 0.15, OutShare: 0.2, TCPShare: 0.01, TCPDisorderShare: 0.05,
		RandomLabelShare: 0.05, NXDomainShare: 0.08, ServfailShare: 0.01, RefusedShare: 0.01, NodataShare: 0.06,
		EDNSShare: 0.7, ECSShare: 0.05, TruncatedShare: 0.005, MixedCaseShare: 0.05,
		UnansweredShare: 0.01, OrphanShare: 0.002,
	}
}

// AllTCP is DNSHeavy with every DNS conversation and every other packet over TCP.
func AllTCP() TrafficConfig {
	c := DNSHeavy()
	c.TCPShare, c.OrphanShare, c.Mix = 1, 0, Mix{TCPData: 3, TCPSyn: 1}
	return c
}

// AllDistinctNames is a random-subdomain flood: no name is asked for twice.
func AllDistinctNames() TrafficConfig {
	c := DNSHeavy()
	c.DNSShare, c.RandomLabelShare, c.OutShare, c.TCPShare = 1, 1, 0, 0
	return c
}

// AllDistinctSources is a flood from spoofed addresses: no client comes twice.
func AllDistinctSources() TrafficConfig {
	c := DNSHeavy()
	c.DistinctSources, c.OutShare, c.TCPShare = true, 0, 0
	return c
}

// TinyMixed is a few thousand packets of everything, over several minutes, for tests.
func TinyMixed() TrafficConfig {
	return TrafficConfig{
		Packets: 5000, Rate: 30, RateSwing: 0.5, DNSShare: 0.7, Names: 300, Clients: 120, Zipf: 1,
		IPv6Share: 0.3, OutShare: 0.4, TCPShare: 0.1, TCPDisorderShare: 0.3,
		RandomLabelShare: 0.05, NXDomainShare: 0.1, ServfailShare: 0.04, RefusedShare: 0.04, NodataShare: 0.08,
		EDNSShare: 0.5, ECSShare: 0.1, TruncatedShare: 0.03, MixedCaseShare: 0.2,
		UnansweredShare: 0.05, LateShare: 0.01, OrphanShare: 0.02, VLANShare: 0.2,
	}
}

// LargeDNSSEC is DNSHeavy with signed answers of about 1200 bytes.
func LargeDNSSEC() TrafficConfig {
	c := DNSHeavy()
	c.LargeAnswers, c.EDNSShare = true, 1
	return c
}

// Quiet is DNSHeavy at ten packets a second: a capture of days with hardly any packets in each second.
func Quiet() TrafficConfig {
	c := DNSHeavy()
	c.Rate = 10
	return c
}

// Adversarial is DNSHeavy under a flood whose keys are chosen to make tables slow.
func Adversarial() TrafficConfig {
	c := DNSHeavy()
	c.HostileShare = 0.9
	return c
}

// Demo is four minutes of traffic at a small site, to try the program with: testdata/captures/demo.pcap.gz.
func Demo() TrafficConfig {
	c := TinyMixed()
	c.Packets, c.Rate, c.Names, c.Clients, c.Zipf, c.TCPDisorderShare = 9000, 38, 400, 250, 1.1, 0.1
	return c
}

// Presets are the named configurations.
var Presets = map[string]func() TrafficConfig{
	"dns-heavy": DNSHeavy, "all-tcp": AllTCP, "all-distinct-names": AllDistinctNames,
	"all-distinct-sources": AllDistinctSources, "tiny-mixed": TinyMixed, "large-dnssec": LargeDNSSEC, "quiet": Quiet, "demo": Demo,
	"adversarial": Adversarial,
}

// PresetNames returns the names of the presets, sorted.
func PresetNames() []string {
	var names []string
	for name := range Presets {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
