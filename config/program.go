package config

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// settings are the keys of visor.config that have a flag of their own here, by key.
var settings = map[string]string{
	"host": "listen", "port": "port", "tls_cert": "tls-cert", "tls_key": "tls-key", "geo_city": "geo-city", "geo_asn": "geo-asn",
	"periods": "periods", "max_deep_sample": "max-deep-sample", "prom_instance": "prom-instance",
	"otel_host": "otel-host", "otel_port": "otel-port", "otel_path": "otel-path", "otel_interval": "otel-interval",
	"otel_tls_cert": "otel-tls-cert", "otel_tls_key": "otel-tls-key",
}

// without are the keys of visor.config that have no effect here, and why.
var without = map[string]string{
	"no_track": "nothing is tracked", "cp_disable": "nothing is sent", "cp_token": "nothing is sent", "cp_url": "nothing is sent",
	"cp_custom": "nothing is sent", "cp_path": "nothing is sent", "prometheus": "/metrics is always served", "module_dir": "there are no modules to load",
	"module_list": "there are no modules to list", "geo_cache_size": "the cache sizes itself", "daemon": "run it under systemd or another supervisor",
	"syslog": "the log goes to standard error: use a supervisor that forwards it", "log_file": "the log goes to standard error: redirect it",
	"iana_service_port_registry": "ports are shown as numbers", "default_service_registry": "ports are shown as numbers",
}

// NoEffect yields the keys of the successor's visor.config that have no effect here, in order, and why. The successor has a flag for
// each, with dashes.
func NoEffect() iter.Seq2[string, string] {
	return func(yield func(key, why string) bool) {
		for _, key := range slices.Sorted(maps.Keys(without)) {
			if !yield(key, without[key]) {
				return
			}
		}
	}
}

// visorConfig reads visor.config. Unknown keys have no effect, because the agents of the successor's fleet manager forward any.
func (r *reader) visorConfig(v value) {
	var tls, tlsGiven bool
	var cert value
	for _, m := range v.members() {
		flag, known := settings[m.key]
		switch {
		case known:
			r.setting(m.value, flag)
			if m.key == "tls_cert" {
				cert = m.value
			}
		case m.key == "verbose":
			var on bool
			if m.boolean(&on); on {
				r.set.Settings = append(r.set.Settings, Setting{"log-level", []string{"debug"}, m.value})
			}
		case m.key == "otel" || m.key == "otel_tls":
			var on bool
			if m.boolean(&on); on {
				r.set.Settings = append(r.set.Settings, Setting{strings.ReplaceAll(m.key, "_", "-"), []string{"true"}, m.value})
			}
		case m.key == "tls":
			tlsGiven = true
			if m.boolean(&tls); tls && !hasKey(v, "tls_cert") {
				m.fault("tls needs tls_cert and tls_key")
			}
		case m.key == "default_geo_city" || m.key == "default_geo_asn":
			if flag := strings.ReplaceAll(strings.TrimPrefix(m.key, "default_"), "_", "-"); !hasKey(v, strings.TrimPrefix(m.key, "default_")) {
				r.setting(m.value, flag)
			}
		case without[m.key] != "":
			r.note(m.at, "this key has no effect: %s", without[m.key])
		default:
			r.note(m.at, "this key is unknown and has no effect")
		}
	}
	if tlsGiven && !tls && cert.node != nil {
		cert.fault("tls is false: leave out tls_cert and tls_key, or give tls: true")
	}
}

// hasKey reports whether a map has a key.
func hasKey(v value, key string) bool {
	if v.kind() != "a map" {
		return false
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value == key {
			return true
		}
	}
	return false
}

// setting reads the value of a flag: a scalar, or a list of them.
func (r *reader) setting(v value, flag string) {
	s := Setting{Flag: flag, at: v}
	for _, e := range v.list() {
		var text string
		e.text(&text)
		s.Values = append(s.Values, text)
	}
	r.set.Settings = append(r.set.Settings, s)
}
