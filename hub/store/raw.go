package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/subject"
)

// Raw is a snapshot of one host, as it is stored.
type Raw struct {
	Info metric.SnapshotInfo
	// Tags are the snapshot's tags, overlaid with those that came with it.
	Tags metric.Tags
	// Data is the snapshot. It belongs to the receiver.
	Data []byte
	// Sequence is the number of the message in the stream. Arrived is when JetStream got it.
	Sequence uint64
	Arrived  time.Time
	// Redelivered says that the snapshot was given to a hub before, which did not acknowledge it.
	Redelivered bool
}

// Put is a snapshot to store, and the tags that the collector adds to those of the agent. Again says that the snapshot may
// have been stored and lost since then. It is then stored in any case: JetStream knows the ids of lost messages for some
// minutes, and would take it for one that is there.
type Put struct {
	Data  []byte
	Extra metric.Tags
	Again bool
}

// tagsHeader is the header with the collector's tags.
const tagsHeader = "Pv-Tags"

// PutRaw stores a snapshot. It returns nil once the snapshot is durable, also if it was there already. It returns a
// [*RefusedError] for a snapshot that can never be stored, and [ErrFull] or [ErrUnavailable] for one to send again later.
func (s *Store) PutRaw(ctx context.Context, data []byte, extra metric.Tags) error {
	return s.PutRaws(ctx, []Put{{Data: data, Extra: extra}})[0]
}

// slowDisk is how long a disk may take to store a snapshot of many.
const slowDisk = 50 * time.Millisecond

// inFlight is how many snapshots of a call may wait for their acknowledgement.
const inFlight = 64

// PutRaws stores many snapshots. The errors are those of [Store.PutRaw], one for each snapshot.
func (s *Store) PutRaws(ctx context.Context, puts []Put) []error {
	ctx, cancel := context.WithTimeout(ctx, deadline+time.Duration(len(puts))*slowDisk)
	defer cancel()
	errs := make([]error, len(puts))
	messages := make([]*nats.Msg, len(puts))
	for i, p := range puts {
		messages[i], errs[i] = s.message(p)
	}
	if s.room.Load() >= roomFull {
		for i := range errs {
			if errs[i] == nil {
				errs[i] = s.failed("store a snapshot", ErrFull)
			}
		}
		return errs
	}
	s.publishBatches(ctx, messages)
	// The messages without an answer are sent again with the same ids, until the time is over.
	for progress := time.Now(); ; {
		stored, again := s.publish(ctx, messages, errs)
		if stored > 0 {
			progress = time.Now()
		}
		if !again || time.Since(progress) > deadline || s.room.Load() >= roomFull || s.closed.Load() || !pause(ctx, 100*time.Millisecond) {
			break
		}
	}
	for i, err := range errs {
		if err != nil && !errors.Is(err, ErrRefused) {
			errs[i] = s.failed("store a snapshot", err)
		}
	}
	return errs
}

// publishBatches stores messages in batches and removes those that are stored. A batch that fails, for example because one
// of its messages is there already, is left for publish.
func (s *Store) publishBatches(ctx context.Context, messages []*nats.Msg) {
	if !s.atomic {
		return
	}
	var left []*nats.Msg // without the refused ones
	var places []int
	for i, m := range messages {
		if m != nil {
			left, places = append(left, m), append(places, i)
		}
	}
	for len(left) >= minAtomic {
		n := batchEnd(left)
		if n >= minAtomic {
			err := s.publishBatch(ctx, left[:n])
			s.beat(0, err)
			if isNoAnswer(err) {
				return
			}
			if err == nil {
				for _, i := range places[:n] {
					messages[i] = nil
				}
			}
		}
		left, places = left[n:], places[n:]
	}
}

// publish sends the messages that are left and waits for the answers. It removes those that are stored, and counts them.
// It reports whether others had no answer. After the first of these, it sends no more.
func (s *Store) publish(ctx context.Context, messages []*nats.Msg, errs []error) (stored int, again bool) {
	waiting := make([]jetstream.PubAckFuture, len(messages))
	wait := func(i int) {
		if waiting[i] == nil {
			return
		}
		select {
		case <-waiting[i].Ok():
			errs[i] = nil
		case errs[i] = <-waiting[i].Err():
		case <-ctx.Done():
			errs[i] = ctx.Err()
		}
		s.beat(0, errs[i])
		if errs[i] == nil {
			messages[i] = nil
			stored++
		}
		again = again || isNoAnswer(errs[i])
	}
	for i, m := range messages {
		if i >= inFlight {
			wait(i - inFlight)
		}
		switch {
		case m == nil:
		case again:
			errs[i] = nats.ErrTimeout
		default:
			waiting[i], errs[i] = s.js.PublishMsgAsync(m)
			again = again || isNoAnswer(errs[i])
		}
	}
	for i := max(0, len(messages)-inFlight); i < len(messages); i++ {
		wait(i)
	}
	return stored, again
}

// message checks a snapshot and makes the message that stores it.
func (s *Store) message(p Put) (*nats.Msg, error) {
	info, err := s.checkRaw(p.Data)
	if err != nil {
		s.status.refuse(err)
		return nil, err
	}
	m := nats.NewMsg(subject.Raw(s.config.Prefix, info.Identity.Policy, info.Identity.Host))
	m.Data = p.Data
	if !p.Again {
		m.Header.Set(jetstream.MsgIDHeader, subject.MsgID(info.Identity, info.Start))
	}
	if p.Extra != "" {
		m.Header.Set(tagsHeader, string(p.Extra))
	}
	return m, nil
}

// checkRaw reads the header of a snapshot. It returns a [*RefusedError] for one that must not be stored.
func (s *Store) checkRaw(data []byte) (metric.SnapshotInfo, error) {
	if len(data) > MaxRaw {
		return metric.SnapshotInfo{}, refused(ReasonSize, "%d bytes: a snapshot has at most %d", len(data), MaxRaw)
	}
	info, err := metric.ReadSnapshotInfo(data)
	switch {
	case errors.Is(err, metric.ErrSnapshotVersion):
		return info, &RefusedError{ReasonVersion, err}
	case err != nil:
		return info, &RefusedError{ReasonDamaged, err}
	}
	if err := checkName(info.Identity.Host); err != nil {
		return info, refused(ReasonHost, "host %.100q: %w", info.Identity.Host, err)
	}
	if err := checkName(info.Identity.Policy); err != nil {
		return info, refused(ReasonPolicy, "policy %.100q of host %s: %w", info.Identity.Policy, info.Identity.Host, err)
	}
	if info.End <= info.Start || !minute.Same(info.Start, info.End-1) {
		return info, refused(ReasonLength, "host %s: from %d to %d: not a part of one minute", info.Identity.Host, info.Start, info.End)
	}
	now := s.config.Now()
	if start := time.Unix(info.Start, 0); start.After(now.Add(MaxFuture)) {
		return info, refused(ReasonFuture, "host %s: %v is %v ahead of the hub's clock", info.Identity.Host, start.UTC(), start.Sub(now).Round(time.Second))
	}
	if age := s.config.age(1); age > 0 && now.Sub(time.Unix(info.Start, 0)) > age {
		return info, refused(ReasonTooOld, "host %s: %v is older than %v", info.Identity.Host, time.Unix(info.Start, 0).UTC(), age)
	}
	return info, nil
}

// checkName returns an error unless a name is fit for lists and logs.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name has more than %d bytes", maxName)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the name cannot be printed")
	}
	return nil
}

// readRaw reads a stored message. It returns a [*RefusedError] for one that is not what its subject says.
func (s *Store) readRaw(subj string, header nats.Header, data []byte) (Raw, error) {
	r := Raw{Data: data}
	var err error
	if r.Info, err = s.checkRaw(data); err != nil {
		return r, err
	}
	id := r.Info.Identity
	if subj != subject.Raw(s.config.Prefix, id.Policy, id.Host) {
		return r, refused(ReasonSubject, "snapshot of host %s and policy %s under the subject %.200q", id.Host, id.Policy, subj)
	}
	r.Tags = id.Tags
	if list := header.Get(tagsHeader); list != "" {
		extra, err := metric.ParseTags(strings.Split(list, ","))
		if err != nil {
			return r, refused(ReasonTags, "host %s: %w", id.Host, err)
		}
		r.Tags = r.Tags.With(extra)
	}
	return r, nil
}

// HostMinutes calls each for the stored snapshots of a host whose minute starts at from or later and before to, in the
// order of their arrival. Both are Unix times in seconds. Messages that cannot be read are left out.
//
// JetStream finds messages by their arrival, which is after the minute, unless the host's clock is ahead by more than a
// minute. If the first message that arrived after from is of a later minute, earlier ones are read too.
func (s *Store) HostMinutes(ctx context.Context, policy, host string, from, to int64, each func(Raw) error) error {
	subj := subject.Raw(s.config.Prefix, policy, host)
	first := true
	ahead := false
	var found []Raw
	read := func(m stored) error {
		r, err := s.readRaw(m.subject, m.header, m.data)
		if err != nil {
			return nil
		}
		if first {
			first, ahead = false, r.Info.Start > from
		}
		r.Sequence, r.Arrived = m.seq, m.at
		if start := minute.Of(r.Info.Start); start >= from && start < to {
			found = append(found, r)
		}
		return nil
	}
	hand := func() error {
		for _, r := range found {
			if err := each(r); err != nil {
				return err
			}
		}
		found = found[:0]
		return nil
	}
	req := directRequest{NextBy: subj, StartTime: new(time.Unix(from, 0).UTC()), Batch: 32}
	ask := func() (directEnd, error) { // each may take its time
		ctx, cancel := within(ctx)
		defer cancel()
		return s.direct(ctx, s.names.stream(0), req, read)
	}
	end, err := ask()
	if err != nil && err != errNone {
		return s.failed("read the minutes of host "+host, err)
	}
	if err == errNone || ahead {
		found = found[:0]
		req.StartTime = new(time.Unix(from, 0).Add(-MaxFuture - time.Minute).UTC())
		if end, err = ask(); err != nil && err != errNone {
			return s.failed("read the minutes of host "+host, err)
		}
	}
	for {
		if err := hand(); err != nil {
			return err
		}
		if err == errNone || end.pending == 0 {
			return nil
		}
		req.StartTime, req.Seq = nil, end.last+1
		if end, err = ask(); err != nil && err != errNone {
			return s.failed("read the minutes of host "+host, err)
		}
	}
}
