#!/usr/bin/env bash
# @nats-io/kv (npm): purgeDeletes removes keys that are not deleted.
#
# It is there to clean up what deleted keys leave behind; nats.go describes the same call as one that "will remove all current delete
# markers". In a bucket that keeps a history, this client looks for deletions in the whole history instead of in the last revision of each
# key. A key that was deleted once and has been written again has an old deletion in its history. If that is older than the limit, half an
# hour by default, the client purges the key with all of its revisions, also the live value. Clean-up jobs that ran well with a history of 1
# lose data with a history of 5. The Go client keeps the value.
# The method belongs to the exported class Bucket, which Kvm's open and create return, and is not part of the interface KV.
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
  const kv = await new Kvm(nc).open('js');
  await kv.purgeDeletes(1000);
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
	"os/exec"
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
	for _, client := range []string{"go", "js"} {
		kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: client, History: 5})
		check(err)
		for _, key := range []string{"written.again", "gone"} {
			_, err = kv.PutString(ctx, key, "old")
			check(err)
			check(kv.Delete(ctx, key))
		}
		_, err = kv.PutString(ctx, "written.again", "new")
		check(err)
		time.Sleep(2 * time.Second)
		if client == "go" {
			check(kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(time.Second)))
		} else {
			check(exec.CommandContext(ctx, "node", "run.js", srv.ClientURL()).Run())
		}
		for _, key := range []string{"written.again", "gone"} {
			value, err := kv.Get(ctx, key)
			if err != nil {
				fmt.Printf("purged with the %s client: %s: %v\n", client, key, err)
			} else {
				fmt.Printf("purged with the %s client: %s: %s\n", client, key, value.Value())
			}
		}
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/nats-io/nats-server/v2@v2.15.2 github.com/nats-io/nats.go@v1.55.0 2>/dev/null
echo "@nats-io/kv 3.4.0, nats.go v1.55.0, nats-server v2.15.2"
go run . | tee out.txt
diff out.txt - <<'OUT'
purged with the go client: written.again: new
purged with the go client: gone: nats: key not found
purged with the js client: written.again: nats: key not found
purged with the js client: gone: nats: key not found
OUT
echo "as found"
