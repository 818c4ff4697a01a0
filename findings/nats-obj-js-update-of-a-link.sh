#!/usr/bin/env bash
# @nats-io/obj (npm): a link in an object store that is given a description becomes an empty object.
#
# "Objects, Links and Bucket Links are all allowed to be updated", and "only the name, description and headers can be" (NATS ADR-20, "UpdateMeta").
# A link is kept in the options beside these. This client replaces the options by those of the call, which has none. The call succeeds, and
# the name of the target is lost. The Go client then reads the object as empty, without an error; this client fails with a TypeError.
# After the Go client's UpdateMeta, the link leads to its target as before.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @nats-io/transport-node@3.4.0 @nats-io/obj@3.4.0 >/dev/null
cat >run.js <<'JS'
const { connect } = require('@nats-io/transport-node');
const { Objm } = require('@nats-io/obj');
(async () => {
  const nc = await connect({ servers: process.argv[2] });
  const store = await new Objm(nc).open('reports');
  await store.update('js', { description: 'the newest one' });
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
	store, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "reports"})
	check(err)
	report, err := store.PutString(ctx, "monday", "all is well")
	check(err)
	for _, client := range []string{"go", "js"} {
		_, err := store.AddLink(ctx, client, report)
		check(err)
		if client == "go" {
			check(store.UpdateMeta(ctx, "go", jetstream.ObjectMeta{Name: "go", Description: "the newest one"}))
		} else {
			check(exec.CommandContext(ctx, "node", "run.js", srv.ClientURL()).Run())
		}
		info, err := store.GetInfo(ctx, client)
		check(err)
		data, err := store.GetString(ctx, client)
		isLink := info.Opts != nil && info.Opts.Link != nil
		fmt.Printf("described with the %s client: %q, is a link: %v, reads %q, error: %v\n", client, info.Description, isLink, data, err)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/nats-io/nats-server/v2@v2.15.2 github.com/nats-io/nats.go@v1.55.0 2>/dev/null
echo "@nats-io/obj 3.4.0, nats.go v1.55.0, nats-server v2.15.2"
go run . | tee out.txt
diff out.txt - <<'OUT'
described with the go client: "the newest one", is a link: true, reads "all is well", error: <nil>
described with the js client: "the newest one", is a link: false, reads "", error: <nil>
OUT
echo "as found"
