package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// JetStream's direct get answers from any server that has a copy of the stream, also while there is no leader, with one
// message of the connection for each stored one. The library only knows it for single messages. Here is the form for
// several: ADR-31 in github.com/nats-io/nats-architecture-and-design.

// directRequest is a request for stored messages. multi_last returns the last message of each subject in the order of the
// sequences. It fails for more than 1,024 subjects.
type directRequest struct {
	MultiLast []string   `json:"multi_last,omitempty"`
	NextBy    string     `json:"next_by_subj,omitempty"`
	Seq       uint64     `json:"seq,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	UpToSeq   uint64     `json:"up_to_seq,omitempty"`
	Batch     int        `json:"batch,omitempty"`
	MaxBytes  int        `json:"max_bytes,omitempty"`
}

// stored is a message of a stream.
type stored struct {
	subject string
	seq     uint64
	at      time.Time
	header  nats.Header
	data    []byte
}

// directEnd is the end of an answer.
type directEnd struct {
	pending uint64 // how many more messages there are than those that were sent
	last    uint64 // sequence of the last message that was sent
	upTo    uint64 // the newest sequence that the server had, for multi_last, or 0
}

// maxAnswer bounds the bytes of the messages in one answer. The last message may exceed it.
const maxAnswer = 4 << 20

// maxAnswers is more than the messages of any answer: a batch of [Store.Consume], or 1,024 rollups. The library allocates and
// clears a queue of that length for each request. Its default of 65,536 takes half a megabyte, and as long as the request.
const maxAnswers = 2 * maxBatch

// attempt is how long to wait for the next message of an answer.
const attempt = 5 * time.Second

// direct sends a request to a stream and calls each for the messages of the answer. It returns errNone if there is no
// message. It repeats the request as long as nobody answers and ctx lasts, unless each was already called.
func (s *Store) direct(ctx context.Context, stream string, req directRequest, each func(m stored) error) (end directEnd, err error) {
	if req.MaxBytes == 0 {
		req.MaxBytes = maxAnswer
	}
	body, err := json.Marshal(req)
	if err != nil {
		return end, err
	}
	for {
		if err := s.connected(); err != nil {
			return end, err
		}
		called := false
		end, err = s.directOnce(ctx, stream, body, func(m stored) error {
			called = true
			return each(m)
		})
		if err == nil || called || !isNoAnswer(err) || !pause(ctx, 100*time.Millisecond) {
			return end, err
		}
	}
}

// errNone says that a request found nothing.
var errNone = errors.New("no message")

func (s *Store) directOnce(ctx context.Context, stream string, body []byte, each func(m stored) error) (end directEnd, err error) {
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return end, err
	}
	defer sub.Unsubscribe()
	sub.SetPendingLimits(-1, -1) // the answer is bounded by what the request asks for
	if err := s.nc.PublishRequest(s.api+"DIRECT.GET."+stream, inbox, body); err != nil {
		return end, err
	}
	for {
		next, cancel := context.WithTimeout(ctx, attempt)
		msg, err := sub.NextMsgWithContext(next)
		cancel()
		if err != nil {
			return end, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			m, err := storedOf(msg)
			if err != nil {
				return end, err
			}
			if err := each(m); err != nil {
				return end, err
			}
		case "204":
			end.pending = number(msg, "Nats-Num-Pending")
			end.last = number(msg, "Nats-Last-Sequence")
			end.upTo = number(msg, "Nats-UpTo-Sequence")
			return end, nil
		case "404":
			return end, errNone
		case "503":
			return end, nats.ErrNoResponders
		default:
			return end, fmt.Errorf("direct get from %s: %s %s", stream, status, msg.Header.Get("Description"))
		}
	}
}

func number(msg *nats.Msg, header string) uint64 {
	n, _ := strconv.ParseUint(msg.Header.Get(header), 10, 64)
	return n
}

func storedOf(msg *nats.Msg) (m stored, err error) {
	m = stored{subject: msg.Header.Get("Nats-Subject"), seq: number(msg, "Nats-Sequence"), header: msg.Header, data: msg.Data}
	m.at, err = time.Parse(time.RFC3339Nano, msg.Header.Get("Nats-Time-Stamp"))
	if err != nil || m.seq == 0 || m.subject == "" {
		return m, fmt.Errorf("direct get: a message without subject, sequence or time: %v", msg.Header)
	}
	return m, nil
}

// pause waits for d. It returns false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
