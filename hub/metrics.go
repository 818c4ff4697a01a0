package hub

import (
	"context"
	"sync"
	"time"

	"pktvisor/hub/ingest"
	"pktvisor/hub/store"
	"pktvisor/metric"
	"pktvisor/server"
)

// countEvery is how often the hosts are counted for Prometheus, at most.
const countEvery = 10 * time.Second

// counter counts the hosts for Prometheus.
type counter struct {
	mu    sync.Mutex
	at    time.Time
	count hostCount
	ok    bool
}

// get returns the hosts of the default policy, as they were up to countEvery ago.
func (c *counter) get(h *Hub) (hostCount, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := h.cfg.Now(); now.Sub(c.at) >= countEvery || now.Before(c.at) {
		ctx, cancel := context.WithTimeout(context.Background(), countEvery)
		defer cancel()
		policy, err := h.reader.Policy(ctx, "")
		var r *roster
		if err == nil {
			r, err = h.roster(ctx, policy)
		}
		if c.at, c.ok = now, err == nil; c.ok {
			c.count = r.count()
		}
	}
	return c.count, c.ok
}

type send = func(v float64, labels ...string)

func gauge(name, help string, values func(send send), labels ...string) server.OwnMetric {
	return server.OwnMetric{Type: metric.FamilyGauge, Name: "pktvisor_hub_" + name, Help: help, Labels: labels, Values: values}
}

func count(name, help string, values func(send send), labels ...string) server.OwnMetric {
	return server.OwnMetric{Type: metric.FamilyCounter, Name: "pktvisor_hub_" + name + "_total", Help: help, Labels: labels, Values: values}
}

// metrics returns the metrics about the hub itself.
func (h *Hub) metrics() []server.OwnMetric {
	hosts := new(counter)
	list := []server.OwnMetric{
		gauge("hosts", "Hosts of the default policy, by state: up, late or away.", func(send send) {
			if c, ok := hosts.get(h); ok {
				send(float64(c.Up), stateUp)
				send(float64(c.Late), stateLate)
				send(float64(c.Away), stateAway)
			}
		}, "state"),
		gauge("host_conflicts", "Names that two hosts share.", func(send send) {
			if c, ok := hosts.get(h); ok {
				send(float64(c.Conflicts))
			}
		}),
		gauge("targets", "Agents that are pulled, by state.", func(send send) {
			for state, n := range h.targetStates() {
				send(float64(n), state)
			}
		}, "state"),
		gauge("event_streams", "Clients of /api/v1/events.", func(send send) {
			n, _ := h.events.Count()
			send(float64(n))
		}),
		count("slow_event_streams", "Clients of /api/v1/events whose stream ended because they read too slowly.", func(send send) {
			_, slow := h.events.Count()
			send(float64(slow))
		}),
	}
	return append(append(list, h.storeMetrics()...), h.ingestMetrics()...)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// storeMetrics returns the metrics about the store.
func (h *Hub) storeMetrics() []server.OwnMetric {
	value := func(of func(s *store.Status) float64) func(send send) {
		return func(send send) {
			s := h.cfg.Store.Status()
			send(of(&s))
		}
	}
	streams := func(of func(s *store.StreamStatus) float64) func(send send) {
		return func(send send) {
			for _, s := range h.cfg.Store.Status().Streams {
				send(of(&s), s.Name)
			}
		}
	}
	return []server.OwnMetric{
		gauge("store_connected", "1 if the store is connected, otherwise 0.", value(func(s *store.Status) float64 { return flag(s.Connected) })),
		gauge("store_full", "1 if the store takes nothing because its disk is full, otherwise 0.", value(func(s *store.Status) float64 { return flag(s.Full) })),
		gauge("store_free_bytes", "Free bytes of the embedded store's file system.", value(func(s *store.Status) float64 { return float64(s.Free) })),
		gauge("store_waiting", "Snapshots that no hub has taken yet.", value(func(s *store.Status) float64 { return float64(s.Waiting) })),
		gauge("store_unacknowledged", "Snapshots that hubs hold.", value(func(s *store.Status) float64 { return float64(s.Unacknowledged) })),
		count("store_lost", "Messages that have vanished from the streams without having been removed.", value(func(s *store.Status) float64 { return float64(s.Lost) })),
		count("store_purged", "Snapshots that were removed early to make room.", value(func(s *store.Status) float64 { return float64(s.Purged) })),
		count("store_errors", "Errors of the store.", value(func(s *store.Status) float64 { return float64(s.Errors) })),
		count("store_refused", "Snapshots that were refused, by reason.", func(send send) {
			for reason, n := range h.cfg.Store.Status().Refused {
				send(float64(n), string(reason))
			}
		}, "reason"),
		gauge("stream_bytes", "Bytes in a stream.", streams(func(s *store.StreamStatus) float64 { return float64(s.Bytes) }), "stream"),
		gauge("stream_messages", "Messages in a stream.", streams(func(s *store.StreamStatus) float64 { return float64(s.Messages) }), "stream"),
	}
}

// ingestMetrics returns the metrics about the merging of host-minutes.
func (h *Hub) ingestMetrics() []server.OwnMetric {
	if h.cfg.Ingest == nil {
		return nil
	}
	value := func(of func(s *ingest.Status) float64) func(send send) {
		return func(send send) {
			s := h.cfg.Ingest()
			send(of(&s))
		}
	}
	return []server.OwnMetric{
		count("ingest_received", "Host-minutes that were delivered to this hub, also again.", value(func(s *ingest.Status) float64 { return float64(s.Received) })),
		count("ingest_stored", "Host-minutes that are in all of their rollups.", value(func(s *ingest.Status) float64 { return float64(s.Stored) })),
		count("ingest_late", "Host-minutes that came after the first rollup of their minute was stored.", value(func(s *ingest.Status) float64 { return float64(s.Late) })),
		count("ingest_duplicate", "Host-minutes that were delivered again.", value(func(s *ingest.Status) float64 { return float64(s.Duplicate) })),
		count("ingest_replaced", "Host-minutes of another hub that were replaced by newer revisions.", value(func(s *ingest.Status) float64 { return float64(s.Replaced) })),
		count("ingest_refused", "Host-minutes that were refused, by reason.", func(send send) {
			s := h.cfg.Ingest()
			send(float64(s.Future), "future")
			send(float64(s.TooOld), "too_old")
			send(float64(s.Damaged), "damaged")
			send(float64(s.Version), "version")
			send(float64(s.Refused), "other")
		}, "reason"),
		count("ingest_conflicts", "Rollups that another hub wrote first.", value(func(s *ingest.Status) float64 { return float64(s.Conflicts) })),
		count("ingest_rollups", "Rollups that were written, of all levels.", value(func(s *ingest.Status) float64 { return float64(s.Rollups) })),
		gauge("ingest_pending", "Host-minutes that wait for their rollups to be written.", value(func(s *ingest.Status) float64 { return float64(s.Pending) })),
		gauge("ingest_dirty", "Longer rollups that are to be computed.", value(func(s *ingest.Status) float64 { return float64(s.Dirty) })),
		gauge("ingest_lag_seconds", "Time since the end of the newest minute that is stored.", value(func(s *ingest.Status) float64 { return s.Lag })),
	}
}
