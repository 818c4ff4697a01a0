package agent

import (
	"context"
	"io"
	"testing"

	"pktvisor/analyze"
	"pktvisor/analyze/dns"
	"pktvisor/capture"
	"pktvisor/linktype"
	"pktvisor/metric"
)

// rounds ends a replay before a round.
type rounds struct {
	capture.Source
	left int
}

// ReadBatch reads a batch, unless it is the first of the round before which the replay ends.
func (r *rounds) ReadBatch(b *capture.Batch) error {
	err := r.Source.ReadBatch(b)
	if b.Restart {
		if r.left--; r.left == 0 {
			b.Frames = nil
			return io.EOF
		}
	}
	return err
}

// tcpOnly keeps TCP segments with ACK over IPv4, so that the first frames of a file are filtered out.
type tcpOnly struct{}

func (tcpOnly) Match(frame []byte, _ uint32) bool { return frame[14+9] == 6 && frame[14+20+13]&16 != 0 }

// TestReplayStartsOver: each round of a replay counts as the first one does, also for DNS over TCP, with a filter and without,
// in each shard.
func TestReplayStartsOver(t *testing.T) {
	const path, n = "../testdata/captures/dns-tcp.pcap", 4
	agentOf := func(shards int) *only {
		return newAgent(t, func(c *setup) { c.Shards, c.Single, c.Periods, c.Hosts = shards, false, 2, analyze.Hosts{} })
	}
	for name, filter := range map[string]func(capture.Source) capture.Source{
		"all": func(s capture.Source) capture.Source { return s },
		"filtered": func(s capture.Source) capture.Source {
			return capture.Filter(s, func(linktype.Type) (capture.Matcher, error) { return tcpOnly{}, nil })
		},
	} {
		file, err := capture.OpenFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		once := agentOf(1)
		if err := once.RunFile(context.Background(), filter(file)); err != nil {
			t.Fatal(err)
		}
		want := counters(once).TCP
		if want == 0 {
			t.Fatal("no DNS over TCP in the file")
		}
		for _, shards := range []int{1, 2} {
			a := agentOf(shards)
			var sources []capture.Source
			for range shards {
				src, err := capture.OpenReplay(t.Context(), capture.ReplayConfig{Path: path, Loop: true})
				if err != nil {
					t.Fatal(err)
				}
				defer src.Close()
				sources = append(sources, &rounds{filter(src), n})
			}
			if err := a.RunLive(context.Background(), sources); err != nil {
				t.Fatal(err)
			}
			if got := counters(a).TCP; got != metric.Counter(n*shards)*want {
				t.Errorf("%s, %d shards: %d messages over TCP in %d rounds, want %d each", name, shards, got, n, want)
			}
		}
	}
}

// counters returns the DNS counters of an agent's window.
func counters(a *only) dns.Counters {
	return metric.Of[dns.Metrics](a.Window().Merged(2).Sections[1]).Counters
}
