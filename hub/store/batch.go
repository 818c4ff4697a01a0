package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
)

// JetStream stores an atomic batch of messages with one fsync, or none of them: ADR-50 in
// github.com/nats-io/nats-architecture-and-design. The library does not know it.

// The bounds of a batch. The server holds it in memory twice.
const (
	minAtomic      = 8
	maxAtomic      = 100
	maxAtomicBytes = 4 << 20
)

// batchEnd returns how many of the messages the next batch has.
func batchEnd(messages []*nats.Msg) (n int) {
	bytes := 0
	for n < len(messages) && n < maxAtomic && (n == 0 || bytes+len(messages[n].Data) <= maxAtomicBytes) {
		bytes += len(messages[n].Data)
		n++
	}
	return n
}

// publishBatch stores all messages or none. After an error, nobody knows which. The messages are not changed.
func (s *Store) publishBatch(ctx context.Context, messages []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	id := rand.Text()
	for i, m := range messages {
		part := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: maps.Clone(m.Header)}
		part.Header.Set("Nats-Batch-Id", id)
		part.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		last := i == len(messages)-1
		if last {
			part.Header.Set("Nats-Batch-Commit", "1")
		}
		if i > 0 && !last { // only the first and the last are answered
			if err := s.nc.PublishMsg(part); err != nil {
				return err
			}
			continue
		}
		answer, err := s.nc.RequestMsgWithContext(ctx, part)
		if err != nil {
			return err
		}
		if err := batchAnswer(answer.Data, last, len(messages)); err != nil {
			return err
		}
	}
	return nil
}

// batchAnswer returns an error unless an answer says that a batch may begin, or that count messages are stored.
func batchAnswer(data []byte, last bool, count int) error {
	if !last && len(data) == 0 {
		return nil
	}
	var answer struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Count int `json:"count"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if answer.Error != nil {
		return fmt.Errorf("batch: %s (%d)", answer.Error.Description, answer.Error.Code)
	}
	if last && answer.Count != count {
		return fmt.Errorf("batch: %d of %d messages stored", answer.Count, count)
	}
	return nil
}
