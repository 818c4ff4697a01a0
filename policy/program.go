package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"pktvisor/metric"
)

// maxName bounds the name of an agent, in bytes. A snapshot has no room for a longer one.
const maxName = 255

// MinPromSeries is the least budget of series in an answer to Prometheus. The metrics of a policy, without tables, fit into it.
const MinPromSeries = 1000

// MaxPromTopN bounds the rows of a top table in Prometheus.
const MaxPromTopN = 1000

// Program says how the program runs, publishes and logs. It has what several taps and policies share.
type Program struct {
	// Name is the name by which a hub distinguishes agents: up to 255 bytes. An empty one means the name of the host.
	Name string `name:"name"`
	// Tags are tags of the agent, each key=value: see [metric.ParseTags].
	Tags []string `name:"tags"`
	// Listen and Port are where the HTTP API is served.
	Listen string `name:"listen"`
	Port   int    `name:"port"`
	// HTTPHosts are names, in addition to the host's own, that the server answers to.
	HTTPHosts []string `name:"http_hosts"`
	// PromTopN is the number of rows of each top table in Prometheus: 0 to [MaxPromTopN].
	PromTopN int `name:"prom_topn"`
	// PromSeries is the most series in an answer to Prometheus: at least [MinPromSeries], or 0 for any number.
	PromSeries int `name:"prom_series"`
	// PromCompat also gives Prometheus the names of the original's successor.
	PromCompat bool `name:"prom_compat"`
	// PromDisable lists the groups of metrics that Prometheus does not get.
	PromDisable []string `name:"prom_disable"`
	// StateDir is the directory for finished minutes of a live capture, or empty.
	StateDir string `name:"state_dir"`
	// StateSync is how often the live minute is written there: a second to a minute, or 0 for only at the end.
	StateSync time.Duration `name:"state_sync"`
	// MemoryLimit bounds the memory of the program: see [Size]. 0 means the limit of the environment, if it has one.
	MemoryLimit Size `name:"memory_limit"`
	// GeoCity and GeoASN are paths of MaxMind databases, or empty.
	GeoCity string `name:"geo_city"`
	GeoASN  string `name:"geo_asn"`
	// SuffixList is the path of a public suffix list, or empty for the embedded one.
	SuffixList string `name:"public_suffix_list"`
	// LogFormat is text or json; LogLevel is debug, info, warn or error.
	LogFormat string `name:"log_format"`
	LogLevel  string `name:"log_level"`
	// Shards is the number of goroutines that analyse packets: up to 256. 0 means one for each core.
	Shards int `name:"shards"`
}

// DefaultProgram returns the defaults of the program. It serves only the local host.
func DefaultProgram() Program {
	return Program{Listen: "localhost", Port: 10853, PromTopN: 10, PromSeries: 10_000, LogFormat: "text", LogLevel: "info"}
}

func (p *Program) validate(f faults, known Known) {
	if len(p.Name) > maxName {
		f.problem("name", fmt.Sprintf("%.20q… has %d bytes: give at most %d", p.Name, len(p.Name), maxName))
	} else if !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		f.problem("name", fmt.Sprintf("%.80q is not a name: give printable characters only", p.Name))
	}
	if _, err := metric.ParseTags(p.Tags); err != nil {
		f.problem("tags", err.Error())
	}
	if p.Port < 0 || p.Port > 65535 {
		f.value("port", p.Port, "give a port from 1 to 65535, or 0 for any free one")
	}
	if p.Shards < 0 || p.Shards > 256 {
		f.value("shards", p.Shards, "give a number from 1 to 256, or 0 for one a core")
	}
	if p.StateSync != 0 && (p.StateSync < time.Second || p.StateSync > time.Minute) {
		f.value("state_sync", p.StateSync, "give a time from 1s to 1m, or 0 to write only finished minutes")
	}
	if p.StateSync != 0 && p.StateDir == "" {
		f.sentence("state_sync", func(names ...string) string { return names[0] + " needs a directory: give " + names[1] + " too" }, "program.state_dir")
	}
	if p.MemoryLimit > 0 && p.MemoryLimit < MinMemory {
		f.value("memory_limit", p.MemoryLimit.String(), "give at least %v, or off", MinMemory)
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
	if p.PromSeries != 0 && p.PromSeries < MinPromSeries {
		f.value("prom_series", p.PromSeries, "give a number of series from %d on, or 0 for any number", MinPromSeries)
	}
	for _, name := range p.HTTPHosts {
		if err := known.HostName(name); err != nil {
			f.problem("http_hosts", err.Error())
		}
	}
	known.groups(f, "prom_disable", p.PromDisable)
}
