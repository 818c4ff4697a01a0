package agent

import (
	"context"
	"testing"

	"pktvisor/analyze/packets"
	"pktvisor/capture"
)

// setup is the configuration of an agent with one tap and one policy.
type setup struct {
	TapConfig
	PolicyConfig
	Locate packets.Locator
}

// only is an agent with one tap and one policy.
type only struct {
	*Agent
	*Tap
	*Policy
}

// start makes the agent. Without topics, its policy has the default ones.
func (c setup) start(t testing.TB) *only {
	t.Helper()
	if c.Topics == nil {
		c.Topics = Topics(c.Locate, c.DNSTimeout)
	}
	a, err := New(Config{Taps: []TapConfig{c.TapConfig}, Policies: []PolicyConfig{c.PolicyConfig}})
	if err != nil {
		t.Fatal(err)
	}
	return &only{a, a.Tap(Default), a.Policy(Default)}
}

// RunFile runs the agent on one source.
func (o *only) RunFile(ctx context.Context, src capture.Source) error {
	return o.RunLive(ctx, []capture.Source{src})
}

// RunLive runs the agent on a source for each shard.
func (o *only) RunLive(ctx context.Context, sources []capture.Source) error {
	return o.Agent.Run(ctx, map[string][]capture.Source{Default: sources})
}

// recorded and arriving are for sources to embed.
type (
	recorded struct{}
	arriving struct{}
)

// Clock implements [capture.Source].
func (recorded) Clock() capture.Clock { return capture.OwnTime }

// Clock implements [capture.Source].
func (arriving) Clock() capture.Clock { return capture.Arrival }
