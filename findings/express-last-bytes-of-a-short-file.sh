#!/usr/bin/env bash
# express (npm) answers 416 to a request for the last 500 bytes of a file that has 100.
#
# "If the selected representation is shorter than the specified suffix-length, the entire representation is used", and a suffix range whose length
# is not zero is satisfiable (RFC 9110 section 14.1.2). A viewer that asks for the last 64 KiB of a log works, until it is rotated. The
# start is computed as size minus length, and a negative start counts as unsatisfiable in range-parser. Beside another range,
# the suffix is left out instead: "bytes=0-9,-500" gives the first 10 bytes alone. Go's file server answers with all 100 bytes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . express@5.2.1 range-parser@1.3.0 >/dev/null
mkdir files
head -c 100 /dev/zero >files/app.log
cat >run.js <<'JS'
const express = require('express');
const http = require('http');
const server = express().use(express.static('files')).listen(0, '127.0.0.1', async () => {
  for (const range of ['bytes=-50', 'bytes=-100', 'bytes=-101', 'bytes=-500', 'bytes=0-9,-500']) {
    await new Promise((done) => {
      http.get({ port: server.address().port, host: '127.0.0.1', path: '/app.log', headers: { range } }, (res) => {
        let n = 0;
        const type = res.headers['content-range'];
        res.on('data', (d) => (n += d.length)).on('end', () => {
          console.log(`express: ${range}: ${res.statusCode} ${type}${res.statusCode < 300 ? `, ${n} bytes` : ''}`);
          done();
        });
      });
    });
  }
  server.close();
});
JS
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
)

func main() {
	for _, r := range []string{"bytes=-101", "bytes=-500"} {
		req := httptest.NewRequest("GET", "/app.log", nil)
		req.Header.Set("Range", r)
		w := httptest.NewRecorder()
		http.FileServer(http.Dir("files")).ServeHTTP(w, req)
		fmt.Printf("Go: %s: %d %s, %d bytes\n", r, w.Code, w.Header().Get("Content-Range"), w.Body.Len())
	}
}
GO
echo "express 5.2.1"
{ NODE_ENV=test node run.js; go run .; } | tee out.txt
diff out.txt - <<'OUT'
express: bytes=-50: 206 bytes 50-99/100, 50 bytes
express: bytes=-100: 206 bytes 0-99/100, 100 bytes
express: bytes=-101: 416 bytes */100
express: bytes=-500: 416 bytes */100
express: bytes=0-9,-500: 206 bytes 0-9/100, 10 bytes
Go: bytes=-101: 206 bytes 0-99/100, 100 bytes
Go: bytes=-500: 206 bytes 0-99/100, 100 bytes
OUT
echo "as found"
