package simulate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/internal/regular"
	"pktvisor/minute"
	"pktvisor/subject"
)

// PushOptions say where to push, and as whom.
type PushOptions struct {
	URL, Prefix      string
	Creds, TokenFile string
}

const (
	// inFlight is how many snapshots may wait for their acknowledgement.
	inFlight = 256
	// answerWait is how long an acknowledgement may take, and retryWait the wait before another attempt.
	answerWait = 10 * time.Second
	retryWait  = 250 * time.Millisecond
)

// connect connects to NATS.
func (p PushOptions) connect() (*nats.Conn, error) {
	options := []nats.Option{nats.Name("pktvisor-hub simulate"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.ReconnectWait(retryWait)}
	if p.Creds != "" {
		options = append(options, nats.UserCredentials(p.Creds))
	}
	if p.TokenFile != "" {
		token, err := regular.Secret(p.TokenFile)
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Token(token))
	}
	return nats.Connect(p.URL, options...)
}

// flight is a message that waits for its acknowledgement.
type flight struct {
	message *nats.Msg
	answer  jetstream.PubAckFuture // nil if the message could not be sent
}

// pusher pushes the snapshots of a fleet.
type pusher struct {
	js      jetstream.JetStream
	options *Options
	fleet   *Fleet
	clock   Clock

	flights chan flight
	spare   chan *nats.Msg

	acked, known, again uint64 // snapshots that are stored, those that were stored before, and further attempts
}

// push pushes all minutes of a fleet, each when the fleet's time is two seconds past its end. It returns when all are
// acknowledged.
func push(ctx context.Context, o *Options, fleet *Fleet, clock Clock) error {
	nc, err := o.Push.connect()
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*inFlight), jetstream.WithPublishAsyncTimeout(answerWait))
	if err != nil {
		return err
	}
	p := &pusher{js: js, options: o, fleet: fleet, clock: clock, flights: make(chan flight, inFlight), spare: make(chan *nats.Msg, inFlight)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	landed := make(chan error, 1)
	go func() {
		err := p.land(ctx)
		if err != nil {
			cancel() // ends send
		}
		landed <- err
	}()
	err = p.send(ctx)
	close(p.flights)
	if landing := <-landed; landing != nil {
		err = landing
	}
	return err
}

// send publishes everything.
func (p *pusher) send(ctx context.Context) error {
	began := time.Now()
	for step := range p.options.Minutes + maxLate {
		due := p.clock.When(float64(p.clock.Begin + int64(step+1)*minute.Seconds + minute.Grace))
		if !sleepUntil(ctx, due) {
			return ctx.Err()
		}
		sent := 0
		for host := range p.fleet.Hosts() {
			for min := max(step-maxLate, 0); min <= step && min < p.options.Minutes; min++ {
				if min+p.fleet.Delay(host, min) != step {
					continue
				}
				sent++
				if err := p.hostMinute(ctx, host, min); err != nil {
					return err
				}
			}
		}
		if sent > 0 {
			p.options.Log.Debug("pushed", "minute", step, "host_minutes", sent, "behind", time.Since(due).Round(time.Millisecond))
		}
	}
	p.options.Log.Info("all is pushed", slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	return nil
}

// hostMinute publishes the snapshots of a host-minute. A duplicate has no message id, so that only a hub that looks at its
// identity knows it.
func (p *pusher) hostMinute(ctx context.Context, host, min int) error {
	start := p.fleet.Start(host, p.clock.Begin, min)
	for _, s := range p.fleet.Of(host, min) {
		id := p.fleet.Identity(s)
		if err := p.publish(ctx, s, start, subject.MsgID(id, start)); err != nil {
			return err
		}
		if p.fleet.Duplicate(host, min) {
			if err := p.publish(ctx, s, start, ""); err != nil {
				return err
			}
		}
	}
	return nil
}

// publish sends a snapshot without waiting for the answer.
func (p *pusher) publish(ctx context.Context, s Snapshot, start int64, id string) error {
	var m *nats.Msg
	select {
	case m = <-p.spare:
	default:
		m = &nats.Msg{}
	}
	m.Subject = subject.Raw(p.options.Push.Prefix, p.fleet.cfg.Policy, p.fleet.Name(s.Host))
	m.Data = p.fleet.Append(m.Data[:0], s, start)
	m.Reply, m.Header = "", nats.Header{}
	if id != "" {
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	answer, err := p.js.PublishMsgAsync(m)
	if err != nil {
		answer = nil // land sends it again
	}
	select {
	case p.flights <- flight{m, answer}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// land waits for the answers, in the order of the messages, and sends a message again until it is acknowledged.
func (p *pusher) land(ctx context.Context) error {
	for f := range p.flights {
		ack, err := f.wait(ctx)
		for err != nil {
			if !sleepUntil(ctx, time.Now().Add(retryWait)) {
				return fmt.Errorf("push: %w", err)
			}
			p.again++
			f.message.Reply = ""
			limited, cancel := context.WithTimeout(ctx, answerWait)
			ack, err = p.js.PublishMsg(limited, f.message)
			cancel()
		}
		p.acked++
		if ack.Duplicate {
			p.known++
		}
		select {
		case p.spare <- f.message:
		default:
		}
	}
	p.options.Log.Info("all is acknowledged", "snapshots", p.acked, "known_before", p.known, "sent_again", p.again)
	return nil
}

// errUnsent is the error of a message that could not be sent.
var errUnsent = errors.New("not sent")

func (f flight) wait(ctx context.Context) (*jetstream.PubAck, error) {
	if f.answer == nil {
		return nil, errUnsent
	}
	select {
	case ack := <-f.answer.Ok():
		return ack, nil
	case err := <-f.answer.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// sleepUntil waits until a time. It returns false if ctx has ended.
func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
