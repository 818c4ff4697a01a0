package policy

import (
	"slices"
	"strings"
)

// MaxPromTopN bounds the series of a top table.
const MaxPromTopN = 1000

// Program is how the program runs, publishes and logs. It has what several taps and policies share.
type Program struct {
	// Listen and Port are where the HTTP API is served.
	Listen string `name:"listen"`
	Port   int    `name:"port"`
	// HTTPHosts are names to be served by, beside the host's own.
	HTTPHosts []string `name:"http_hosts"`
	// PromTopN is how many rows of each top table Prometheus gets: 0 to [MaxPromTopN].
	PromTopN int `name:"prom_topn"`
	// PromDisable are the groups of metrics that Prometheus does not get.
	PromDisable []string `name:"prom_disable"`
	// StateDir is where finished minutes of a live capture are kept, or empty.
	StateDir string `name:"state_dir"`
	// GeoCity and GeoASN are paths of MaxMind databases, or empty.
	GeoCity string `name:"geo_city"`
	GeoASN  string `name:"geo_asn"`
	// LogFormat is text or json; LogLevel is debug, info, warn or error.
	LogFormat string `name:"log_format"`
	LogLevel  string `name:"log_level"`
	// Shards is how many goroutines analyse packets: up to 256; 0 is one a core.
	Shards int `name:"shards"`
}

// DefaultProgram serves on the local host alone.
func DefaultProgram() Program {
	return Program{Listen: "localhost", Port: 10853, PromTopN: 10, LogFormat: "text", LogLevel: "info"}
}

func (p *Program) validate(f faults, known Known) {
	if p.Port < 0 || p.Port > 65535 {
		f.value("port", p.Port, "give a port from 1 to 65535, or 0 for any free one")
	}
	if p.Shards < 0 || p.Shards > 256 {
		f.value("shards", p.Shards, "give a number from 1 to 256, or 0 for one a core")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, p.LogLevel) {
		f.value("log_level", p.LogLevel, "give debug, info, warn or error")
	}
	if !slices.Contains([]string{"text", "json"}, p.LogFormat) {
		f.value("log_format", p.LogFormat, "give text or json")
	}
	if p.PromTopN < 0 || p.PromTopN > MaxPromTopN {
		f.value("prom_topn", p.PromTopN, "give a number of rows from 0 to %d", MaxPromTopN)
	}
	for _, name := range p.HTTPHosts {
		if err := known.HostName(name); err != nil {
			f.problem("http_hosts", err.Error())
		}
	}
	for _, g := range p.PromDisable {
		if !slices.Contains(known.Groups, g) {
			f.value("prom_disable", g, "there is no such group; there are %s", strings.Join(known.Groups, ", "))
		}
	}
}
