package main

import (
	"errors"
	"os"

	"pktvisor/export/push"
	"pktvisor/internal/version"
	"pktvisor/metric"
	"pktvisor/server"
)

// pushTokenEnv is the environment variable with the NATS token, if there is no file with it. A flag would show the token
// to other users.
const pushTokenEnv = "PKTVISOR_PUSH_TOKEN"

// newPusher makes what pushes finished minutes to a hub, or nil if nothing is to be pushed.
func (l *live) newPusher() (*push.Pusher, error) {
	o := &l.o.Push
	if len(o.Servers) == 0 {
		return nil, nil
	}
	if l.agentName == "" {
		return nil, errors.New("the name of this host is not known, and a hub needs one: give it with --name")
	}
	cfg := push.Config{
		Servers: o.Servers, Prefix: o.Prefix, Host: l.agentName, Agent: "pktvisord " + version.String(), Most: l.o.Periods,
		Creds: o.Creds, TokenFile: o.TokenFile, CA: o.CA, Cert: o.Cert, Key: o.Key, Log: l.log,
	}
	if o.Creds == "" && o.TokenFile == "" {
		cfg.Token = os.Getenv(pushTokenEnv)
	}
	return push.New(cfg)
}

// onSeal returns what happens to a bucket that was sealed, or nil.
func (l *live) onSeal() func(*metric.Bucket) {
	switch {
	case l.state == nil && l.push == nil:
		return nil
	case l.push == nil:
		return l.state.Save
	case l.state == nil:
		return l.push.Push
	}
	return func(b *metric.Bucket) {
		l.state.Save(b)
		l.push.Push(b)
	}
}

// keep keeps the buckets of this run after the agent has stopped. The live one goes to the state directory, from where
// the next run continues it, or else to the hub. At both, its packets would count twice.
func (l *live) keep() {
	if l.otlp != nil {
		l.otlp.Close()
	}
	live := l.policy.Window().Bucket(0)
	if l.state != nil {
		l.state.Close(live)
		live = nil
	}
	if l.push != nil {
		l.push.Close(live)
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
