package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// Put stores a rollup if the stored one has the given revision, and returns the new revision. Revision 0 means that there
// is none. It returns [ErrConflict] if there is another revision. That may be of this rollup, if the answer to a first
// attempt got lost. After [ErrUnavailable], the rollup may be stored or not.
func (s *Store) Put(ctx context.Context, k Key, data []byte, revision uint64) (uint64, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	if err := k.check(); err != nil {
		return 0, err
	}
	if len(data) > maxRoll {
		return 0, fmt.Errorf("rollup %v of %d bytes: %w", k, len(data), ErrTooLarge)
	}
	if s.room.Load() >= roomNone {
		return 0, s.failed("put rollup "+k.String(), ErrFull)
	}
	m := nats.NewMsg(s.names.roll(k))
	m.Data = data
	ack, err := s.put(ctx, k.Level, m, revision)
	if isConflict(err) {
		return 0, ErrConflict
	}
	if err != nil {
		return 0, s.failed("put rollup "+k.String(), err)
	}
	s.saw(k, ack.Sequence)
	return ack.Sequence, nil
}

// put publishes until the server answers. If an answer got lost, the next one says that the revision has changed, and the
// caller finds its own work when it reads again.
func (s *Store) put(ctx context.Context, l rollup.Level, m *nats.Msg, revision uint64) (*jetstream.PubAck, error) {
	for {
		one, cancel := context.WithTimeout(ctx, attempt)
		ack, err := s.js.PublishMsg(one, m, jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithRetryAttempts(0))
		cancel()
		s.beat(l, err)
		if err == nil || !isNoAnswer(err) || s.closed.Load() || s.room.Load() >= roomNone || !pause(ctx, 100*time.Millisecond) {
			return ack, err
		}
	}
}

// saw remembers that a rollup was stored under a sequence.
func (s *Store) saw(k Key, sequence uint64) {
	seen := &s.seen[k.Level]
	for {
		old := seen.Load()
		if sequence <= old || seen.CompareAndSwap(old, sequence) {
			break
		}
	}
	s.groups.add(k.Policy, k.Group)
}

// Get returns a rollup and its revision. It returns [ErrNotFound] if there is none. It never returns one that is older
// than what this process has written, or was told of by [Store.Changes].
func (s *Store) Get(ctx context.Context, k Key) (data []byte, revision uint64, err error) {
	ctx, cancel := within(ctx)
	defer cancel()
	if err := k.check(); err != nil {
		return nil, 0, err
	}
	found := map[Key]stored{}
	if err := s.read(ctx, k.Level, []string{s.names.roll(k)}, found); err != nil {
		return nil, 0, s.failed("get rollup "+k.String(), err)
	}
	m, ok := found[k]
	if !ok {
		return nil, 0, ErrNotFound
	}
	return m.data, m.seq, nil
}

// read adds the newest messages of the subjects to found. There may be at most 1,024 subjects.
func (s *Store) read(ctx context.Context, l rollup.Level, subjects []string, found map[Key]stored) error {
	req := directRequest{MultiLast: subjects}
	began := time.Now()
	for {
		end, err := s.direct(ctx, s.names.stream(l), req, func(m stored) error {
			if k, ok := s.names.key(m.subject); ok {
				found[k] = m
			}
			return nil
		})
		fresh := end.upTo >= s.seen[l].Load()
		if errors.Is(err, errNone) {
			if req.Seq > 0 {
				return nil // what was left was changed or purged since
			}
			if fresh, err = s.none(ctx, l, subjects); err != nil || fresh {
				return err
			}
		}
		switch {
		case err != nil:
			return err
		case !fresh: // from a copy that lags behind
			if time.Since(began) > staleFor {
				if err := s.resee(ctx, l); err != nil {
					return err
				}
			}
			if !pause(ctx, 20*time.Millisecond) {
				return ctx.Err()
			}
		case end.pending == 0:
			return nil
		default:
			req.Seq = end.last + 1
		}
	}
}

// staleFor is how long a copy of a stream may lag behind before the store asks the leader for its newest sequence.
const staleFor = 2 * time.Second

// none reports whether the subjects really have no message. The copy that said so may lag behind.
func (s *Store) none(ctx context.Context, l rollup.Level, subjects []string) (bool, error) {
	if s.embedded != nil {
		return true, nil // there is one copy
	}
	if info, err := s.info(ctx, l); err != nil {
		return false, err
	} else if info.State.LastSeq < s.seen[l].Load() {
		return false, s.resee(ctx, l)
	}
	filter := subjects[0]
	if len(subjects) > 1 { // all are of one group
		filter = filter[:strings.LastIndexByte(filter, '.')] + ".*"
	}
	exist, err := s.subjectsOf(ctx, l, filter)
	if err != nil {
		return false, err
	}
	for _, subj := range subjects {
		if _, ok := exist[subj]; ok {
			return false, nil
		}
	}
	return true, nil
}

// resee sets the newest known sequence of a stream to what its leader has. Sequences only go back if a server has lost
// data.
func (s *Store) resee(ctx context.Context, l rollup.Level) error {
	info, err := s.info(ctx, l)
	if err != nil {
		return err
	}
	if last, seen := info.State.LastSeq, s.seen[l].Load(); last < seen {
		s.note(fmt.Errorf("stream %s has lost data: its last message is %d, and it had %d", s.names.stream(l), last, seen))
		s.seen[l].Store(last)
	}
	return nil
}

// chunk is how many rollups are in memory at once while a range is read.
const chunk = 32

// maxGuess is how many rollups are asked for without knowing which ones there are.
const maxGuess = 4096

// Range calls each for the rollups of a group that start at from or later and before to, in time order. Data is valid
// as long as the caller wants.
func (s *Store) Range(ctx context.Context, l rollup.Level, policy, group string, from, to int64,
	each func(k Key, data []byte, revision uint64) error) error {
	if err := (Key{Level: l, Policy: policy, Group: group}).check(); err != nil {
		return err
	}
	starts, err := s.starts(ctx, l, policy, group, from, to)
	if err != nil {
		return s.failed(fmt.Sprintf("list the rollups of %s/%s/%v", policy, group, l), err)
	}
	series := s.names.series(l, policy, group)
	for len(starts) > 0 {
		part := starts[:min(chunk, len(starts))]
		starts = starts[len(part):]
		if err := s.rangePart(ctx, l, policy, group, series, part, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rangePart(ctx context.Context, l rollup.Level, policy, group, series string, starts []int64,
	each func(k Key, data []byte, revision uint64) error) error {
	ctx, cancel := within(ctx)
	defer cancel()
	subjects := make([]string, len(starts))
	for i, start := range starts {
		subjects[i] = fmt.Sprint(series, start)
	}
	found := make(map[Key]stored, len(starts))
	if err := s.read(ctx, l, subjects, found); err != nil {
		return s.failed(fmt.Sprintf("read the rollups of %s/%s/%v", policy, group, l), err)
	}
	for _, start := range starts {
		k := Key{l, policy, group, start}
		if m, ok := found[k]; ok {
			if err := each(k, m.data, m.seq); err != nil {
				return err
			}
		}
	}
	return nil
}
