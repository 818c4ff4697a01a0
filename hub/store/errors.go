package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The errors that callers distinguish. Use [errors.Is].
var (
	// ErrNotFound says that there is no such rollup or host.
	ErrNotFound = errors.New("not found")
	// ErrConflict says that the rollup's revision is not the expected one. Read it again.
	ErrConflict = errors.New("changed by another writer")
	// ErrFull says that the disk is full. The store takes nothing more until there is room.
	ErrFull = errors.New("the disk is full")
	// ErrUnavailable says that JetStream did not answer in time. The call may still have had its effect.
	ErrUnavailable = errors.New("JetStream does not answer")
	// ErrTooLarge says that a rollup is larger than the server takes.
	ErrTooLarge = errors.New("larger than the NATS server takes: set its max_payload to 8MB")
	// ErrRefused is what every [*RefusedError] is.
	ErrRefused = errors.New("refused")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("the store is closed")
)

// Reason says in one word why a snapshot is refused. Reasons are values of a metric's label.
type Reason string

// The reasons for which a snapshot is refused.
const (
	ReasonSize    Reason = "size"    // longer than MaxRaw
	ReasonDamaged Reason = "damaged" // not a snapshot, or damaged
	ReasonVersion Reason = "version" // of a newer format
	ReasonHost    Reason = "host"    // no host, or a name that cannot be printed
	ReasonPolicy  Reason = "policy"  // no policy, or a name that cannot be printed
	ReasonLength  Reason = "length"  // not a part of one minute
	ReasonFuture  Reason = "future"  // starts more than MaxFuture ahead of the clock
	ReasonTooOld  Reason = "too_old" // older than the rollups of minutes are kept
	ReasonTags    Reason = "tags"    // the header's tags are not valid
	ReasonSubject Reason = "subject" // of another host or policy than its subject says
)

// RefusedError says why a snapshot is refused. To send it again does not help.
type RefusedError struct {
	Reason Reason
	Err    error
}

// Error returns the reason and its details.
func (e *RefusedError) Error() string { return fmt.Sprintf("refused: %s: %v", e.Reason, e.Err) }

// Is reports whether target is [ErrRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// Unwrap returns the details.
func (e *RefusedError) Unwrap() error { return e.Err }

func refused(reason Reason, format string, a ...any) error {
	return &RefusedError{Reason: reason, Err: fmt.Errorf(format, a...)}
}

// The error codes of JetStream that the library does not name.
const (
	errNoPeers               jetstream.ErrorCode = 10005
	errInsufficientResources jetstream.ErrorCode = 10023
	errStreamStoreFailed     jetstream.ErrorCode = 10077
	errTooManyRequests       jetstream.ErrorCode = 10167
	errReplicasNotSupported  jetstream.ErrorCode = 10074
)

// hasCode reports whether err is one of the errors of JetStream.
func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	var api jetstream.JetStreamError
	if !errors.As(err, &api) || api.APIError() == nil {
		return false
	}
	for _, code := range codes {
		if api.APIError().ErrorCode == code {
			return true
		}
	}
	return false
}

// isConflict reports whether err says that the expected revision is not the last. A replicated stream has an error code of its own.
func isConflict(err error) bool {
	return hasCode(err, jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// isNoAnswer reports whether err is one after which nobody knows whether the server has done what was asked, or
// one that passes: no server, no leader, no answer, too many requests.
func isNoAnswer(err error) bool {
	for _, e := range []error{nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded,
		jetstream.ErrNoStreamResponse, jetstream.ErrAsyncPublishTimeout, jetstream.ErrTooManyStalledMsgs, context.DeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	var api jetstream.JetStreamError
	return errors.As(err, &api) && api.APIError() != nil && (api.APIError().Code == 503 || hasCode(err, errTooManyRequests))
}

// failed returns the error for a caller: a typed one where the cause is known, with the store's state taken into
// account.
func (s *Store) failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, context.Canceled):
	case s.closed.Load() || errors.Is(err, nats.ErrConnectionClosed):
		err = ErrClosed
	case hasCode(err, errInsufficientResources, errStreamStoreFailed):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, nats.ErrMaxPayload):
		err = ErrTooLarge
	case isNoAnswer(err):
		if s.room.Load() >= roomFull {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		} else {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	err = fmt.Errorf("%s: %w", doing, err)
	s.note(err)
	return err
}
