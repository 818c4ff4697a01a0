package timeline

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"pktvisor/minute"
)

// One returns the value of a parameter that may be given once, or "".
func One(q url.Values, name string) (string, error) {
	switch given := q[name]; {
	case len(given) == 0:
		return "", nil
	case len(given) > 1:
		return "", Bad("%s is given more than once", name)
	case given[0] == "":
		return "", Bad("%s is empty: leave it out, or give a value", name)
	default:
		return given[0], nil
	}
}

// Number returns the value of a whole number from least to most.
func Number(q url.Values, name string, missing, least, most int) (int, error) {
	text, err := One(q, name)
	if text == "" || err != nil {
		return missing, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, Bad("%s %.50q: give a number from %d to %d", name, text, least, most)
	}
	return n, nil
}

// Tags returns the tags of a parameter, which may be given several times, and each time be a list with commas.
func Tags(q url.Values, name string) (tags []string, err error) {
	for _, list := range q[name] {
		for tag := range strings.SplitSeq(list, ",") {
			if tag == "" {
				return nil, Bad("%s %.100q: give key=value, for example pop=ams1", name, list)
			}
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// timeOf returns the Unix time that a text means: seconds, RFC 3339, now, or a time before now such as -24h or -7d.
func timeOf(text string, now int64) (int64, bool) {
	if text == "now" {
		return now, true
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 && n <= 1<<40 {
		return n, true
	}
	if before, ok := strings.CutPrefix(text, "-"); ok {
		d, ok := lengthOf(before)
		return now - d, ok && d <= now
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.Unix(), err == nil && t.Unix() >= 0
}

// units are the units of lengths of time that are longer than Go's.
var units = map[byte]int64{'d': 86400, 'w': 7 * 86400}

// lengthOf returns the seconds of a length of time: a number with d or w, or what [time.ParseDuration] reads.
func lengthOf(text string) (seconds int64, ok bool) {
	if text == "" {
		return 0, false
	}
	if unit := units[text[len(text)-1]]; unit > 0 {
		n, err := strconv.ParseInt(text[:len(text)-1], 10, 32)
		return n * unit, err == nil && n >= 0
	}
	d, err := time.ParseDuration(text)
	return int64(math.Round(d.Seconds())), err == nil && d >= 0
}

// rangeOf returns the times of the parameters from and to, in whole minutes. The defaults are now, and the source's length
// before it.
func (t *timeline) rangeOf(q url.Values) (from, to int64, err error) {
	now := t.Now().Unix()
	read := func(name string, missing int64) int64 {
		text, e := One(q, name)
		if text == "" || e != nil {
			err = e
			return missing
		}
		at, ok := timeOf(text, now)
		if !ok {
			err = wrongTime(name, text)
		}
		return at
	}
	if to = read("to", now); err != nil {
		return 0, 0, err
	}
	to = min(minute.Of(to+minute.Seconds-1), t.Source.End())
	if from = read("from", to-t.Source.Length()); err != nil {
		return 0, 0, err
	}
	if from = minute.Of(max(from, 0)); from >= to {
		return 0, 0, Bad("from %d is not before to %d, in Unix seconds", from, to)
	}
	return from, to, nil
}

func wrongTime(name, text string) error {
	return Bad("%s %.50q: give Unix seconds, a time such as 2026-11-29T12:00:00Z, or one before now such as -24h or -7d", name, text)
}
