package main

import (
	"errors"
	"os"

	"pktvisor/export/push"
	"pktvisor/internal/version"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/server"
)

// pushTokenEnv is the environment variable with the NATS token, if there is no file with it. A flag would show the token
// to other users.
const pushTokenEnv = "PKTVISOR_PUSH_TOKEN"

// newPusher makes what pushes finished minutes to a hub, or nil if nothing is to be pushed.
func (l *live) newPusher(p *plan) (*push.Pusher, error) {
	o := &l.o.Push
	if len(o.Servers) == 0 {
		return nil, nil
	}
	if l.agentName == "" {
		return nil, errors.New("the name of this host is not known, and a hub needs one: give it with --name")
	}
	cfg := push.Config{
		Servers: o.Servers, Prefix: o.Prefix, Host: l.agentName, Agent: "pktvisord " + version.String(), Most: l.pushQueue(p),
		Creds: o.Creds, TokenFile: o.TokenFile, CA: o.CA, Cert: o.Cert, Key: o.Key, Log: l.log,
	}
	if o.Creds == "" && o.TokenFile == "" {
		cfg.Token = os.Getenv(pushTokenEnv)
	}
	return push.New(cfg)
}

// pushQueue returns how many minutes wait for a hub at most. More policies may come if the configuration can change.
func (l *live) pushQueue(p *plan) int {
	n := 0
	for _, q := range p.policies {
		n += q.Periods
	}
	if l.o.document != nil || l.o.adminAPI {
		n = max(n, policy.MaxPeriods)
	}
	return n
}

// pushes reports whether the minutes of a policy go to the hub. A hub distinguishes minutes by agent and policy, so a policy with
// several windows has no place there.
func (l *live) pushes(p *planned) bool { return len(p.windows) == 1 && !p.windows[0].isFile() }

// warnOfPush says which policies do not reach the hub.
func (l *live) warnOfPush(p *plan) {
	if len(l.o.Servers) == 0 {
		return
	}
	var names []string
	for i := range p.policies {
		if !l.pushes(&p.policies[i]) {
			names = append(names, p.policies[i].Name)
		}
	}
	if len(names) > 0 {
		l.log.Warn("some policies are not pushed: a hub takes one window of a policy; give them one tap, or merged: true", "policies", hostList(names))
	}
}

// onSeal returns what happens to a bucket of a window that was sealed, or nil.
func (l *live) onSeal(r *running, w *watched) func(*metric.Bucket) {
	pushed := l.push != nil && l.pushes(&r.planned)
	switch {
	case w.state == nil && !pushed:
		return nil
	case !pushed:
		return w.state.Save
	case w.state == nil:
		return l.push.Push
	}
	return func(b *metric.Bucket) {
		w.state.Save(b)
		l.push.Push(b)
	}
}

// pushedBuckets returns the sealed buckets of all windows that are pushed.
func (l *live) pushedBuckets() (all []*metric.Bucket) {
	for _, r := range load(&l.policies) {
		if l.pushes(&r.planned) {
			all = append(all, r.windows[0].agent.Window().Sealed()...)
		}
	}
	return all
}

// keep keeps the buckets of this run after the agent has stopped. The live ones go to the state directory, from where
// the next run continues them, or else to the hub. At both, their packets would count twice.
func (l *live) keep() { l.kept.Do(l.keepLast) }

func (l *live) keepLast() {
	if l.otlp != nil {
		l.otlp.Close()
	}
	var last []*metric.Bucket
	for _, r := range load(&l.policies) {
		for _, w := range r.windows {
			live := w.agent.Window().Bucket(0)
			if w.state != nil {
				w.closeState(live)
			} else if l.pushes(&r.planned) && live != nil {
				last = append(last, live)
			}
		}
	}
	if l.push != nil {
		l.push.Close(last...)
	}
}

// pushStatus returns the state of the pushing, or nil if nothing is pushed.
func (l *live) pushStatus() *server.Push {
	if l.push == nil {
		return nil
	}
	s := l.push.Status()
	return &server.Push{
		URL: s.URL, Connected: s.Connected, Pending: s.Pending,
		Acknowledged: s.Acknowledged, Failed: s.Failed, Dropped: s.Dropped, Error: s.Error,
	}
}
