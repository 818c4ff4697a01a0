// Package api defines the JSON of the agent's HTTP API as Go types, and a client that reads it.
//
// The types cover the original's JSON and this project's additions. Decoding is tolerant, because a terminal UI meets
// older and newer agents. Missing fields stay unknown (see Number). Unknown fields are ignored. A field of an
// unexpected type is skipped and named in Odd, and the rest is read.
//
// The names are the original's, including its quirks (srvfail, top_geoLoc, top_ASN, other_l4, xact). This package knows
// them so that no other package has to.
//
// This package does not check the content of texts. Names come from the network. Clean them before you show them.
//
// All types are plain values. A Client is safe for concurrent use.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Summary is one bucket or one merged window as the agent publishes it.
type Summary struct {
	Period  Period  `json:"period"`
	Packets Packets `json:"packets"`
	DNS     DNS     `json:"dns"`
	Pcap    Pcap    `json:"pcap"`

	// Others holds the sections that have no field here, by name. Tables describes them.
	Others map[string]Values `json:"-"`
	// Key is the name of the summary in the answer: "1m" for a bucket, "5m" for a window.
	Key string `json:"-"`
	// Odd names the first field that had an unexpected type and was skipped. It is empty if there was no such field.
	Odd string `json:"-"`
	// Raw is the whole answer, as received.
	Raw []byte `json:"-"`
}

// Period is the stretch of packet time that was summarised.
type Period struct {
	StartTS Number `json:"start_ts"` // Unix seconds
	Length  Number `json:"length"`   // seconds
	Partial bool   `json:"partial"`  // not a whole minute
	Lost    Number `json:"lost"`     // packets lost in the period, before the agent saw them
	// Anonymized says in a few words how tables were anonymised. It is empty if they were not.
	Anonymized Anonymized `json:"anonymized"`
}

// Anonymized describes how tables were anonymised: "addresses", "names" or both.
type Anonymized string

// UnmarshalJSON reads the list of the ways that occur.
func (a *Anonymized) UnmarshalJSON(b []byte) error {
	var ways []struct{ Key, Names string }
	if err := json.Unmarshal(b, &ways); err != nil {
		return err
	}
	var addresses, names bool
	for _, way := range ways {
		addresses, names = addresses || way.Key != "", names || way.Names != ""
	}
	switch {
	case addresses && names:
		*a = "addresses, names"
	case addresses:
		*a = "addresses"
	case names:
		*a = "names"
	}
	return nil
}

// Row is one line of a top table. Lower and Upper are unknown if the estimate is exact, or if the agent does not
// publish bounds.
type Row struct {
	Name     string `json:"name"`
	Estimate Number `json:"estimate"`
	Lower    Number `json:"lower"`
	Upper    Number `json:"upper"`
	// Scaled is what the row stands for, with its bounds at 97.5% each, if only a part of the traffic was analysed in depth.
	// Otherwise it is unknown.
	Scaled      Number `json:"scaled"`
	ScaledLower Number `json:"scaled_lower"`
	ScaledUpper Number `json:"scaled_upper"`
	// Names is how many distinct names a row *.zone stands for. It is unknown for a row of one name.
	Names Number `json:"names"`
	// QueryBytes and Ratio are in the tables of amplification only, whose estimates are bytes of responses. Ratio is these
	// divided by the bytes of the queries. Hints says why the queries may be spoofed.
	QueryBytes Number   `json:"queries_bytes"`
	Ratio      Number   `json:"ratio"`
	RatioUpper Number   `json:"ratio_upper"` // unknown if the ratio is exact
	Hints      []string `json:"hints"`
}

// Quantiles describes a distribution of rates per second, sizes in bytes, or latencies in microseconds. Live is the
// value of the current second, for rates only.
type Quantiles struct {
	P50   Number `json:"p50"`
	P90   Number `json:"p90"`
	P95   Number `json:"p95"`
	P99   Number `json:"p99"`
	Min   Number `json:"min"`
	Max   Number `json:"max"`
	Count Number `json:"count"`
	Live  Number `json:"live"`
}

// Packets is the network section. Counts are packets unless stated otherwise.
type Packets struct {
	Total           Number `json:"total"`
	UDP             Number `json:"udp"`
	TCP             Number `json:"tcp"`
	OtherL4         Number `json:"other_l4"`
	IPv4            Number `json:"ipv4"`
	IPv6            Number `json:"ipv6"`
	NonIP           Number `json:"non_ip"`
	In              Number `json:"in"`
	Out             Number `json:"out"`
	UnknownDir      Number `json:"unknown_dir"`
	Malformed       Number `json:"malformed"`
	UnsupportedLink Number `json:"unsupported_link"`
	Late            Number `json:"late"`
	DeepSamples     Number `json:"deep_samples"`
	// DeepSampleFactor is the factor by which to multiply a deep sample to represent all packets. It is 1 if every
	// packet is in the sample.
	DeepSampleFactor Number `json:"deep_sample_factor"`

	Bytes struct {
		Total Number `json:"total"`
		In    Number `json:"in"`
		Out   Number `json:"out"`
	} `json:"bytes"`
	Protocol struct {
		TCP struct {
			SYN Number `json:"syn"`
		} `json:"tcp"`
	} `json:"protocol"`
	// Cardinality counts distinct addresses. The errors are relative, at 95%.
	Cardinality struct {
		SrcIPsIn       Number `json:"src_ips_in"`
		SrcIPsInError  Number `json:"src_ips_in_error"`
		DstIPsOut      Number `json:"dst_ips_out"`
		DstIPsOutError Number `json:"dst_ips_out_error"`
	} `json:"cardinality"`
	Rates struct {
		PPSIn    Quantiles `json:"pps_in"`
		PPSOut   Quantiles `json:"pps_out"`
		PPSTotal Quantiles `json:"pps_total"`
		BPSIn    Quantiles `json:"bps_in"` // bits a second
		BPSOut   Quantiles `json:"bps_out"`
		BPSTotal Quantiles `json:"bps_total"`
	} `json:"rates"`
	PayloadSize Quantiles `json:"payload_size"` // bytes
	Size        Quantiles `json:"size"`         // bytes on the wire

	// Period is filled by the original's successor, which has it here. Summary.Period then has it as well.
	Period Period `json:"period"`

	TopIPv4   []Row `json:"top_ipv4"`
	TopIPv6   []Row `json:"top_ipv6"`
	TopGeoLoc []Row `json:"top_geoLoc"`
	TopASN    []Row `json:"top_ASN"`
}

// DNS is the DNS section. Counts are messages unless stated otherwise.
type DNS struct {
	Wire             DNSWire `json:"wire_packets"`
	DeepSamples      Number  `json:"deep_samples"`
	DeepSampleFactor Number  `json:"deep_sample_factor"`
	Cardinality      struct {
		Qname      Number `json:"qname"`
		QnameError Number `json:"qname_error"`
	} `json:"cardinality"`
	// Clients counts distinct clients by the length of their prefix.
	Clients struct {
		V4n16  Number `json:"v4_16"`
		V4n24  Number `json:"v4_24"`
		V4n32  Number `json:"v4_32"`
		V6n48  Number `json:"v6_48"`
		V6n128 Number `json:"v6_128"`
	} `json:"clients"`
	Rates struct {
		Total Quantiles `json:"total"`
	} `json:"rates"`
	Xact         Xact      `json:"xact"`
	ResponseSize Quantiles `json:"response_size"` // bytes

	TopQname2        []Row `json:"top_qname2"`
	TopQname3        []Row `json:"top_qname3"`
	TopNXDomain      []Row `json:"top_nxdomain"`
	TopRefused       []Row `json:"top_refused"`
	TopSrvfail       []Row `json:"top_srvfail"`
	TopNodata        []Row `json:"top_nodata"`
	TopNoerror       []Row `json:"top_noerror"`
	TopTimeout       []Row `json:"top_timeout"`
	TopResponseBytes []Row `json:"top_response_bytes"` // estimates are bytes
	TopECS           []Row `json:"top_ecs"`
	TopOpcode        []Row `json:"top_opcode"`
	TopRcode         []Row `json:"top_rcode"`
	TopQtype         []Row `json:"top_qtype"`
	TopUDPPorts      []Row `json:"top_udp_ports"`

	// Random-subdomain attacks and tunnels: distinct names and bits below a zone, in a minute.
	TopZones    []Row `json:"top_zones"`
	TopZones2   []Row `json:"top_zones2"`
	TopZones3   []Row `json:"top_zones3"`
	TopZoneBits []Row `json:"top_zone_bits"` // estimates are bits

	// Amplification: the estimates are bytes of responses.
	TopAmpPrefix []Row `json:"top_amp_prefix"`
	TopAmpQtype  []Row `json:"top_amp_qtype"`
	TopAmpQname  []Row `json:"top_amp_qname"`

	// Clients by address, by prefix and by AS.
	TopClients              []Row `json:"top_clients"`
	TopClientsNXDomain      []Row `json:"top_clients_nxdomain"`
	TopClientsTimeout       []Row `json:"top_clients_timeout"`
	TopClientNames          []Row `json:"top_client_names"`
	TopClientPrefix         []Row `json:"top_client_prefix"`
	TopClientPrefixNXDomain []Row `json:"top_client_prefix_nxdomain"`
	TopClientPrefixTimeout  []Row `json:"top_client_prefix_timeout"`
	TopClientPrefixNames    []Row `json:"top_client_prefix_names"`
	TopASClients            []Row `json:"top_as_clients"`
}

// DNSWire counts DNS messages on the wire.
type DNSWire struct {
	Total       Number `json:"total"`
	Queries     Number `json:"queries"`
	Replies     Number `json:"replies"`
	TCP         Number `json:"tcp"`
	UDP         Number `json:"udp"`
	IPv4        Number `json:"ipv4"`
	IPv6        Number `json:"ipv6"`
	In          Number `json:"in"`
	Out         Number `json:"out"`
	UnknownDir  Number `json:"unknown_dir"`
	NXDomain    Number `json:"nxdomain"`
	Refused     Number `json:"refused"`
	Srvfail     Number `json:"srvfail"`
	Noerror     Number `json:"noerror"`
	Nodata      Number `json:"nodata"`
	Referrals   Number `json:"referrals"`
	Truncated   Number `json:"truncated"`
	EDNS        Number `json:"edns"`
	ECS         Number `json:"ecs"`
	OtherClass  Number `json:"other_class"`
	OtherOpcode Number `json:"other_opcode"`
	Malformed   Number `json:"malformed"`
	DeepSamples Number `json:"deep_samples"` // the place of DeepSamples in the original's successor
}

// Xact summarises the transactions: queries matched with their responses.
type Xact struct {
	Counts struct {
		Total    Number `json:"total"`
		Timeouts Number `json:"timeouts"`
		TimedOut Number `json:"timed_out"` // the successor's name for Timeouts
		Orphans  Number `json:"orphans"`
	} `json:"counts"`
	In    XactDir `json:"in"`
	Out   XactDir `json:"out"`
	AD    Number  `json:"ad"`
	AA    Number  `json:"aa"`
	CD    Number  `json:"cd"`
	Ratio struct {
		Quantiles Quantiles `json:"quantiles"` // response size divided by query size
	} `json:"ratio"`
}

// XactDir summarises the transactions of one direction: in if the host is the server, out if it is the client.
type XactDir struct {
	Total       Number    `json:"total"`
	Timeouts    Number    `json:"timeouts"`
	Orphans     Number    `json:"orphans"`
	QuantilesUS Quantiles `json:"quantiles_us"` // microseconds
	TopSlow     []Row     `json:"top_slow"`
}

// Pcap counts the frames that the capture received, lost or rejected, in live captures only.
type Pcap struct {
	OSDrops             Number `json:"os_drops"`
	IFDrops             Number `json:"if_drops"`
	Received            Number `json:"received"`
	Discarded           Number `json:"discarded"`
	Freezes             Number `json:"freezes"`
	TCPReassemblyErrors Number `json:"tcp_reassembly_errors"`
	Copies              Number `json:"copies"`
	SuperFrames         Number `json:"super_frames"`
	KernelCounted       Number `json:"kernel_counted"`
	SuperFramePackets   Number `json:"super_frame_packets"`
}

// Rates is the traffic of the current second: packets, bits and DNS messages.
type Rates struct {
	PPSIn, PPSOut, PPSTotal Number
	BPSIn, BPSOut           Number
	DNSTotal                Number
	// Start is the start of the second that these are the rates of, in Unix time. It is unknown for an original agent.
	Start Number
}

// App is the agent's description of itself. Fields that only some versions have are in Facts.
type App struct {
	Version           string `json:"version"`
	UpTimeMin         Number `json:"up_time_min"` // minutes
	Periods           Number `json:"periods"`     // number of buckets in the agent's window
	DeepSampleRatePct Number `json:"deep_sample_rate_pct"`
	// Sample is the deep sample of an agent that lowers it under load. Percent is unknown otherwise.
	Sample struct {
		Percent    Number `json:"percent"`
		MinPercent Number `json:"min_percent"`
		MaxPercent Number `json:"max_percent"`
		Reason     string `json:"reason"`
	} `json:"sample"`
	// Fleet describes the hosts of a hub. It is nil for an agent.
	Fleet *Fleet `json:"fleet"`
	// Policies are the policies of an agent. Earlier agents have none.
	Policies []PolicyState `json:"policies"`

	// State holds the present values of the sections, by name.
	State map[string]Values `json:"-"`
	// Facts holds the whole answer as flat paths and values, in its order.
	Facts []Fact `json:"-"`
}

// PolicyState describes a policy of an agent.
type PolicyState struct {
	Name string `json:"name"`
	// Memory is the most that it takes, in bytes.
	Memory  Number        `json:"memory_bytes"`
	Windows []WindowState `json:"windows"`
	// ForEach is the table whose heaviest keys have summaries of their own; nil if none have. Keys are these keys now.
	ForEach *ForEach   `json:"for_each"`
	Keys    []KeyState `json:"keys"`
}

// ForEach describes which keys of a policy have summaries of their own.
type ForEach struct {
	Top  string `json:"top"` // section.table
	Most Number `json:"most"`
}

// KeyState describes a key that has a summary of its own.
type KeyState struct {
	Key     string `json:"key"`
	Tap     string `json:"tap"` // of the window to which it belongs
	SinceTS Number `json:"since_ts"`
}

// WindowState describes a window of a policy.
type WindowState struct {
	Tap      string         `json:"tap"` // empty if it has the packets of several
	Periods  Number         `json:"periods"`
	Handlers []HandlerState `json:"handlers"`
}

// HandlerState describes an analyzer of a window.
type HandlerState struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Fleet describes the hosts of a hub.
type Fleet struct {
	// Hosts is the number of all hosts, Selected the number of those that the request was about.
	Hosts    Number `json:"hosts"`
	Selected Number `json:"selected"`
}

// ParseSummary reads the answer of a bucket or window route, an object with one key such as "5m". The result keeps b as
// Raw.
func ParseSummary(b []byte) (Summary, error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(b, &top); err != nil {
		return Summary{}, fmt.Errorf("not a summary: %w", err)
	}
	for key, body := range top {
		if !periodKey(key) {
			continue
		}
		s := Summary{Key: key, Raw: b}
		odd, err := unmarshal(body, &s)
		if err != nil {
			return Summary{}, fmt.Errorf("not a summary: %w", err)
		}
		s.Odd, s.Others = odd, others(body)
		if s.Period == (Period{}) {
			s.Period = s.Packets.Period
		}
		return s, nil
	}
	return Summary{}, errors.New(`not a summary: no key like "5m"`)
}

// ParseRates reads the answer of /rates, in the original's form (in, out) or in this project's form (pps_in, pps_out,
// pps_total).
func ParseRates(b []byte) (Rates, error) {
	var top struct {
		Packets struct {
			In       Number `json:"in"`
			Out      Number `json:"out"`
			PPSIn    Number `json:"pps_in"`
			PPSOut   Number `json:"pps_out"`
			PPSTotal Number `json:"pps_total"`
			BPSIn    Number `json:"bps_in"`
			BPSOut   Number `json:"bps_out"`
		} `json:"packets"`
		DNS struct {
			Total Number `json:"total"`
		} `json:"dns"`
		Period struct {
			Start Number `json:"start_ts"`
		} `json:"period"`
	}
	if _, err := unmarshal(b, &top); err != nil {
		return Rates{}, fmt.Errorf("not rates: %w", err)
	}
	r := Rates{
		PPSIn:    top.Packets.PPSIn.Or(top.Packets.In),
		PPSOut:   top.Packets.PPSOut.Or(top.Packets.Out),
		PPSTotal: top.Packets.PPSTotal,
		BPSIn:    top.Packets.BPSIn,
		BPSOut:   top.Packets.BPSOut,
		DNSTotal: top.DNS.Total,
		Start:    top.Period.Start,
	}
	if !r.PPSTotal.Known && r.PPSIn.Known && r.PPSOut.Known {
		r.PPSTotal = N(r.PPSIn.Value + r.PPSOut.Value)
	}
	return r, nil
}

// ParseApp reads the answer of /app.
func ParseApp(b []byte) (App, error) {
	var top struct {
		App App `json:"app"`
	}
	if _, err := unmarshal(b, &top); err != nil {
		return App{}, fmt.Errorf("not application information: %w", err)
	}
	for i := range atMost(top.App.Policies, maxPolicies) {
		p := &top.App.Policies[i]
		p.Windows = atMost(p.Windows, maxWindows)
	}
	top.App.Policies = atMost(top.App.Policies, maxPolicies)
	top.App.Facts, top.App.State = flatten(b), states(b)
	return top.App, nil
}

// unmarshal is like json.Unmarshal, except that a field of the wrong type is not an error. It returns the name of that
// field. encoding/json skips the field and continues.
func unmarshal(b []byte, v any) (odd string, err error) {
	err = json.Unmarshal(b, v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return wrong.Field, nil
	}
	return "", err
}

// periodKey reports whether s is digits and an m, such as "1m" and "1440m".
func periodKey(s string) bool {
	digits, ok := strings.CutSuffix(s, "m")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
