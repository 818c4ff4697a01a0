#!/usr/bin/env bash
# @nats-io/kv (npm): keys() lists keys that have expired.
#
# In a bucket with limit markers, the server puts a marker in the place of an expired key's value: a message with the header
# Nats-Marker-Reason: MaxAge, which clients are to "treat as PURGE" (NATS ADR-48, "Retrieving Values"). get() of this client does so. keys()
# looks only at the older header KV-Operation, and gives the expired key among the live ones; a list of keys has no operation beside it, so
# that nothing shows the difference. A program that counts hosts, sessions or leases by their keys counts the dead ones too.
# A watch with ignoreDeletes, which "only sends PUT operation entries" (ADR-8, "Watchers Implementation Detail"), gets expired keys and
# purged keys as well. The Go client lists and watches live keys only.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @nats-io/transport-node@3.4.0 @nats-io/kv@3.4.0 >/dev/null
cat >run.js <<'JS'
const { connect } = require('@nats-io/transport-node');
const { Kvm } = require('@nats-io/kv');
(async () => {
  const nc = await connect({ servers: process.argv[2] });
  const kv = await new Kvm(nc).open('hosts');
  const keys = [];
  for await (const k of await kv.keys()) keys.push(k);
  console.log('js: get of expired:', (await kv.get('expired')).operation);
  console.log('js: keys:', keys.sort().join(' '));
  const watch = await kv.watch({ ignoreDeletes: true });
  const seen = [];
  for await (const e of watch) {
    seen.push(`${e.key} (${e.operation})`);
    if (e.delta === 0) break;
  }
  console.log('js: watch without deletes:', seen.sort().join(', '));
  await nc.close();
})();
JS
cat >go.mod <<'MOD'
module finding

go 1.26
MOD
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: "store", NoLog: true, NoSigs: true})
	check(err)
	srv.Start()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(10 * time.Second) {
		panic("the server did not start")
	}
	nc, err := nats.Connect(srv.ClientURL())
	check(err)
	js, err := jetstream.New(nc)
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "hosts", LimitMarkerTTL: time.Hour})
	check(err)
	_, err = kv.Create(ctx, "expired", []byte("up"), jetstream.KeyTTL(time.Second))
	check(err)
	_, err = kv.PutString(ctx, "purged", "up")
	check(err)
	check(kv.Purge(ctx, "purged"))
	time.Sleep(3 * time.Second)
	_, err = kv.PutString(ctx, "live", "up")
	check(err)

	_, err = kv.Get(ctx, "expired")
	fmt.Println("go: get of expired:", err)
	keys, err := kv.Keys(ctx)
	check(err)
	slices.Sort(keys)
	fmt.Println("go: keys:", strings.Join(keys, " "))
	watch, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	check(err)
	for e := range watch.Updates() {
		if e == nil {
			break
		}
		fmt.Println("go: watch without deletes:", e.Key())
	}
	cmd := exec.CommandContext(ctx, "node", "run.js", srv.ClientURL())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	check(cmd.Run())
}
GO
export GOFLAGS=-mod=mod
go get github.com/nats-io/nats-server/v2@v2.15.2 github.com/nats-io/nats.go@v1.55.0 2>/dev/null
echo "@nats-io/kv 3.4.0, nats.go v1.55.0, nats-server v2.15.2"
go run . | tee out.txt
diff out.txt - <<'OUT'
go: get of expired: nats: key not found
go: keys: live
go: watch without deletes: live
js: get of expired: PURGE
js: keys: expired live
js: watch without deletes: expired (PURGE), live (PUT), purged (PURGE)
OUT
echo "as found"
