package collect

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// HubsHeader is the header of a hub's snapshots that lists the hubs whose minutes are in them: the numbers of their stores
// in hexadecimal digits, separated by commas.
//
// A hub that gets its own minutes back would count them again in each round. So it refuses answers that list it. That finds
// a loop of any length, because each hub passes on the list of those from which it gets minutes.
const HubsHeader = "Pktvisor-Hubs"

const (
	// maxHubs bounds the hubs in a list.
	maxHubs = 256
	// hubFor is for how long a hub is listed after its minutes came. It is longer than a hub is asked for changed minutes.
	hubFor = 2 * time.Hour
)

// readHubs returns the hubs that an answer lists. What cannot be read is left out.
func readHubs(h http.Header) []uint64 {
	var hubs []uint64
	for text := range strings.SplitSeq(h.Get(HubsHeader), ",") {
		if id, err := strconv.ParseUint(text, 16, 64); err == nil && len(hubs) < maxHubs {
			hubs = append(hubs, id)
		}
	}
	return hubs
}

// noteHubs notes the hubs whose minutes came. The collector's mutex is held.
func (c *Collector) noteHubs(hubs []uint64, now time.Time) {
	for _, id := range hubs {
		if _, known := c.hubs[id]; known || len(c.hubs) < maxHubs-1 {
			c.hubs[id] = now
		}
	}
	for id, at := range c.hubs {
		if now.Sub(at) > hubFor {
			delete(c.hubs, id)
		}
	}
}

// Hubs returns the value of [HubsHeader] for the snapshots of this hub.
func (c *Collector) Hubs() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := []string{strconv.FormatUint(c.cfg.Self, 16)}
	now := time.Now()
	for id, at := range c.hubs {
		if now.Sub(at) <= hubFor {
			list = append(list, strconv.FormatUint(id, 16))
		}
	}
	slices.Sort(list[1:])
	return strings.Join(list, ",")
}
