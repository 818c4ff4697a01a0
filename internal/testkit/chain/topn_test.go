package chain

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/dns"
	"pktvisor/analyze/packets"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/server"
	"pktvisor/window"
)

// The fleet of the test. Of its queries, 70% are for names that are popular everywhere and 30% for names of the POP; 40% of the clients
// ask everywhere and 60% at their POP. Popularities follow Zipf's law. A host has between 2,000 and 20,000 queries.
const (
	hosts = 100
	pops  = 10
)

// fleetTables are the tables of the test.
var fleetTables = []string{"dns.top_qname3", "packets.top_ipv4"}

// fleetMinute makes the minute of a host, and adds to the exact counts of the fleet.
func fleetMinute(host int, start int64, exact map[string]map[string]uint64) *metric.Bucket {
	r := rand.New(rand.NewPCG(1, uint64(host)))
	names, local := rand.NewZipf(r, 1.05, 1, 200_000), rand.NewZipf(r, 1.05, 1, 20_000)
	clients, near := rand.NewZipf(r, 1.01, 4, 100_000), rand.NewZipf(r, 1.01, 4, 30_000)
	b := metric.NewBucket(agent.Tables)
	b.Start, b.End = start, start+minute.Seconds
	b.Identity = metric.Identity{Host: fmt.Sprintf("ns%03d", host), Policy: "default", Boot: uint64(host) + 1, Seq: 1}
	ps, _ := b.Section(packets.Table.Section)
	ds, _ := b.Section(dns.Table.Section)
	p, d := metric.Of[packets.Metrics](ps), metric.Of[dns.Metrics](ds)
	pop := host % pops
	for range 2_000 * (1 + host%10) {
		name := fmt.Sprintf("www.z%d.example", names.Uint64())
		if r.IntN(10) < 3 {
			name = fmt.Sprintf("www.z%d.pop%d.example", local.Uint64(), pop)
		}
		n := clients.Uint64()
		client := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		if r.IntN(10) < 6 {
			n = near.Uint64()
			client = netip.AddrFrom4([4]byte{byte(20 + pop), 0, byte(n >> 8), byte(n)})
		}
		d.TopQname3.Add([]byte(name), 1)
		p.TopIPv4.Add([]byte(client.String()), 1)
		exact[fleetTables[0]][name]++
		exact[fleetTables[1]][client.String()]++
	}
	b.Seal(8192)
	return b
}

// serveHost serves a minute as an agent does, with one packet in each of the two minutes before. It has an address of its own. It returns
// the URL.
func serveHost(t *testing.T, host int, b *metric.Bucket) string {
	t.Helper()
	w := window.New(window.Config{Tables: agent.Tables, Periods: 5, Shards: 1, DeepSamplePercent: 100, Identity: b.Identity})
	var list []*metric.Bucket
	for _, start := range []int64{b.Start - 2*minute.Seconds, b.Start - minute.Seconds} {
		before := metric.NewBucket(agent.Tables)
		before.Start, before.End, before.Identity = start, start+minute.Seconds, b.Identity
		metric.Of[packets.Metrics](before.Sections[0]).Total++
		before.Seal(64)
		list = append(list, before)
	}
	w.Restore(append(list, b), b.End)
	s := server.New(server.Config{
		Window: w, Tables: agent.Tables, Sources: agent.SourceTable, Version: "1", Started: time.Now(), DeepSamplePercent: 100, Host: b.Identity.Host,
		Status: func() server.Status { return server.Status{} },
	})
	l, err := net.Listen("tcp", fmt.Sprintf("127.1.0.%d:0", 1+host))
	if err != nil {
		t.Skipf("this test needs the loopback addresses 127.1.0.0/24: %v", err)
	}
	h := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.Handler()}}
	h.Start()
	t.Cleanup(h.Close)
	return h.URL
}

// ranked lists keys by their counts, the largest first.
func ranked(counts map[string]float64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
}

// found returns how many of the n largest keys a ranking has among its first n.
func found(ranking, truth []string, n int) (k int) {
	for _, name := range truth[:n] {
		if slices.Contains(ranking[:min(n, len(ranking))], name) {
			k++
		}
	}
	return k
}

// short returns how much the counts of the first n keys of a ranking are below the truth, at worst, in percent.
func short(ranking []string, counts, exact map[string]float64, n int) (worst float64) {
	for _, name := range ranking[:min(n, len(ranking))] {
		worst = max(worst, 100*(1-counts[name]/exact[name]))
	}
	return worst
}

// TestTopNames: Telegraf polls a hundred hosts. The sum of their lists of ten rows, which is what a database can make of them, is
// compared with the truth, and so is the answer of a hub that merges the hosts' sketches. Testdata/topn.golden has the figures of the
// lists, which docs/elasticsearch.md repeats. Telegraf also polls the hub, whose rows arrive as its API has them.
func TestTopNames(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	Peer(t, "telegraf")
	build(t, "pktvisor-hub")
	start := minute.Of(time.Now().Unix()) - minute.Seconds // the newest minute that any host has, however long the test takes
	exact := map[string]map[string]uint64{}
	for _, table := range fleetTables {
		exact[table] = map[string]uint64{}
	}
	var agents, polled []string
	for host := range hosts {
		url := serveHost(t, host, fleetMinute(host, start, exact))
		agents = append(agents, "--agent", fmt.Sprintf("%s,pop=ams%d", url, host%pops))
		polled = append(polled, fmt.Sprintf("%q", url+"/api/v1/metrics/bucket/1"))
	}
	hub := startHub(t, agents)
	var merged summary
	for before := range int64(3) { // the hub writes its minutes in no particular order
		from := start - before*minute.Seconds
		for group, want := range map[string]float64{"": hosts, "&tag=pop=ams1": hosts / pops} {
			path := fmt.Sprintf("http://%s/api/v1/metrics/range?from=%d&to=%d&rows=100%s", hub.Addr, from, from+minute.Seconds, group)
			testkit.Eventually(t, "the hub has all hosts", func() bool {
				r, err := http.Get(path)
				if err != nil {
					return false
				}
				r.Body.Close()
				if r.StatusCode != http.StatusOK {
					return false
				}
				s := readSummary(t, get(t, path))
				if before == 0 && group == "" {
					merged = s
				}
				return s.numbers["fleet.hosts"] == want
			})
		}
	}

	config, err := os.ReadFile(example(t, "telegraf/telegraf.conf"))
	if err != nil {
		t.Fatal(err)
	}
	const urls = `urls = ["${PKTVISOR_AGENT:-http://localhost:10853}/api/v1/metrics/bucket/1"]`
	if !strings.Contains(string(config), urls) {
		t.Fatal("telegraf.conf has other URLs")
	}
	many := filepath.Join(t.TempDir(), "telegraf.conf")
	text := strings.Replace(string(config), urls, "urls = ["+strings.Join(polled, ", ")+"]", 1)
	if err := os.WriteFile(many, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	db := newSink(t)
	telegraf(t, []string{"PKTVISOR_HUB=http://" + hub.Addr, "ELASTICSEARCH=" + db.URL}, many, example(t, "telegraf/hub.conf"))
	documents, _ := db.all()
	checkDocuments(t, documents)

	var fromHub, fromPop []document
	fromAgents, minutes := map[string]bool{}, map[string]bool{}
	lists := map[string]map[string]float64{fleetTables[0]: {}, fleetTables[1]: {}}
	for _, d := range documents {
		if d.Tags["group"] != "" {
			minutes[fmt.Sprint(d.Tags["group"], " ", (start-d.Time.Unix())/minute.Seconds)] = true
		}
		switch {
		case d.Tags["group"] == "all" && d.Time.Unix() == start:
			fromHub = append(fromHub, d)
		case d.Tags["group"] == "pop=ams1" && d.Time.Unix() == start:
			fromPop = append(fromPop, d)
		case d.Tags["group"] == "":
			fromAgents[d.Tags["host"]] = true
			if sums := lists[d.Tags["table"]]; sums != nil {
				sums[d.Fields["name"].(string)] += d.Fields["lower"].(float64) // as examples/elasticsearch/top-names.json does
			}
		}
	}
	if want := []string{"all 0", "all 1", "all 2", "pop=ams1 0", "pop=ams1 1", "pop=ams1 2"}; !slices.Equal(slices.Sorted(maps.Keys(minutes)), want) {
		t.Errorf("documents of the groups and minutes before the newest %v, want %v", minutes, want)
	}
	if len(fromAgents) != hosts {
		t.Errorf("rows of %d hosts, want %d", len(fromAgents), hosts)
	}
	for group, got := range map[string][]document{"": fromHub, "?tag=pop=ams1": fromPop} {
		s := readSummary(t, get(t, "http://"+hub.Addr+"/api/v1/metrics/bucket/1"+group))
		compare(t, "hub"+group, got, wantDocuments(s, map[string]string{"group": cmp.Or(strings.TrimPrefix(group, "?tag="), "all")}))
	}

	figures := "table\trows\tfound\tfall short by up to\n"
	for _, table := range fleetTables {
		truth := map[string]float64{}
		for name, n := range exact[table] {
			truth[name] = float64(n)
		}
		hubSays, outside := map[string]float64{}, 0
		for _, row := range merged.tables[table] {
			name := row["name"].(string)
			hubSays[name] = row["estimate"].(float64)
			lower, upper := hubSays[name], hubSays[name]
			if row["upper"] != nil {
				lower, upper = row["lower"].(float64), row["upper"].(float64)
			}
			if truth[name] < lower || truth[name] > upper {
				outside++
			}
		}
		order, sums, ofHub := ranked(truth), ranked(lists[table]), ranked(hubSays)
		for _, n := range []int{10, 100} {
			figures += fmt.Sprintf("%s\t%d\t%d\t%.0f%%\n", table, n, found(sums, order, n), short(sums, lists[table], truth, n))
		}
		// What the hub finds depends a little on the order in which it gets the minutes.
		ten, all := found(ofHub, order, 10), found(ofHub, order, 100)
		less := short(ofHub, hubSays, truth, 100)
		t.Logf("%s: the hub finds %d of 10 and %d of 100, up to %.1f%% short", table, ten, all, less)
		if ten != 10 || all < 95 || less > 10 || outside > 0 {
			t.Errorf("%s: the hub finds %d of 10 and %d of 100, up to %.1f%% short, and %d are outside the bounds", table, ten, all, less, outside)
		}
	}
	testkit.Golden(t, "testdata/topn.golden", []byte(figures))
}

// startHub starts a hub that fetches from agents.
func startHub(t *testing.T, agents []string) *testkit.Program {
	t.Helper()
	return start(t, "pktvisor-hub", append(agents, "--data", t.TempDir())...)
}
