package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// consumerName is the consumer that all hubs share.
const consumerName = "hub"

// The bounds of what hubs hold at once, and of one batch. A batch must have room for the largest snapshot.
const (
	maxAckPending = 20_000
	maxBatch      = 2_000
	maxBatchBytes = 8 << 20
)

// ensureConsumer creates the consumer of snapshots if it is missing. With reset, and if this process is the only one, it
// gets what its predecessor held at once, instead of after AckWait.
func (s *Store) ensureConsumer(ctx context.Context, reset bool) error {
	stream := s.names.stream(0)
	c := jetstream.ConsumerConfig{
		Durable:       consumerName,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       s.config.AckWait,
		MaxAckPending: maxAckPending,
		MaxDeliver:    -1,
		MaxWaiting:    512,
	}
	if _, err := s.js.CreateOrUpdateConsumer(ctx, stream, c); err != nil {
		return s.explain("create the consumer of "+stream, err)
	}
	if s.embedded == nil || !reset {
		return nil
	}
	_, err := s.js.ResetConsumer(ctx, stream, consumerName)
	return s.explain("reset the consumer of "+stream, err)
}

// Delivery is a snapshot for this hub alone. It comes again, here or at another hub, unless Ack or Term is called.
type Delivery struct {
	Raw
	// Err says why the snapshot cannot be used. It is a [*RefusedError]. The other fields may be empty.
	Err error

	held *heldMessage
}

// Ack says that everything that holds the snapshot is stored.
func (d Delivery) Ack() { d.held.end("+ACK") }

// Nak gives the snapshot back. It is delivered again at once.
func (d Delivery) Nak() { d.held.end("-NAK") }

// Term says that the snapshot must not be delivered again.
func (d Delivery) Term(reason string) { d.held.end("+TERM " + reason) }

// Consume returns up to batch snapshots that wait, oldest first. It returns as soon as there is one, and none after a
// second. As long as a snapshot is neither acknowledged nor given back, the store tells JetStream that it is still being
// worked on.
func (s *Store) Consume(ctx context.Context, batch int) ([]Delivery, error) {
	all, err := s.pull(ctx, min(batch, maxBatch))
	s.holes.delivered(all)
	if isNoAnswer(err) && ctx.Err() == nil { // no server, no leader, or somebody has deleted the consumer
		ctx, cancel := within(ctx)
		defer cancel()
		err = errors.Join(err, s.ensureConsumer(ctx, false))
		pause(ctx, 100*time.Millisecond) // callers call in a loop
	}
	if len(all) > 0 {
		return all, nil // an error comes again if it lasts
	}
	return nil, s.failed("consume snapshots", err)
}

// pull is Consume without what follows.
func (s *Store) pull(ctx context.Context, batch int) ([]Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second) // the server answers after one
	defer cancel()
	body, err := json.Marshal(struct {
		Expires  time.Duration `json:"expires"`
		Batch    int           `json:"batch"`
		MaxBytes int           `json:"max_bytes"`
		NoWait   bool          `json:"no_wait"` // with expires: wait for the first message only
	}{time.Second, max(1, batch), maxBatchBytes, true})
	if err != nil {
		return nil, err
	}
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	defer sub.Unsubscribe()
	sub.SetPendingLimits(-1, -1)
	if err := s.nc.PublishRequest(s.api+"CONSUMER.MSG.NEXT."+s.names.stream(0)+"."+consumerName, inbox, body); err != nil {
		return nil, err
	}
	var all []Delivery
	for len(all) < batch {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return all, err
		}
		if status := msg.Header.Get("Status"); status != "" {
			return all, pullError(status, msg)
		}
		all = append(all, s.delivery(msg))
	}
	return all, nil
}

// pullError returns the error of a status with which an answer ends, or nil.
func pullError(status string, msg *nats.Msg) error {
	switch description := msg.Header.Get("Description"); {
	case status == "404" || status == "408": // no more messages, or the second is over
		return nil
	case status == "409" && description == "Message Size Exceeds MaxBytes":
		return nil // the batch is full
	case status == "503" || status == "409": // no consumer, or it was deleted or has another leader
		return fmt.Errorf("%w: %s", nats.ErrNoResponders, description)
	default:
		return fmt.Errorf("status %s: %s", status, description)
	}
}

func (s *Store) delivery(msg *nats.Msg) Delivery {
	var d Delivery
	d.Raw, d.Err = s.readRaw(msg.Subject, msg.Header, msg.Data)
	if d.Err != nil {
		s.status.refuse(d.Err)
	}
	if meta, err := msg.Metadata(); err == nil {
		d.Sequence, d.Arrived, d.Redelivered = meta.Sequence.Stream, meta.Timestamp, meta.NumDelivered > 1
	}
	d.held = s.held.add(s.nc, msg.Reply)
	return d
}

// held is the set of messages that were delivered and not acknowledged.
type held struct {
	mu  sync.Mutex
	all map[*heldMessage]struct{}
}

type heldMessage struct {
	set   *held
	nc    *nats.Conn
	reply string
	told  time.Time // when JetStream was last told
}

func (h *held) add(nc *nats.Conn, reply string) *heldMessage {
	m := &heldMessage{set: h, nc: nc, reply: reply, told: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[*heldMessage]struct{}{}
	}
	h.all[m] = struct{}{}
	return m
}

// end sends the last word on a message. A word that gets lost makes the message come again.
func (m *heldMessage) end(word string) {
	if m == nil {
		return
	}
	m.set.mu.Lock()
	_, first := m.set.all[m]
	delete(m.set.all, m)
	m.set.mu.Unlock()
	if first {
		m.nc.Publish(m.reply, []byte(word))
	}
}

// extend tells JetStream of the messages that are held for a quarter of AckWait that they are being worked on.
func (s *Store) extend(ctx context.Context) {
	every := s.config.AckWait / 4
	for pause(ctx, every) {
		now := time.Now()
		s.held.mu.Lock()
		for m := range s.held.all {
			if now.Sub(m.told) >= every {
				m.told = now
				s.nc.Publish(m.reply, []byte("+WPI"))
			}
		}
		s.held.mu.Unlock()
	}
}
