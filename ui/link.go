package ui

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"pktvisor/api"
)

// link is the state of the connection to the agent. It is a value: every event returns the next one.
type link struct {
	state    linkState
	asked    time.Time // when the pending request was sent; zero if none is pending
	answered time.Time // when the last good answer came; zero if none has come
	failures int       // in a row
	next     time.Time // do not ask again before this time
	reason   string    // of the last failure, in a few words; not cleaned
	answers  bool      // the last failure was an answer, which says why
	doubted  bool      // the last failure was that the certificate is not trusted
	odd      string    // a field of the last answer that was not as expected
}

type linkState uint8

const (
	connecting linkState = iota // no answer or failure yet
	live                        // the last request was answered
	away                        // the last request failed
)

// slowAfter is how long an answer may take before the user is told.
const slowAfter = 2 * time.Second

// maxPause is the longest time between two attempts to reach an agent.
const maxPause = 5 * time.Second

// due reports whether it is time to ask.
func (l link) due(now time.Time) bool {
	return l.asked.IsZero() && !now.Before(l.next)
}

// ask returns the link after a request is sent. The next request follows after every.
func (l link) ask(now time.Time, every time.Duration) link {
	l.asked, l.next = now, now.Add(every)
	return l
}

// answer returns the link after a good answer.
func (l link) answer(now time.Time, odd string) link {
	return link{state: live, answered: now, next: l.next, odd: odd}
}

// fail returns the link after a failed request. The waits between attempts are 1, 2, 4, then 5 seconds.
func (l link) fail(now time.Time, err error) link {
	l.state, l.asked, l.odd = away, time.Time{}, ""
	l.failures++
	pause := min(time.Second<<min(l.failures-1, 8), maxPause)
	l.next = now.Add(pause)
	l.reason = reason(err)
	e, ok := errors.AsType[*api.Error](err)
	l.answers = ok && e.Kind == api.Status
	_, l.doubted = errors.AsType[*tls.CertificateVerificationError](err)
	return l
}

// slow reports whether a request has been pending for too long.
func (l link) slow(now time.Time) bool {
	return !l.asked.IsZero() && now.Sub(l.asked) >= slowAfter
}

// text describes the state of the link. host names the agent.
func (l link) text(now time.Time, host string) string {
	switch {
	case l.slow(now):
		return fmt.Sprintf("%s has not answered for %s", host, span(now.Sub(l.asked)))
	case l.state == connecting:
		return "connecting to " + host
	case l.state == away:
		what := fmt.Sprintf("no agent at %s: %s", host, l.reason)
		if l.doubted { // what to do comes first
			what = fmt.Sprintf("%s (%s)", l.reason, host)
		}
		if l.answers {
			what = fmt.Sprintf("%s answers %s", host, l.reason)
		}
		if !l.asked.IsZero() {
			return what + ", trying again"
		}
		wait := l.next.Sub(now).Round(time.Second)
		return fmt.Sprintf("%s, trying again in %s", what, span(max(wait, time.Second)))
	case l.odd != "":
		return "unexpected answer: " + l.odd + " left out"
	}
	return ""
}

// certificateReason says first what to do about a certificate that is not trusted, so that it is seen on a narrow screen.
func certificateReason(c *tls.CertificateVerificationError) string {
	if host, ok := errors.AsType[x509.HostnameError](c.Err); ok {
		return fmt.Sprintf("use a name of its certificate: %s", strings.TrimPrefix(host.Error(), "x509: "))
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](c.Err); ok && invalid.Reason == x509.Expired {
		return "renew its certificate: " + strings.TrimPrefix(invalid.Error(), "x509: ")
	}
	return "give --cacert FILE, its CA is not trusted: " + strings.TrimPrefix(c.Err.Error(), "x509: ")
}

// reason describes in a few words why a request failed.
func reason(err error) string {
	e, ok := errors.AsType[*api.Error](err)
	if !ok {
		return err.Error()
	}
	switch e.Kind {
	case api.Timeout:
		return "no answer in time"
	case api.Status:
		if e.Message != "" {
			return fmt.Sprintf("HTTP %d, %s", e.Status, e.Message)
		}
		return fmt.Sprintf("HTTP %d", e.Status)
	case api.Unreachable:
		if c, ok := errors.AsType[*tls.CertificateVerificationError](e.Err); ok {
			return certificateReason(c)
		}
	case api.BadAnswer:
		return "the answer is not from an agent (" + e.Reason() + ")"
	}
	return e.Reason()
}
