#!/usr/bin/env bash
# cronexpr (Go, HashiCorp's and the original): "1-7" is every day but Sunday, or never.
#
# "Domain for day-of-week field is [0-7] instead of [0-6], 7 being Sunday", "to comply with" crontab(5) (both packages' README). There, a range
# includes its ends, and 0-7 is every day. The 7 of a range is made a 0 before the range is walked through. HashiCorp's cronexpr then
# leaves Sunday out, as it does for SAT-SUN. The original runs "0-7" on Sundays alone, and the others never: Next gives the zero time. A list
# with a 7 in it works in both, and neither reports an error.
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
	"time"

	original "github.com/gorhill/cronexpr"
	"github.com/hashicorp/cronexpr"
)

// days lists the runs of the week that begins on Monday 2026-01-05.
func days(next func(time.Time) time.Time) string {
	out := ""
	end := time.Date(2026, 1, 11, 23, 59, 0, 0, time.UTC)
	for t := next(time.Date(2026, 1, 4, 23, 59, 0, 0, time.UTC)); !t.IsZero() && t.Before(end); t = next(t) {
		out += " " + t.Format("Mon")
	}
	if out == "" {
		out = " never"
	}
	return out
}

func main() {
	for _, e := range []string{"0 9 * * 7", "0 9 * * 5,6,7", "0 9 * * 5-7", "0 9 * * 1-7", "0 9 * * 0-7", "0 9 * * SAT-SUN"} {
		fmt.Printf("%s: HashiCorp's%s; the original%s\n", e, days(cronexpr.MustParse(e).Next), days(original.MustParse(e).Next))
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/hashicorp/cronexpr@v1.1.3 github.com/gorhill/cronexpr@v0.0.0-20180427100037-88b0669f7d75 2>/dev/null
echo "hashicorp/cronexpr v1.1.3, gorhill/cronexpr 88b0669f7d75 (2018-04-27)"
go run . | tee out.txt
diff out.txt - <<'OUT'
0 9 * * 7: HashiCorp's Sun; the original Sun
0 9 * * 5,6,7: HashiCorp's Fri Sat Sun; the original Fri Sat Sun
0 9 * * 5-7: HashiCorp's Fri Sat; the original never
0 9 * * 1-7: HashiCorp's Mon Tue Wed Thu Fri Sat; the original never
0 9 * * 0-7: HashiCorp's Mon Tue Wed Thu Fri Sat Sun; the original Sun
0 9 * * SAT-SUN: HashiCorp's Sat; the original never
OUT
echo "as found"
