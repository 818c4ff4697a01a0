package collect

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pktvisor/metric"
)

// Reason is why a snapshot or an answer was refused. It is one word, as for a label.
type Reason string

// The reasons for which a snapshot is refused. The rest of the answer counts.
const (
	TooLarge   Reason = "too_large"    // more than MaxSnapshot bytes
	Version    Reason = "version"      // written in a newer format
	Damaged    Reason = "damaged"      // not a whole snapshot, or its checksum is wrong
	BadName    Reason = "bad_name"     // host or policy is not a printable name
	BadTime    Reason = "bad_time"     // not a minute
	Future     Reason = "future"       // starts more than MaxAhead after now
	TooOld     Reason = "too_old"      // starts more than MaxAge before now
	TooMany    Reason = "too_many"     // the target has delivered too many hosts and policies
	StoreWants Reason = "not_storable" // the store refuses it
)

// The reasons for which the rest of an answer is refused.
const (
	BadStatus   Reason = "status"       // neither 200 nor 304
	BadType     Reason = "content_type" // not snapshots, or compressed once more
	Redirected  Reason = "redirect"     // to another host
	NotSnapshot Reason = "not_snapshot" // bytes that are not snapshots, or a snapshot that is cut short
	TooLong     Reason = "too_long"     // more than maxAnswer bytes or maxAnswered snapshots
	BadLink     Reason = "link"         // the Link to the next answer leads nowhere
)

const (
	// MaxSnapshot is the greatest snapshot that is stored, in bytes: the payload that a NATS server accepts by default, with
	// room for headers.
	MaxSnapshot = 1<<20 - 4<<10
	// MaxAhead is how far ahead of this clock a minute may start.
	MaxAhead = 2 * time.Hour
	// MaxAge is how old a minute may be: the rollups of minutes are kept for so long.
	MaxAge = 48 * time.Hour

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

// checkSnapshot returns the header of a whole snapshot, or the reason to refuse it.
func checkSnapshot(data []byte, now time.Time) (metric.SnapshotInfo, Reason) {
	info, err := metric.ReadSnapshotInfo(data)
	switch {
	case errors.Is(err, metric.ErrSnapshotVersion):
		return info, Version
	case err != nil:
		return info, Damaged
	case !printable(info.Identity.Host) || !printable(info.Identity.Policy):
		return info, BadName
	case info.End <= info.Start || info.End-info.Start > int64(MaxAge/time.Second):
		return info, BadTime
	case info.Start > now.Add(MaxAhead).Unix():
		return info, Future
	case info.Start < now.Add(-MaxAge).Unix():
		return info, TooOld
	}
	return info, ""
}

// printable reports whether a name can be shown: it is valid UTF-8, not empty and without control characters.
func printable(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

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
