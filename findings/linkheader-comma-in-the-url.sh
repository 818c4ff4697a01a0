#!/usr/bin/env bash
# linkheader (tomnomnom, Go) loses the link to the next page when its URL has a comma or a semicolon.
#
# A link's target stands between < and >, and may have any character of a URI (RFC 8288 section 3): commas and semicolons are among them
# (RFC 3986 section 2.2), and usual in "fields=id,name". The header is split at each comma and semicolon first, whatever they are in. There is no
# error: a client that follows the links takes the first page for all. A link with two relation types (RFC 8288 section 3.3) is found by
# neither of them, white space around "=" (section 3: BWS) hides the relation, and a quoted title with a comma is cut.
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
	"fmt"

	"github.com/tomnomnom/linkheader"
)

func main() {
	for _, h := range []string{
		`<https://api.example/items?page=2>; rel="next"`,
		`<https://api.example/items?fields=id,name&page=2>; rel="next"`,
		`<https://api.example/items;v=1?page=2>; rel="next"`,
		`<https://api.example/items?page=2>; rel="next last"`,
		`<https://api.example/items?page=2>; rel = "next"`,
		`<https://api.example/items?page=2>; rel="next"; title="2, of 9"`,
	} {
		links := linkheader.Parse(h)
		fmt.Printf("%s: %d links, %d to the next page", h, len(links), len(links.FilterByRel("next")))
		if len(links) > 0 && links[0].HasParam("title") {
			fmt.Printf(", title %s", links[0].Param("title"))
		}
		fmt.Println()
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/tomnomnom/linkheader@v0.0.0-20250811210735-e5fe3b51442e 2>/dev/null
echo "linkheader e5fe3b51442e (2025-08-11)"
go run . | tee out.txt
diff out.txt - <<'OUT'
<https://api.example/items?page=2>; rel="next": 1 links, 1 to the next page
<https://api.example/items?fields=id,name&page=2>; rel="next": 0 links, 0 to the next page
<https://api.example/items;v=1?page=2>; rel="next": 0 links, 0 to the next page
<https://api.example/items?page=2>; rel="next last": 1 links, 0 to the next page
<https://api.example/items?page=2>; rel = "next": 1 links, 0 to the next page
<https://api.example/items?page=2>; rel="next"; title="2, of 9": 1 links, 1 to the next page, title 2
OUT
echo "as found"
