package arp

import (
	"time"

	"pktvisor/metric"
)

// claims remembers who claimed which IPv4 address last. An address that was seen more recently replaces another one with
// the same place, so that the table is bounded: it may miss conflicts, and invents none.
type claims struct {
	entries   [numClaims]claim
	conflicts metric.Gauge
}

const (
	numClaims = 1 << 12
	lifetime  = int64(5 * time.Minute)
)

// claim is an IPv4 address, who claimed it last, and until when (Unix time in nanoseconds) it is in conflict because
// another one did so before.
type claim struct {
	ip    uint32
	by    mac
	at    int64
	until int64 // 0 if it is not in conflict
}

// add notes a claim at the given time.
func (c *claims) add(hash uint64, ip uint32, by mac, now int64) {
	e := &c.entries[hash%numClaims]
	if e.ip != ip {
		c.end(e)
		*e = claim{ip: ip}
	}
	if e.by != by && e.by != anyMAC && now-e.at < lifetime {
		if e.until == 0 {
			c.conflicts++
		}
		e.until = now + lifetime
	}
	e.by, e.at = by, now
}

// expire ends the conflicts that lasted until now.
func (c *claims) expire(now int64) {
	if c.conflicts == 0 {
		return
	}
	for i := range c.entries {
		if e := &c.entries[i]; e.until != 0 && e.until <= now {
			c.end(e)
		}
	}
}

func (c *claims) end(e *claim) {
	if e.until != 0 {
		c.conflicts--
		e.until = 0
	}
}
