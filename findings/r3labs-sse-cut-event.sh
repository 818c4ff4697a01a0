#!/usr/bin/env bash
# r3labs/sse: a broken connection turns an event of 1234567 into one of 123, and the true event is never fetched.
#
# If a stream ends before the blank line that closes an event, "the incomplete event is not dispatched" (HTML standard, section 9.2.6), and
# its id does not count as received. This client dispatches the part that has arrived; a number that is cut is still a number. It then
# reconnects and asks for what follows the id of the cut event, as if it had it: a server that can replay events leaves the whole one
# out. Neither the handler nor the caller sees an error. tmaxmax/go-sse, at the same server, gets the event whole.
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
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	r3labs "github.com/r3labs/sse/v2"
	tmaxmax "github.com/tmaxmax/go-sse"
)

var packets = []string{"1000000", "1234567", "1500000"}

// serve sends the events after the last one that the client has. The first connection breaks in the middle of the second event.
func serve() *httptest.Server {
	connections := 0
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections++
		has, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		for i := has; i < len(packets); i++ {
			if connections == 1 && i == 1 {
				fmt.Fprintf(w, "id: %d\ndata: %s", i+1, packets[i][:3])
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
				panic(http.ErrAbortHandler) // closes the connection
			}
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i+1, packets[i])
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
	}))
}

func main() {
	server := serve()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	r3labs.NewClient(server.URL).SubscribeRawWithContext(ctx, func(e *r3labs.Event) {
		fmt.Printf("r3labs: event %s: %s\n", e.ID, e.Data)
		if string(e.ID) == "3" {
			cancel()
		}
	})

	server = serve()
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		panic(err)
	}
	connection := tmaxmax.NewConnection(req)
	connection.SubscribeToAll(func(e tmaxmax.Event) {
		fmt.Printf("go-sse: event %s: %s\n", e.LastEventID, e.Data)
		if e.LastEventID == "3" {
			cancel()
		}
	})
	connection.Connect()
}
GO
export GOFLAGS=-mod=mod
go get github.com/r3labs/sse/v2@v2.10.0 github.com/tmaxmax/go-sse@v0.12.0 2>/dev/null
echo "r3labs/sse v2.10.0, tmaxmax/go-sse v0.12.0"
go run . 2>/dev/null | tee out.txt
diff out.txt - <<'OUT'
r3labs: event 1: 1000000
r3labs: event 2: 123
r3labs: event 3: 1500000
go-sse: event 1: 1000000
go-sse: event 2: 1234567
go-sse: event 3: 1500000
OUT
echo "as found"
