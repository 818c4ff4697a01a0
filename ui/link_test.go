package ui

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

func TestLinkWaitsLongerAndLonger(t *testing.T) {
	l := link{}
	now := clock
	for i, want := range []time.Duration{1, 2, 4, 5, 5, 5} {
		l = l.ask(now, time.Second)
		if l.due(now.Add(time.Hour)) {
			t.Fatal("sends a request while another one is pending")
		}
		l = l.fail(now, errRefused)
		if got := l.next.Sub(now); got != want*time.Second {
			t.Errorf("after failure %d it waits %v, want %v", i+1, got, want*time.Second)
		}
		if l.due(l.next.Add(-1)) || !l.due(l.next) {
			t.Errorf("not due at %v", l.next)
		}
		now = l.next
	}
	l = l.ask(now, time.Second).answer(now, "")
	if l.failures != 0 || l.state != live || l.slow(now.Add(time.Hour)) {
		t.Errorf("after an answer: %+v", l)
	}
	if l.due(now) || !l.due(now.Add(time.Second)) {
		t.Error("the next request does not follow a refresh later")
	}
	for range 100 { // the exponent must stay bounded
		l = l.fail(now, errRefused)
	}
	if got := l.next.Sub(now); got != maxPause {
		t.Errorf("after a hundred failures it waits %v", got)
	}
}

func TestReasons(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errRefused, "connection refused"},
		{&api.Error{Kind: api.Timeout}, "no answer in time"},
		{&api.Error{Kind: api.Status, Status: 500}, "HTTP 500"},
		{&api.Error{Kind: api.Status, Status: 404, Message: "only 5 periods"}, "HTTP 404, only 5 periods"},
		{&api.Error{Kind: api.BadAnswer, Err: errors.New("not a summary")}, "the answer is not from an agent (not a summary)"},
		{errors.New("other"), "other"},
	} {
		if got := reason(c.err); got != c.want {
			t.Errorf("reason(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

// troubled is an agent that answers slowly or fails, depending on the time of the bubble.
type troubled struct {
	fakeAgent
	since time.Time
	down  [2]time.Duration // refuses connections between these
	hangs [2]time.Duration // does not answer between these
	asked []time.Duration  // when the window was requested
}

func (a *troubled) Window(ctx context.Context, n, rows int) (api.Summary, error) {
	at := time.Since(a.since)
	a.asked = append(a.asked, at)
	in := func(span [2]time.Duration) bool { return at >= span[0] && at < span[1] }
	switch {
	case in(a.down):
		return api.Summary{}, errRefused
	case in(a.hangs):
		select {
		case <-time.After(5 * time.Second):
			return api.Summary{}, &api.Error{Kind: api.Timeout}
		case <-ctx.Done():
			return api.Summary{}, ctx.Err()
		}
	}
	return a.fakeAgent.Window(ctx, n, rows)
}

// drive runs a model and its commands as Bubble Tea would, and calls see after every message until see returns false.
func drive(m Model, see func(Model, tea.Msg) bool) Model {
	msgs := make(chan tea.Msg, 1000)
	var start func(tea.Cmd)
	start = func(cmd tea.Cmd) {
		if cmd == nil {
			return
		}
		go func() {
			switch msg := cmd().(type) {
			case nil:
			case tea.BatchMsg:
				for _, c := range msg {
					start(c)
				}
			default:
				msgs <- msg
			}
		}()
	}
	start(m.Init())
	for msg := range msgs {
		next, cmd := m.Update(msg)
		m = next.(Model)
		if !see(m, msg) {
			return m
		}
		start(cmd)
	}
	return m
}

func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &troubled{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, since: time.Now(),
			down: [2]time.Duration{10 * time.Second, 40 * time.Second}}
		m := New(t.Context(), Options{Agent: a, Zone: time.UTC})
		states := map[linkState]int{}
		back := time.Duration(0)
		m = drive(m, func(m Model, _ tea.Msg) bool {
			at := time.Since(a.since)
			states[m.link.state]++
			if at > 11*time.Second && at < 39*time.Second {
				if m.link.state != away || !m.have || m.cur.Packets.Total.Value == 0 {
					t.Errorf("at %v: state %v, data kept: %v", at, m.link.state, m.have)
				}
			}
			if back == 0 && at >= 40*time.Second && m.link.state == live {
				back = at
				if m.notice != "the agent is back" {
					t.Errorf("notice %q", m.notice)
				}
			}
			return at < 50*time.Second
		})
		if back == 0 || back > 46*time.Second {
			t.Errorf("live again at %v, want within 6s of 40s", back)
		}
		during := 0
		for _, at := range a.asked {
			if at >= 10*time.Second && at < 40*time.Second {
				during++
			}
		}
		if during < 6 || during > 10 { // 1, 2, 4, 5, 5, … seconds apart
			t.Errorf("asked %d times during an outage of 30s: %v", during, a.asked)
		}
		if m.link.failures != 0 || m.link.state != live {
			t.Errorf("in the end: %+v", m.link)
		}
		if states[connecting] == 0 || states[live] == 0 || states[away] == 0 {
			t.Errorf("states seen: %v", states)
		}
	})
}

func TestSlowAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &troubled{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, since: time.Now(),
			hangs: [2]time.Duration{5 * time.Second, 9 * time.Second}}
		m := New(t.Context(), Options{Agent: a, Zone: time.UTC})
		slow, failed := false, false
		drive(m, func(m Model, _ tea.Msg) bool {
			slow = slow || m.link.slow(m.now)
			failed = failed || m.link.reason == "no answer in time"
			return time.Since(a.since) < 20*time.Second
		})
		if !slow || !failed {
			t.Errorf("slow shown: %v, failure shown: %v", slow, failed)
		}
		for i := 1; i < len(a.asked); i++ {
			if gap := a.asked[i] - a.asked[i-1]; gap < 900*time.Millisecond {
				t.Errorf("requests overlap or hurry: %v", a.asked)
			}
		}
	})
}

func TestRefreshAndPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &troubled{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, since: time.Now()}
		m := New(t.Context(), Options{Agent: a, Refresh: 3 * time.Second, Zone: time.UTC})
		m = drive(m, func(Model, tea.Msg) bool { return time.Since(a.since) < 31*time.Second })
		if n := len(a.asked); n < 10 || n > 12 {
			t.Errorf("asked %d times in 31s with a refresh of 3s: %v", n, a.asked)
		}
		if len(m.minutes) != 4 || !m.minutesEnd {
			t.Errorf("%d minutes known, end %v; want all 4", len(m.minutes), m.minutesEnd)
		}
		a.asked = nil
		m.paused = true
		drive(m, func(Model, tea.Msg) bool { return time.Since(a.since) < 60*time.Second })
		if len(a.asked) != 0 {
			t.Errorf("asked while paused: %v", a.asked)
		}
	})
}

func TestNoticesRestart(t *testing.T) {
	m := loaded(t, dataSetNamed("busy"), 80, 24)
	young := m.app
	young.UpTimeMin = api.N(0.5)
	m = after(m, answerMsg{at: clock.Add(time.Second), window: 5, sum: m.cur, app: &young})
	if m.notice != "the agent was restarted" {
		t.Errorf("notice %q", m.notice)
	}
}

// TestWindowIsWhatTheAgentHas: the requested window is never longer than what the agent keeps.
func TestWindowIsWhatTheAgentHas(t *testing.T) {
	d := dataSetNamed("busy")
	d.app = `{"app":{"periods":3}}`
	var asked int
	a := &recordingAgent{fakeAgent: fakeAgent{data: d}, window: func(n int) { asked = n }}
	m := New(t.Context(), Options{Agent: a, Window: 30})
	m.ask()()
	if asked != 3 {
		t.Errorf("asked for %d minutes of 3", asked)
	}
	m.window = 1
	asked = -1
	m.ask()()
	if asked != -1 {
		t.Error("one minute is the live bucket, not a window")
	}
}

type recordingAgent struct {
	fakeAgent
	window func(int)
}

func (a *recordingAgent) Window(ctx context.Context, n, rows int) (api.Summary, error) {
	a.window(n)
	return a.fakeAgent.Window(ctx, n, rows)
}

// TestCertificates: what to do about a certificate that is not trusted is seen first, also on a narrow screen.
func TestCertificates(t *testing.T) {
	cert := &x509.Certificate{DNSNames: []string{"ns1.example"}}
	for want, cause := range map[string]error{
		"give --cacert FILE, its CA is not trusted: certificate signed by unknown authority": x509.UnknownAuthorityError{Cert: cert},
		"use a name of its certificate: certificate is valid for ns1.example, not ns2":       x509.HostnameError{Certificate: cert, Host: "ns2"},
		"renew its certificate: certificate has expired or is not yet valid: ":               x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired},
	} {
		err := &api.Error{Kind: api.Unreachable, Err: &url.Error{Op: "Get", URL: "https://ns1.example.net:10853/", Err: &tls.CertificateVerificationError{Err: cause}}}
		for _, w := range []int{40, 60, 80, 120} {
			m := New(t.Context(), Options{Agent: &fakeAgent{data: dataSetNamed("busy")}, Zone: time.UTC})
			m.width = w
			m = after(m, answerMsg{at: clock, err: err})
			line := strings.Split(text(m), "\n")[1]
			if cut := min(len(want), w-10); m.link.reason != want || !strings.HasPrefix(line, " AWAY "+strings.TrimSpace(want[:cut])) {
				t.Errorf("%d cells: %q, reason %q, want %q", w, line, m.link.reason, want)
			}
		}
	}
}
