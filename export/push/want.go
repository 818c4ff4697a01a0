package push

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"pktvisor/metric"
)

// The bounds of requests: how many wait, and the length of one in bytes.
const (
	maxRequests = 16
	maxRequest  = 4 << 10
)

// Request asks an agent to push sealed buckets of its window again, on the subject PREFIX.want.HOST, in JSON. It is for
// a hub whose store has lost messages.
type Request struct {
	// Policy is the policy of the buckets. From and To are Unix times in seconds. The request is for the buckets that
	// start at From or later, and before To.
	Policy string `json:"policy"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
}

// Answer is the answer to a [Request], in JSON. It is sent before the buckets are.
type Answer struct {
	// Buckets is how many buckets will be pushed. Error says why the request was refused.
	Buckets int    `json:"buckets"`
	Error   string `json:"error,omitempty"`
}

// onRequest answers a request.
func (p *Pusher) onRequest(msg *nats.Msg, sealed func() []*metric.Bucket) {
	answer := Answer{}
	n, err := p.request(msg.Data, sealed)
	if answer.Buckets = n; err != nil {
		answer.Error = err.Error()
	}
	b, _ := json.Marshal(answer) // always possible
	if msg.Reply != "" {
		msg.Respond(b) // if the connection is gone, so is the hub that asked
	}
}

// request queues the buckets that a request is for, and returns their number.
func (p *Pusher) request(data []byte, sealed func() []*metric.Bucket) (int, error) {
	var r Request
	if len(data) > maxRequest {
		return 0, fmt.Errorf("a request of %d bytes: send at most %d", len(data), maxRequest)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return 0, fmt.Errorf(`not a request: send {"policy": …, "from": …, "to": …}: %w`, err)
	}
	var wanted []*metric.Bucket
	for _, b := range sealed() {
		if b.Identity.Policy == r.Policy && b.Start >= r.From && b.Start < r.To && counted(b) {
			wanted = append(wanted, b)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return 0, fmt.Errorf("the agent is stopping")
	case len(p.again) > 0:
		return 0, fmt.Errorf("%d minutes of an earlier request still wait: ask again later", len(p.again))
	}
	p.again = wanted
	p.wakeUp()
	return len(wanted), nil
}
