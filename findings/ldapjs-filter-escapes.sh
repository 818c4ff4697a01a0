#!/usr/bin/env bash
# @ldapjs/filter (npm, of ldapjs 3) searches for a backslash and digits where a filter has an escaped character.
#
# In a filter's text, "\28" stands for the octet of "(", and "\c4\8d" for the two octets of a letter. The wire has the octets themselves (RFC 4515
# section 3; two examples of section 4 are below). toBer(), which makes what the client sends, leaves the escapes as they are. So a search for
# "for all)", or for an objectGUID, asks the directory for text with backslashes. It finds nothing, and that is a success. Letters that are not
# ASCII work when they are written without escapes, but parentheses, asterisks and binary values have no other form. What
# the package reads back from the wire looks like the input, which hides it. go-ldap encodes the same filters for comparison.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --prefix . @ldapjs/filter@2.1.1 >/dev/null
cat >run.js <<'JS'
const { parseString } = require('@ldapjs/filter');
for (const f of require('fs').readFileSync('filters', 'utf8').trim().split('\n')) console.log(`${f}: npm ${parseString(f).toBer().buffer.toString('hex')}`);
JS
cat >filters <<'FILTERS'
(cn=Babs Jensen)
(o=Parens R Us \28for all parenthetical purposes\29)
(sn=Lu\c4\8di\c4\87)
(objectGUID=\90\39\5f\19)
FILTERS
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/go-ldap/ldap/v3"
)

func main() {
	s := bufio.NewScanner(os.Stdin)
	for s.Scan() {
		p, err := ldap.CompileFilter(s.Text())
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: go-ldap %x\n", s.Text(), p.Bytes())
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/go-ldap/ldap/v3@v3.4.11 2>/dev/null
echo "@ldapjs/filter 2.1.1, and go-ldap v3.4.11 for comparison"
{ node run.js; go run . <filters; } | LC_ALL=C sort -s -t: -k1,1 | tee out.txt
diff out.txt - <<'OUT'
(cn=Babs Jensen): npm a3110402636e040b42616273204a656e73656e
(cn=Babs Jensen): go-ldap a3110402636e040b42616273204a656e73656e
(o=Parens R Us \28for all parenthetical purposes\29): npm a33504016f0430506172656e732052205573205c3238666f7220616c6c20706172656e746865746963616c20707572706f7365735c3239
(o=Parens R Us \28for all parenthetical purposes\29): go-ldap a33104016f042c506172656e7320522055732028666f7220616c6c20706172656e746865746963616c20707572706f73657329
(objectGUID=\90\39\5f\19): npm a31a040a6f626a65637447554944040c5c39305c33395c35665c3139
(objectGUID=\90\39\5f\19): go-ldap a312040a6f626a65637447554944040490395f19
(sn=Lu\c4\8di\c4\87): npm a3150402736e040f4c755c63345c3864695c63345c3837
(sn=Lu\c4\8di\c4\87): go-ldap a30d0402736e04074c75c48d69c487
OUT
echo "as found"
