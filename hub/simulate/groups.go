package simulate

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"pktvisor/metric"
	"pktvisor/sketch"
)

// Shares of queries, in percent.
const (
	late    = 2 // the response comes after the timeout
	overTCP = 3 // the client forges nothing, so there is no amplification
)

// seenClient is a client whose texts and prefixes were made before.
type seenClient struct{ addr, prefix []byte }

// texts returns a client and its prefix as the tables name them.
func texts(client netip.Addr) seenClient {
	bits := 48
	if client.Is4() {
		bits = 24
	}
	prefix, _ := client.Prefix(bits) // the number of bits fits
	return seenClient{client.AppendTo(nil), prefix.AppendTo(nil)}
}

// groups counts a query in the tables of clients, zones and amplification.
func (t *traffic) groups(client netip.Addr, asked, answered uint64, name, zone, qtype, rcode string) {
	n, d := t.weight, t.d
	c := texts(client)
	t.distinct(client, c, name, zone)
	d.TopClients.Add(c.addr, n)
	d.TopClientPrefix.Add(c.prefix, n)
	if rcode == "NXDOMAIN" {
		d.TopClientsNXDomain.Add(c.addr, n)
		d.TopClientPrefixNXDomain.Add(c.prefix, n)
	}
	if t.r.IntN(100) < late {
		d.Timeouts += metric.Counter(n)
		d.InTimeouts += metric.Counter(n)
		d.TopTimeout.Add([]byte(name), n)
		d.TopClientsTimeout.Add(c.addr, n)
		d.TopClientPrefixTimeout.Add(c.prefix, n)
	}
	if t.r.IntN(100) < overTCP {
		return
	}
	var a sketch.Asked
	for range 2 { // of different ports, as of an honest client
		a.Query(asked, uint16(1024+t.r.IntN(60_000)), 58)
	}
	a.Bytes, a.Queries = n*asked, uint32(n)
	d.TopAmpPrefix.AddPrepared(sketch.Prepare(c.prefix), n*answered, &a)
	a.Flags = 0
	a.Port, a.TTL = 0, 0
	d.TopAmpQtype.AddPrepared(sketch.Prepare([]byte(qtype)), n*answered, &a)
	d.TopAmpQname.AddPrepared(sketch.Prepare([]byte(name)), n*answered, &a)
}

// distinct counts what is distinct: names by zone and client, and clients by prefix and network.
func (t *traffic) distinct(client netip.Addr, c seenClient, name, zone string) {
	d := t.d
	item, _ := sketch.Hash([]byte(name))
	d.TopZones.Add([]byte(zone), item, 1)
	d.TopZones2.Add([]byte("."+zone), item, 1)
	label := strings.TrimSuffix(name, "."+zone)
	if strings.Contains(label, ".") {
		d.TopZones3.Add([]byte(lastThree(label, zone)), item, 1)
	}
	d.TopZoneBits.Add([]byte(zone), item, uint32(max(5*len(label)/2, 1))) // short words have two to three bits a letter
	d.TopClientNames.Add(c.addr, item, 1)
	d.TopClientPrefixNames.Add(c.prefix, item, 1)
	raw := client.AsSlice()
	asked, _ := sketch.Hash(raw)
	t.key = appendNetwork(t.key[:0], networkOf(raw))
	d.TopASClients.Add(t.key, asked, 1)
	lengths := map[int]*metric.Cardinality{4: &d.ClientsV6n32, 6: &d.ClientsV6n48, 7: &d.ClientsV6n56, 8: &d.ClientsV6n64, 16: &d.ClientsV6n128}
	if client.Is4() {
		lengths = map[int]*metric.Cardinality{1: &d.ClientsV4n8, 2: &d.ClientsV4n16, 3: &d.ClientsV4n24, 4: &d.ClientsV4n32}
	}
	for bytes, distinct := range lengths {
		distinct.Add(raw[:bytes])
	}
}

// lastThree returns the last three labels of a name as the tables have them: with a dot before them if there are more. A zone has two
// labels.
func lastThree(label, zone string) string {
	if _, last, ok := strings.Cut(label, "."); ok {
		return "." + last + "." + zone
	}
	return label + "." + zone
}

// networks is the number of autonomous systems.
const networks = 3000

// networkOf returns the network of a client.
func networkOf(raw []byte) int { return int(binary.BigEndian.Uint16(raw[1:])) % networks }
