#!/usr/bin/env bash
# mochi-mqtt: a group of workers loses messages if one of its members also has a subscription of its own to the topic.
#
# A message that matches a shared subscription goes to one member of the group. A client that also has a subscription that is not
# shared gets a copy for each of the two (MQTT 5.0 section 4.8.2). The broker merges both into one copy: each message whose turn in the
# group falls on that client reaches the group not at all. The same client without its own subscription gets its part.
# Beside that, every forwarded message says that it expires in a day, although its publisher set no expiry, which means never
# (section 3.3.2.3.3).
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

const messages = 1000

func check(err error) {
	if err != nil {
		panic(err)
	}
}

type inbox struct {
	sync.Mutex
	n      int
	expiry *uint32
}

func (in *inbox) count() int {
	in.Lock()
	defer in.Unlock()
	return in.n
}

func connect(addr, id string, topics ...string) (*paho.Client, *inbox) {
	conn, err := net.Dial("tcp", addr)
	check(err)
	in := new(inbox)
	c := paho.NewClient(paho.ClientConfig{Conn: conn, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) {
			in.Lock()
			defer in.Unlock()
			in.n++
			in.expiry = p.Packet.Properties.MessageExpiry
			return true, nil
		},
	}})
	_, err = c.Connect(context.Background(), &paho.Connect{ClientID: id, KeepAlive: 30, CleanStart: true})
	check(err)
	for _, topic := range topics {
		_, err := c.Subscribe(context.Background(), &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}})
		check(err)
	}
	return c, in
}

func main() {
	broker := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	check(broker.AddHook(new(auth.AllowHook), nil))
	l := listeners.NewTCP(listeners.Config{ID: "t", Address: "127.0.0.1:0"})
	check(broker.AddListener(l))
	check(broker.Serve())
	for _, own := range []bool{false, true} {
		topic := fmt.Sprintf("work/%v", own)
		shared := "$share/workers/" + topic
		topics := []string{shared}
		if own {
			topics = append(topics, topic)
		}
		_, a := connect(l.Address(), "a "+topic, topics...)
		_, b := connect(l.Address(), "b "+topic, shared)
		p, _ := connect(l.Address(), "publisher "+topic)
		for range messages {
			_, err := p.Publish(context.Background(), &paho.Publish{Topic: topic, Payload: []byte("x"), QoS: 1})
			check(err)
		}
		last := -1
		for n := 0; n != last; n = a.count() + b.count() { // until nothing comes any more
			last = n
			time.Sleep(time.Second)
		}
		group := a.count() + b.count()
		if own {
			group -= messages // the copies of a's own subscription
		}
		verdict := "all"
		if group < messages*9/10 {
			verdict = "only some"
		}
		fmt.Printf("a also has its own subscription: %v; of %d messages, %s reached the group\n", own, messages, verdict)
		if a.expiry != nil {
			fmt.Printf("  expiry of a message whose publisher set none: %d s\n", *a.expiry)
		}
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/mochi-mqtt/server/v2@v2.7.9 github.com/eclipse/paho.golang@v0.23.0 2>/dev/null
echo "mochi-mqtt v2.7.9, paho.golang v0.23.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
a also has its own subscription: false; of 1000 messages, all reached the group
  expiry of a message whose publisher set none: 86400 s
a also has its own subscription: true; of 1000 messages, only some reached the group
  expiry of a message whose publisher set none: 86400 s
OUT
echo "as found"
