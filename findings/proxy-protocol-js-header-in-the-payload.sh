#!/usr/bin/env bash
# proxy-protocol-js (npm): the payload behind a PROXY header of version 2 begins with the rest of the header.
#
# The header says its own length. What is within it and behind the addresses are TLVs (type, length, value), which a receiver may skip or interpret
# (PROXY protocol, section 2.2), and load balancers send them unasked. parse() reads the length, and then takes all that stands behind
# the addresses for "data", which is the payload where there are no TLVs. So the request of a client begins with the name of the
# host, a checksum or an identifier, and the caller cannot tell where it ends: the length is not kept. go-proxyproto wrote the
# bytes, and reads the payload for comparison.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . proxy-protocol-js@4.0.6 >/dev/null
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/pires/go-proxyproto"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	for _, tlvs := range [][]proxyproto.TLV{nil, {{Type: proxyproto.PP2_TYPE_AUTHORITY, Value: []byte("shop.example")}}} {
		h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 80), Port: 80})
		check(h.SetTLVs(tlvs))
		b, err := h.Format()
		check(err)
		b = append(b, "GET / HTTP/1.1\r\n"...)
		r := bufio.NewReader(bytes.NewReader(b))
		_, err = proxyproto.Read(r)
		check(err)
		payload, err := io.ReadAll(r)
		check(err)
		fmt.Printf("%d TLVs: go-proxyproto     %q\n", len(tlvs), payload)
		check(os.WriteFile(fmt.Sprint(len(tlvs), ".bin"), b, 0o600))
	}
}
GO
cat >run.js <<'JS'
const { V2ProxyProtocol } = require('proxy-protocol-js');
for (const n of [0, 1]) {
  const { data } = V2ProxyProtocol.parse(new Uint8Array(require('fs').readFileSync(`${n}.bin`)));
  console.log(`${n} TLVs: proxy-protocol-js ${JSON.stringify(Buffer.from(data).toString('latin1'))}`);
}
JS
export GOFLAGS=-mod=mod
go get github.com/pires/go-proxyproto@v0.8.1 2>/dev/null
echo "proxy-protocol-js 4.0.6, and go-proxyproto v0.8.1 for comparison"
{ go run .; node run.js; } | tee out.txt
diff out.txt - <<'OUT'
0 TLVs: go-proxyproto     "GET / HTTP/1.1\r\n"
1 TLVs: go-proxyproto     "GET / HTTP/1.1\r\n"
0 TLVs: proxy-protocol-js "GET / HTTP/1.1\r\n"
1 TLVs: proxy-protocol-js "\u0002\u0000\fshop.exampleGET / HTTP/1.1\r\n"
OUT
echo "as found"
