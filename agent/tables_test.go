package agent

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"pktvisor/capture"
	"pktvisor/dnswire"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
)

// pdmlField is a field of tshark's PDML, with the fields in it.
type pdmlField struct {
	Name   string      `xml:"name,attr"`
	Show   string      `xml:"show,attr"`
	Value  string      `xml:"value,attr"`
	Fields []pdmlField `xml:"field"`
}

// first returns the first field with a name, or nil.
func (f *pdmlField) first(name string) *pdmlField {
	if f.Name == name {
		return f
	}
	for i := range f.Fields {
		if found := f.Fields[i].first(name); found != nil {
			return found
		}
	}
	return nil
}

// number returns the number of a field, or 0.
func (f *pdmlField) number(name string) uint64 {
	if f = f.first(name); f == nil {
		return 0
	}
	n, _ := strconv.ParseUint(f.Show, 0, 64)
	return n
}

// exactTables are the tables of clients, zones and amplification as tshark's messages make them. A table of distinct names has the names
// of each key.
type exactTables struct {
	counts map[string]map[string]uint64
	names  map[string]map[string]map[string]bool
	asked  map[string]map[string]uint64 // bytes of queries
}

func (x *exactTables) count(table, key string, n uint64) {
	if x.counts[table] == nil {
		x.counts[table] = map[string]uint64{}
	}
	x.counts[table][key] += n
}

func (x *exactTables) name(table, key, name string) {
	if x.names[table] == nil {
		x.names[table] = map[string]map[string]bool{}
	}
	if x.names[table][key] == nil {
		x.names[table][key] = map[string]bool{}
	}
	x.names[table][key][name] = true
}

// amount counts the bytes of a query or a response.
func (x *exactTables) amount(table, key string, query bool, size uint64) {
	if x.asked[table] == nil {
		x.asked[table] = map[string]uint64{}
	}
	if query {
		x.asked[table][key] += size
		size = 0
	}
	x.count(table, key, size)
}

// add counts a message.
func (x *exactTables) add(message, ip, transport *pdmlField, client netip.Addr) {
	flags := message.number("dns.flags")
	query, udp := flags&0x8000 == 0, transport.Name == "udp"
	bits := 48
	if client.Is4() {
		bits = 24
	}
	prefix, _ := client.Prefix(bits)
	switch {
	case query:
		x.count("top_clients", client.String(), 1)
		x.count("top_client_prefix", prefix.String(), 1)
	case flags&15 == 3:
		x.count("top_clients_nxdomain", client.String(), 1)
		x.count("top_client_prefix_nxdomain", prefix.String(), 1)
	}
	size := transport.number("udp.length") - 8
	if udp {
		x.amount("top_amp_prefix", prefix.String(), query, size)
	}
	asked := message.first("dns.qry.name")
	if asked == nil {
		return
	}
	wire, _ := hex.DecodeString(asked.Value)
	name := strings.ToLower(string(dnswire.AppendName(nil, wire)))
	if udp {
		x.amount("top_amp_qname", name, query, size)
	}
	if query {
		x.name("top_client_names", client.String(), name)
		x.name("top_client_prefix_names", prefix.String(), name)
	}
	labels := strings.Split(name, ".") // no name of the captures has an escaped dot
	for n, table := range map[int]string{2: "top_zones2", 3: "top_zones3"} {
		if len(labels) > n {
			x.name(table, "."+strings.Join(labels[len(labels)-n:], "."), name)
		}
	}
}

// tsharkTables returns the tables of a capture. PDML has an element for each message, also if a TCP segment has several.
func tsharkTables(t *testing.T, path string) *exactTables {
	t.Helper()
	cmd := exec.Command("tshark", "-n", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-Y", "dns", "-T", "pdml")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("this test needs tshark: %v", err)
	}
	defer cmd.Wait()
	x := &exactTables{map[string]map[string]uint64{}, map[string]map[string]map[string]bool{}, map[string]map[string]uint64{}}
	d := xml.NewDecoder(out)
	for {
		token, err := d.Token()
		if err == io.EOF {
			return x
		}
		if err != nil {
			t.Fatal(err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "packet" {
			continue
		}
		var packet struct {
			Protos []pdmlField `xml:"proto"`
		}
		if err := d.DecodeElement(&packet, &start); err != nil {
			t.Fatal(err)
		}
		var ip, transport *pdmlField
		for i := range packet.Protos {
			switch p := &packet.Protos[i]; p.Name {
			case "ip", "ipv6":
				ip = p
			case "udp", "tcp":
				transport = p
			case "dns":
				end := ".src"
				if p.number("dns.flags")&0x8000 != 0 {
					end = ".dst"
				}
				if port := transport.Name; transport.number(port+".srcport") == 53 || transport.number(port+".dstport") == 53 {
					x.add(p, ip, transport, netip.MustParseAddr(ip.first(ip.Name+end).Show))
				}
			}
		}
	}
}

// TestTablesOfTShark: on captures of real servers and clients, the tables of clients, zones and amplification are those of tshark's messages.
func TestTablesOfTShark(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tshark")
	}
	for _, c := range testkit.OwnCaptures(t) {
		if !strings.HasPrefix(c.Name, "captures/") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			want := tsharkTables(t, c.Path)
			src, err := capture.OpenFile(c.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			a := setup{ // without hosts, so that no message has a direction
				TapConfig:    TapConfig{Shards: 2, DNSPorts: []uint16{53}, DNSTimeout: 5 * time.Second},
				PolicyConfig: PolicyConfig{Periods: 2, Single: true, DeepSamplePercent: 100},
			}.start(t)
			if err := a.RunFile(context.Background(), src); err != nil {
				t.Fatal(err)
			}
			s, _ := a.Window().Merged(1).Section("dns")
			compared := 0
			for _, path := range []string{
				"top_clients", "top_clients_nxdomain", "top_client_prefix", "top_client_prefix_nxdomain", "top_client_names", "top_client_prefix_names",
				"top_zones2", "top_zones3", "top_amp_prefix", "top_amp_qname",
			} {
				at, ok := s.Table.Find(path)
				if !ok {
					t.Fatal(path)
				}
				compared += compareTable(t, path, s.Rows(at), want)
			}
			t.Logf("%d rows", compared)
			if compared < 10 {
				t.Errorf("only %d rows were compared", compared)
			}
		})
	}
}

// compareTable compares a table with the exact one, and returns how many rows it has.
func compareTable(t *testing.T, path string, rows metric.Rows, x *exactTables) (n int) {
	t.Helper()
	want := x.counts[path]
	if names := x.names[path]; names != nil {
		want = map[string]uint64{}
		for key, all := range names {
			want[key] = uint64(len(all))
		}
	}
	for key, b := range rows.Each() {
		r, amplified := rows.(*metric.Amplification)
		var queries uint64
		if amplified {
			row, _ := r.Find(key)
			if queries = row.Bytes; queries == 0 && b.Upper == 0 {
				continue // it is only known that the client has used TCP
			}
		}
		n++
		// The text of a zone of exactly two or three labels has no dot before it.
		w, ok := want[string(key)]
		if !ok {
			w = want["."+string(key)]
		}
		if b.Lower != w || b.Upper != w {
			t.Errorf("%s: %s has %d to %d, want %d", path, key, b.Lower, b.Upper, w)
		}
		if amplified && queries != x.asked[path][string(key)] {
			t.Errorf("%s: %s was asked for with %d bytes, want %d", path, key, queries, x.asked[path][string(key)])
		}
	}
	if n != len(want) {
		t.Errorf("%s has %d rows, want %d", path, n, len(want))
	}
	return n
}
