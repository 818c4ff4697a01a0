package agent

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pktvisor/analyze"
	"pktvisor/internal/testkit"
	"pktvisor/metric"
	"pktvisor/window"
)

// countedPlaces counts how often it is asked for a place or a network.
type countedPlaces struct{ asked atomic.Int64 }

func (c *countedPlaces) City(a netip.Addr) string {
	c.asked.Add(1)
	return "city of " + a.String()
}

func (c *countedPlaces) ASN(a netip.Addr) string {
	c.asked.Add(1)
	return "network of " + a.String()
}

// members returns all values of a JSON object by their paths.
func members(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(b, &object); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		if object, ok := v.(map[string]any); ok {
			for name, member := range object {
				walk(path+"."+name, member)
			}
			return
		}
		all[path] = v
	}
	walk("", object)
	return all
}

// TestGroups: an agent whose tables lack a group of metrics has the same values for all other metrics. It does not look up
// locations that no metric needs, and the group takes no memory in buckets or in analyzers.
func TestGroups(t *testing.T) {
	file, _ := traffic(t, testkit.TinyMixed(), 20_000, 1)
	run := func(keep func(d *metric.Desc) bool, shards int) (a *only, topics []analyze.Topic, asked int64) {
		locate := new(countedPlaces)
		a = summarise(t, file, func(s *setup) {
			s.Shards = shards
			topics = Topics(locate, s.DNSTimeout)
			for i := range topics {
				topics[i].Table = topics[i].Table.Select(keep)
			}
			s.Topics = topics
		})
		return a, topics, locate.asked.Load()
	}
	image := func(a *only) map[string]any {
		return members(t, a.Window().Bucket(0).AppendJSON(nil, metric.JSONOptions{Key: "k", Rows: 1000}))
	}
	memory := func(topics []analyze.Topic) (buckets, analyzers int64) {
		for _, topic := range topics {
			analyzers += topic.Memory(topic.Table, 0)
		}
		return window.Memory(tables(topics), 5, window.SealedSlots(5, 0)), analyzers
	}
	for _, shards := range []int{1, 2} {
		whole, topics, asked := run(func(*metric.Desc) bool { return true }, shards)
		if asked == 0 {
			t.Fatal("no location was looked up")
		}
		all := image(whole)
		for path, value := range all {
			if rows, ok := value.([]any); ok && len(rows) == 0 {
				t.Errorf("the traffic has nothing for %s", path)
			}
		}
		ofBuckets, ofAnalyzers := memory(topics)
		for _, group := range metric.Groups(Tables) {
			a, topics, asked := run(func(d *metric.Desc) bool { return d.Group != group }, shards)
			want, removed := maps.Clone(all), 0
			for _, topic := range Topics(nil, 0) {
				for _, d := range topic.Table.Descs {
					if d.Group != group {
						continue
					}
					path := ".k." + topic.Table.Section + "." + d.Path
					removed++
					if _, ok := want[path+"_error"]; ok {
						removed++
					}
					maps.DeleteFunc(want, func(p string, _ any) bool { return p == path || p == path+"_error" })
				}
			}
			if len(want) != len(all)-removed {
				t.Errorf("group %s: %d members of %d, of which %d are in the group", group, len(want), len(all), removed)
			}
			if diff := cmp.Diff(want, image(a)); diff != "" {
				t.Errorf("%d shards, without group %s (-want +got):\n%s", shards, group, diff)
			}
			if (asked == 0) != (group == "geo") {
				t.Errorf("without group %s: %d locations were looked up", group, asked)
			}
			buckets, analyzers := memory(topics)
			// The columns of whole names share the entries of the names, and zones need the suffixes that qname2 and qname3 count.
			if buckets >= ofBuckets || analyzers > ofAnalyzers || analyzers == ofAnalyzers && group != "rcode" && group != "qname" {
				t.Errorf("without group %s: at most %d and %d bytes, with it %d and %d", group, buckets, analyzers, ofBuckets, ofAnalyzers)
			}
			for _, s := range a.Window().Bucket(0).Sections {
				if slices.ContainsFunc(s.Table.Descs, func(d metric.Desc) bool { return d.Group == group }) {
					t.Errorf("section %s has metrics of group %s", s.Table.Section, group)
				}
			}
		}
	}
}
