package exposition

import (
	"strings"
)

// Format is a format of an answer.
type Format uint8

// The formats.
const (
	Text        Format = iota // Prometheus' text format 0.0.4
	OpenMetrics               // OpenMetrics text 1.0
	Protobuf                  // delimited Protocol Buffers
	formats
)

// ContentType returns the media type of the format.
func (f Format) ContentType() string {
	return [...]string{
		"text/plain; version=0.0.4; charset=utf-8",
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
		"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
	}[f]
}

// accepts reports whether a media range of an Accept header, with its parameters, is one of the format. A range such as */*
// matches no format: a client that names nothing gets text.
func (f Format) accepts(mediaType string, parameter func(name string) string) bool {
	switch f {
	case Protobuf:
		return mediaType == "application/vnd.google.protobuf" && parameter("proto") == "io.prometheus.client.MetricFamily" && parameter("encoding") == "delimited"
	case OpenMetrics:
		v := parameter("version")
		return mediaType == "application/openmetrics-text" && (v == "" || v == "1.0.0")
	default:
		v := parameter("version")
		return mediaType == "text/plain" && (v == "" || v == "0.0.4")
	}
}

// Negotiate returns the format that an Accept header prefers: that of the element with the greatest weight, and of equal ones
// the first. A header that names no format gets text. weight returns the weight of an element by its parameters, and whether
// it is well-formed.
func Negotiate(accept []string, weight func(parameters string) (thousandths int, ok bool)) Format {
	best, found := 0, Text
	for element := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		name, parameters, _ := strings.Cut(element, ";")
		w, ok := weight(parameters)
		if !ok || w <= best {
			continue
		}
		name = strings.ToLower(strings.TrimSpace(name))
		for f := range formats {
			if f.accepts(name, func(name string) string { return parameterOf(parameters, name) }) {
				best, found = w, f
			}
		}
	}
	return found
}

// parameterOf returns the value of a parameter of a media range, without its quotes, or "".
func parameterOf(parameters, name string) string {
	for p := range strings.SplitSeq(parameters, ";") {
		key, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}
