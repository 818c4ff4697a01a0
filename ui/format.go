package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"pktvisor/api"
)

// count writes n in at most w cells (w ≥ 4). It writes the full number with separators if that fits, otherwise an SI
// suffix and as many digits as fit. It returns "" for an unknown number.
func count(n api.Number, w int) string {
	if !n.Known {
		return ""
	}
	v := math.Round(n.Value)
	if math.Abs(v) < 1e15 {
		if s := grouped(int64(v)); len(s) <= w {
			return s
		}
	}
	return scaled(v, w)
}

// grouped writes v with a comma after every three digits.
func grouped(v int64) string {
	s := strconv.FormatInt(v, 10)
	sign := ""
	if v < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// scaled writes v with an SI suffix in at most w cells (w ≥ 4).
func scaled(v float64, w int) string {
	sign := ""
	if v < 0 {
		sign, v, w = "-", -v, w-1
	}
	if v < 1000 {
		return sign + strconv.FormatFloat(v, 'f', 0, 64)
	}
	for _, suffix := range "kMGTPE" {
		v /= 1000
		if v >= 999.5 {
			continue
		}
		for digits := 2; digits >= 0; digits-- {
			s := strconv.FormatFloat(v, 'f', digits, 64) + string(suffix)
			if len(s) <= min(w, 6) {
				return sign + s
			}
		}
	}
	return sign + "huge"
}

// share writes part of base as a percentage in six cells, the first one blank. It returns "" if either is unknown or
// base is not positive. A value that is not zero is never written as 0.0%, and a value that is not all is never written
// as 100%.
func share(part, base api.Number) string {
	if !part.Known || !base.Known || base.Value <= 0 {
		return ""
	}
	return percent(part.Value / base.Value)
}

func percent(f float64) string {
	p := f * 100
	switch {
	case p > 0 && p < 0.05:
		return " <0.1%"
	case p < 100 && p >= 99.95:
		return " 99.9%"
	case p > 999:
		return " >999%"
	case p < 0:
		return "    <0"
	case p >= 100:
		return fmt.Sprintf("%5.0f%%", p)
	}
	return fmt.Sprintf("%5.1f%%", p)
}

// ratio returns part divided by base, or 0 if either is unknown or base is not positive.
func ratio(part, base api.Number) float64 {
	if !part.Known || !base.Known || base.Value <= 0 {
		return 0
	}
	return part.Value / base.Value
}

// millis writes a latency in microseconds as milliseconds in at most six cells.
func millis(n api.Number) string {
	if !n.Known {
		return ""
	}
	ms := n.Value / 1000
	switch {
	case ms < 0:
		return "<0"
	case ms < 9.995:
		return strconv.FormatFloat(ms, 'f', 2, 64)
	case ms < 999.95:
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return count(api.N(ms), 6)
}

// bytesText writes a number of bytes with a decimal unit.
func bytesText(n api.Number) string {
	if !n.Known {
		return ""
	}
	if math.Abs(n.Value) < 1000 {
		return strconv.FormatFloat(n.Value, 'f', 0, 64) + " B"
	}
	s := scaled(n.Value, 5)
	if strings.HasSuffix(s, "huge") {
		return s
	}
	return s[:len(s)-1] + " " + s[len(s)-1:] + "B"
}

// plain1 writes a small number with two decimals, such as a ratio.
func plain1(n api.Number) string {
	if !n.Known {
		return ""
	}
	if n.Value >= 1000 {
		return count(n, 6)
	}
	return strconv.FormatFloat(n.Value, 'f', 2, 64)
}

// span writes a duration for people: 12s, 4m 03s, 3h 12m, 5d 2h.
func span(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 0:
		return "0s"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh %02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd %dh", s/86400, s/3600%24)
}

// longest bounds a plausible number of seconds.
const longest = 3e9

// seconds returns n seconds as a Duration, or 0 if n is unknown or not plausible.
func seconds(n api.Number) time.Duration {
	if !n.Known || n.Value < 0 || n.Value > longest {
		return 0
	}
	return time.Duration(n.Value * float64(time.Second))
}

// moment returns a Unix time as a Time, and whether it is known and plausible.
func moment(n api.Number) (time.Time, bool) {
	if !n.Known || n.Value < 1 || n.Value > 253402300799 { // year 9999
		return time.Time{}, false
	}
	return time.Unix(int64(n.Value), 0), true
}

// errorText writes the relative error of an estimate, such as ±2%. It returns "" for an exact number.
func errorText(n api.Number, g *glyphs) string {
	if !n.Known || n.Value < 0.0005 {
		return ""
	}
	if n.Value >= 0.1 {
		return fmt.Sprintf("%s%.0f%%", g.plusMinus, min(n.Value*100, 999))
	}
	return fmt.Sprintf("%s%.1f%%", g.plusMinus, n.Value*100)
}
