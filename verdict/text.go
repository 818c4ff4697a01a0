package verdict

import (
	"math"
	"strconv"
	"time"
)

// exact writes a whole number in full, with a comma after every three digits.
func exact(v float64) string {
	s := strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short writes a number with three significant digits, and from 10,000 on with a prefix: 1.23 M.
func short(v float64) string {
	if v >= 100 && v < 10_000 {
		return exact(v)
	}
	round := func(v float64) float64 {
		r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 3, 64), 64)
		if err != nil {
			return v
		}
		return r
	}
	v, prefix := round(v), ""
	for _, p := range []string{" k", " M", " G", " T", " P", " E"} {
		if v < 1000 {
			break
		}
		v, prefix = round(v/1000), p
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + prefix
}

func bytesText(v float64) string {
	s := short(v)
	if last := s[len(s)-1]; last >= '0' && last <= '9' {
		s += " "
	}
	return s + "B"
}

func percent(share float64) string {
	p := 100 * share
	switch {
	case p > 0 && p < 0.1:
		return "< 0.1%"
	case p < 99.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}

// steps writes how long some steps are.
func steps(n int, step int64) string {
	minutes := int64(n) * step / 60
	switch {
	case minutes == 1:
		return "1 minute"
	case minutes < 60:
		return strconv.FormatInt(minutes, 10) + " minutes"
	case minutes%60 == 0:
		return strconv.FormatInt(minutes/60, 10) + " h"
	}
	return strconv.FormatInt(minutes/60, 10) + " h " + strconv.FormatInt(minutes%60, 10) + " min"
}

// clock writes when a step begins, in UTC. If the range is longer than a day, it has the date.
func (j *judge) clock(step int) string {
	layout := "15:04"
	if int64(len(j.Queries))*j.Step > 86400 {
		layout = "01-02 15:04"
	}
	return time.Unix(j.moment(step), 0).UTC().Format(layout)
}

// time says when a rise was.
func (j *judge) time(r *rise) string {
	if r.open {
		return " from " + j.clock(r.at) + " UTC on"
	}
	return " from " + j.clock(r.at) + " UTC to " + j.clock(r.end)
}

// since says when the data begins.
func (j *judge) since(known []int) string {
	if len(known) == 0 {
		return ""
	}
	return ", which begins at " + j.clock(known[0]) + " UTC"
}
