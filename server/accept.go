package server

import (
	"net/http"
	"strings"
)

// A preference is what a header such as Accept says about one thing, for example a media type: its weight in
// thousandths (RFC 9110, 12.4.2).
type preference struct {
	weight int
	// named reports whether the header names the thing itself, not only a range such as */*. said reports whether the
	// header says anything about it.
	named, said bool
}

// refused reports whether the header excludes the thing.
func (p preference) refused() bool { return p.said && p.weight == 0 }

// preferenceFor looks up a thing in a header of comma-separated ranges. The caller lists the ranges that may match from
// the most to the least specific; the first is the thing's own name. The most specific range in the header decides (RFC
// 9110, 12.5.1). An element that is not well-formed counts as missing.
func preferenceFor(header []string, ranges ...string) preference {
	best, found := len(ranges), preference{}
	for element := range strings.SplitSeq(strings.Join(header, ","), ",") {
		name, parameters, _ := strings.Cut(element, ";")
		name = strings.TrimSpace(name)
		weight, ok := weightOf(parameters)
		if !ok {
			continue
		}
		for i, r := range ranges {
			if !strings.EqualFold(name, r) {
				continue
			}
			if i < best || i == best && weight > found.weight {
				best, found = i, preference{weight: weight, named: i == 0, said: true}
			}
		}
	}
	return found
}

// weightOf returns the value of the q parameter, or 1000 if it is missing.
func weightOf(parameters string) (thousandths int, ok bool) {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return parseWeight(strings.TrimSpace(value))
		}
	}
	return 1000, true
}

// parseWeight reads a qvalue: 0 to 1 with up to three decimals.
func parseWeight(s string) (thousandths int, ok bool) {
	whole, decimals, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(decimals) > 3 {
		return 0, false
	}
	for i := range 3 {
		digit := 0
		if i < len(decimals) {
			digit = int(decimals[i]) - '0'
		}
		if digit < 0 || digit > 9 {
			return 0, false
		}
		thousandths = 10*thousandths + digit
	}
	if whole == "1" {
		return 1000, thousandths == 0
	}
	return thousandths, true
}

// chooseType returns the media type of a bucket that a request prefers. It returns [typeSnapshot] if the request names
// it and does not prefer JSON, and JSON otherwise. It returns "" if the request refuses both.
func chooseType(r *http.Request) string {
	accept := r.Header.Values("Accept")
	snapshot := preferenceFor(accept, typeSnapshot, "application/*", "*/*")
	json := preferenceFor(accept, typeJSON, "application/*", "*/*")
	switch {
	case snapshot.named && snapshot.weight > 0 && snapshot.weight >= json.weight:
		return typeSnapshot
	case !json.refused():
		return typeJSON // also if the header says nothing about it, as the RFC allows
	case snapshot.weight > 0:
		return typeSnapshot
	}
	return ""
}

// refuses reports whether a request excludes a media type.
func refuses(r *http.Request, mediaType string) bool {
	kind, _, _ := strings.Cut(mediaType, "/")
	return preferenceFor(r.Header.Values("Accept"), mediaType, kind+"/*", "*/*").refused()
}

// codings returns which codings of an answer a request accepts, and whether it prefers gzip (RFC 9110, 12.5.3). If the
// header does not mention a coding, only identity is accepted.
func codings(r *http.Request) (gzip, identity, preferGzip bool) {
	header := r.Header.Values("Accept-Encoding")
	g := preferenceFor(header, "gzip", "x-gzip", "*")
	i := preferenceFor(header, "identity", "*")
	gzip, identity = g.weight > 0, !i.refused()
	return gzip, identity, gzip && (!i.named || g.weight >= i.weight)
}
