#!/usr/bin/env bash
# robotstxt (temoto, Go): a rule with a wildcard matches in the middle of a path, and outweighs a longer rule.
#
# A path is compared with a rule from its first octet on, and the match with the most octets decides; if two are equal, allow should
# (RFC 9309 section 2.2.2). A rule with "*" becomes a regular expression here, which nothing anchors at the start. Its length
# is that of the expression, where each "." and "?" has a backslash and "*" a dot. Of equal rules, the first one wins.
# So a crawler fetches what is forbidden, and leaves out what is allowed.
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
	"strings"

	"github.com/temoto/robotstxt"
)

func main() {
	for _, c := range []struct {
		rules, path, right string
	}{
		{"Disallow: /\nAllow: /public/*.html", "/private/public/a.html", "no"},
		{"Disallow: /api/*/internal", "/docs/api/v1/internal", "yes"},
		{"Disallow: /*.v1.2.js\nAllow: /lib.v1.2.js", "/lib.v1.2.js", "yes"},
		{"Disallow: /page\nAllow: /page", "/page", "yes"},
		{"Disallow: /api/*/internal", "/api/v1/internal", "no"},
	} {
		r, err := robotstxt.FromString("User-agent: *\n" + c.rules + "\n")
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s; %s: allowed %v, by RFC 9309 %s\n", strings.ReplaceAll(c.rules, "\n", ", "), c.path, r.TestAgent(c.path, "bot"), c.right)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/temoto/robotstxt@v1.1.2 2>/dev/null
echo "temoto/robotstxt v1.1.2"
go run . | tee out.txt
diff out.txt - <<'OUT'
Disallow: /, Allow: /public/*.html; /private/public/a.html: allowed true, by RFC 9309 no
Disallow: /api/*/internal; /docs/api/v1/internal: allowed false, by RFC 9309 yes
Disallow: /*.v1.2.js, Allow: /lib.v1.2.js; /lib.v1.2.js: allowed false, by RFC 9309 yes
Disallow: /page, Allow: /page; /page: allowed false, by RFC 9309 yes
Disallow: /api/*/internal; /api/v1/internal: allowed false, by RFC 9309 no
OUT
echo "as found"
