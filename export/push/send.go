package push

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/metric"
	"pktvisor/subject"
)

// run connects, and pushes until ctx is done or the pusher is closed and nothing waits.
func (p *Pusher) run(ctx context.Context, sealed func() []*metric.Bucket) {
	defer close(p.done)
	conn, err := p.connect(sealed)
	if err != nil { // New has checked what can be wrong
		p.unlinked(err)
		return
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		p.unlinked(err)
		return
	}
	var data []byte // of the bucket that is being sent
	var of *metric.Bucket
	for tries := 0; ctx.Err() == nil; {
		b, again, end := p.next()
		switch {
		case end:
			return
		case b == nil:
			tries = 0
			select {
			case <-p.wake:
			case <-ctx.Done():
			}
			continue
		case b != of:
			of, data, tries = b, p.snapshot(b), 0
		}
		err := p.publish(ctx, js, b, data, again)
		if err != nil && ctx.Err() != nil {
			return
		}
		p.result(b, again, err)
		if err == nil {
			of, data = nil, nil
			continue
		}
		tries++
		p.wait(ctx, tries)
	}
}

// next returns the bucket to push, and whether it was requested again. It returns nil if there is nothing to do, or no
// connection. It returns true for end if there will be nothing to do.
func (p *Pusher) next() (b *metric.Bucket, again, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.queue) == 0 && p.closed:
		return nil, false, true
	case !p.status.Connected:
		return nil, false, false
	case len(p.queue) > 0:
		return p.queue[0], false, false
	case len(p.again) > 0:
		return p.again[0], true, false
	}
	return nil, false, false
}

// wait waits after a failed attempt. A new bucket, a new connection or Close ends the wait.
func (p *Pusher) wait(ctx context.Context, tries int) {
	pause := slowWait
	if tries <= quickTries {
		pause = cmp.Or(p.cfg.retry, retryWait) << (tries - 1)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.wake:
	case <-ctx.Done():
	}
}

// snapshot returns the bucket as it is sent.
func (p *Pusher) snapshot(b *metric.Bucket) []byte {
	return b.AppendSnapshot(nil, metric.SnapshotOptions{Agent: p.cfg.Agent, Compression: metric.Zstd})
}

// publish sends a bucket and waits for the acknowledgement. A bucket that was requested again has no message id, because
// JetStream would drop it if it remembers the id of a message that it has lost.
func (p *Pusher) publish(ctx context.Context, js jetstream.JetStream, b *metric.Bucket, data []byte, again bool) error {
	p.mu.Lock()
	p.refused = ""
	p.mu.Unlock()
	msg := nats.NewMsg(subject.Raw(p.cfg.Prefix, b.Identity.Policy, b.Identity.Host))
	msg.Data = data
	if !again {
		msg.Header.Set(nats.MsgIdHdr, subject.MsgID(b.Identity, b.Start))
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.cfg.answer, answerWait))
	defer cancel()
	_, err := js.PublishMsg(ctx, msg)
	return err
}

// result records the result of an attempt.
func (p *Pusher) result(b *metric.Bucket, again bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		if p.sendErr != "" {
			p.log.Info("pushing again")
		}
		p.sendErr = ""
		if again {
			p.again = removed(p.again, b)
		} else {
			p.queue = removed(p.queue, b) // unless it was dropped meanwhile
		}
		p.status.Acknowledged++
		return
	}
	p.status.Failed++
	if !p.status.Connected {
		return // linkErr says why
	}
	if why := p.reason(err); why != p.sendErr {
		p.sendErr = why
		p.log.Warn("cannot push minutes: "+why, "waiting", len(p.queue))
	}
	if hopeless(err) {
		p.again = removed(p.again, b)
		p.drop(b, "no attempt can succeed")
	}
}

// reason describes why an attempt failed. The caller holds mu.
func (p *Pusher) reason(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded) && p.refused != "":
		return p.refused
	case errors.Is(err, context.DeadlineExceeded):
		return "no acknowledgement in time: the stream may be full, or its server away"
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return "no stream takes " + p.cfg.Prefix + ".raw.>: start the hub, or create the stream"
	}
	return err.Error()
}

// hopeless reports whether an attempt failed because of the bucket itself.
func hopeless(err error) bool {
	var refused *jetstream.APIError
	return errors.Is(err, nats.ErrMaxPayload) ||
		errors.As(err, &refused) && refused.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum
}

// removed returns a list without b.
func removed(list []*metric.Bucket, b *metric.Bucket) []*metric.Bucket {
	if i := slices.Index(list, b); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}
