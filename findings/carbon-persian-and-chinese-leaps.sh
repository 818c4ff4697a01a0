#!/usr/bin/env bash
# carbon (Go): 20 March 2021 is day 31 of month 0 in Persia, and 20 February and 22 March 2023 are the same day in China.
#
# The last day of a Persian leap year is the 30th of Esfand, month 12. carbon has it in the next year, in month 0, and its text is empty, without an error. It counts 1404 for
# a leap year instead of 1403, so that 1 January 2026 and the rest of that year are a day off. In the Chinese calendar, 2023 had a second
# month from 20 February, and a leap second month from 22 March. For both, IsLeapMonth says true, and the text is that of the leap month: the month that a
# leap month repeats cannot be told from it. go-jalaali and lunar-go have all these days right. v2.3.12 is the newest version of this module, whose
# successor has another name.
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

	"github.com/6tail/lunar-go/calendar"
	"github.com/golang-module/carbon/v2"
	"github.com/jalaali/go-jalaali"
)

func persian(day string) (carbonDate, other string) {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		panic(err)
	}
	p := carbon.CreateFromStdTime(t).Persian()
	y, m, d, err := jalaali.ToJalaali(t.Year(), t.Month(), t.Day())
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%d-%02d-%02d %q", p.Year(), p.Month(), p.Day(), p.String()), fmt.Sprintf("%d-%02d-%02d", y, int(m), d)
}

func main() {
	for _, day := range []string{"2021-03-19", "2021-03-20", "2021-03-21", "2025-03-20", "2026-01-01"} {
		c, other := persian(day)
		fmt.Printf("%s in Persia: carbon %s, go-jalaali %s\n", day, c, other)
	}
	for _, day := range []string{"2023-02-20", "2023-03-22", "2025-06-25", "2025-07-25"} {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			panic(err)
		}
		l := carbon.CreateFromStdTime(t).Lunar()
		other := calendar.NewSolarFromYmd(t.Year(), int(t.Month()), t.Day()).GetLunar()
		fmt.Printf("%s in China: carbon %s, leap month %v, %s; lunar-go %s\n", day, l.ToDateString(), l.IsLeapMonth(), l.ToMonthString(), other)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/golang-module/carbon/v2@v2.3.12 github.com/jalaali/go-jalaali@v0.1.0 github.com/6tail/lunar-go@v1.4.7 2>/dev/null
echo "golang-module/carbon v2.3.12; go-jalaali v0.1.0 and lunar-go v1.4.7 for comparison"
TZ=UTC go run . | tee out.txt
diff out.txt - <<'OUT'
2021-03-19 in Persia: carbon 1399-12-29 "1399-12-29 00:00:00", go-jalaali 1399-12-29
2021-03-20 in Persia: carbon 1400-00-31 "", go-jalaali 1399-12-30
2021-03-21 in Persia: carbon 1400-01-01 "1400-01-01 00:00:00", go-jalaali 1400-01-01
2025-03-20 in Persia: carbon 1404-01-01 "1404-01-01 00:00:00", go-jalaali 1403-12-30
2026-01-01 in Persia: carbon 1404-10-12 "1404-10-12 00:00:00", go-jalaali 1404-10-11
2023-02-20 in China: carbon 二零二三年闰二月初一, leap month true, 闰二月; lunar-go 二〇二三年二月初一
2023-03-22 in China: carbon 二零二三年闰二月初一, leap month true, 闰二月; lunar-go 二〇二三年闰二月初一
2025-06-25 in China: carbon 二零二五年闰六月初一, leap month true, 闰六月; lunar-go 二〇二五年六月初一
2025-07-25 in China: carbon 二零二五年闰六月初一, leap month true, 闰六月; lunar-go 二〇二五年闰六月初一
OUT
echo "as found"
