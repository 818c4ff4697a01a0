package collect

import (
	"errors"
	"strings"
	"time"
	"unicode"

	"pktvisor/hub/store"
)

// Reason is why a snapshot or an answer was refused. It is one word, as for a label. The store has reasons of its own.
type Reason = store.Reason

// TooMany is the reason for refusing a snapshot because its target has delivered too many hosts and policies. The rest of
// the answer counts.
const TooMany Reason = "too_many"

// The reasons for which the rest of an answer is refused.
const (
	BadStatus   Reason = "status"       // neither 200 nor 304
	BadType     Reason = "content_type" // not snapshots, or compressed once more
	Redirected  Reason = "redirect"     // to another host
	NotSnapshot Reason = "not_snapshot" // bytes that are not snapshots, or a snapshot that is cut short
	TooLong     Reason = "too_long"     // more than maxAnswer bytes or maxAnswered snapshots
	BadLink     Reason = "link"         // the Link to the next answer leads nowhere
	Loop        Reason = "loop"         // from this hub, or one that gets its minutes from this one
)

const (
	// maxAge is how far back an agent is asked for minutes.
	maxAge = 48 * time.Hour
	// maxAnswer bounds an answer, in bytes, and maxAnswered the snapshots in it: an agent sends up to 120 minutes, and more
	// only if several begin in the same second.
	maxAnswer   = 64 << 20
	maxAnswered = 1000
	// maxSeries bounds the pairs of host and policy for which the collector remembers what a target has delivered.
	maxSeries = 64
	// maxName bounds a name that is kept in a status, in bytes.
	maxName = 255
)

// refusal is an error with the reason for which an answer is refused.
type refusal struct {
	reason Reason
	err    error
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

func refuse(reason Reason, text string) error { return &refusal{reason, errors.New(text)} }

// clean returns a text from the network in a form that can be logged and shown in one line.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxName)], "\ufffd")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
