package policy

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// valid returns the default configuration with a target.
func valid() Config {
	c := Default()
	c.Tap.Target = "eth0"
	return c
}

// known has an interface eth0, two groups, and accepts no host name with a slash.
var known = Known{
	Groups:      []string{"geo", "ports"},
	IsInterface: func(target string) bool { return target == "eth0" },
	Origin:      func(origin string) error { return errors.New(origin + " is no origin") },
	HostName: func(name string) error {
		if strings.Contains(name, "/") {
			return fmt.Errorf("%q is not a name", name)
		}
		return nil
	},
	Memory: func(c *Config, scale int) int64 { return int64(c.Policy.Periods) * 6400 << (scale - MinScale) },
}

// said returns the faults that Validate finds, one a line.
func said(c *Config) string {
	var lines []string
	for _, f := range c.Validate(known) {
		lines = append(lines, f.Error())
	}
	return strings.Join(lines, "\n")
}

func TestDefault(t *testing.T) {
	c := valid()
	if got := said(&c); got != "" {
		t.Errorf("the defaults are wrong: %v", got)
	}
	want := Config{
		Tap:     Tap{Target: "eth0", ReplaySpeed: 1, RingMiB: 32, SnapLen: 65535},
		Policy:  Policy{AutoHost: true, Periods: 5, DeepSamplePercent: 100, MinDeepSamplePercent: 1, DNSPorts: "53,5353,5355", DNSTimeout: 5 * time.Second, AnonymizeSalt: "edm-kdf-salt-val"},
		Program: Program{Listen: "localhost", Port: 10853, PromTopN: 10, PromSeries: 10_000, LogFormat: "text", LogLevel: "info"},
		Push:    Push{Prefix: "pv"},
		OTLP:    OTLP{Interval: time.Minute, Compression: "gzip", Scale: 6, TopN: 10},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v, want %+v", c, want)
	}
}

// TestValidate checks each message, and each limit from both sides.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // "" is valid
	}{
		{"no target", func(c *Config) { c.Tap.Target = "" }, `no tap.target: give an interface, an IP address of one, "any", a capture file, or "-" for a capture on standard input`},
		{"one origin twice", func(c *Config) { c.Access.Origins = []string{"x", "", ""} }, "access.http_origins: x is no origin\naccess.http_origins:  is no origin"},
		{"1 period", func(c *Config) { c.Policy.Periods = 1 }, "policy.periods: 1: give a number of minutes from 2 to 1440"},
		{"2 periods", func(c *Config) { c.Policy.Periods = 2 }, ""},
		{"1440 periods", func(c *Config) { c.Policy.Periods = 1440 }, ""},
		{"1441 periods", func(c *Config) { c.Policy.Periods = 1441 }, "policy.periods: 1441: give a number of minutes from 2 to 1440"},
		{"negative sample", func(c *Config) { c.Policy.DeepSamplePercent = -1 }, "policy.deep_sample: -1: give a percentage from 0 to 100"},
		{"no sample", func(c *Config) { c.Policy.DeepSamplePercent = 0 }, ""},
		{"sample over all", func(c *Config) { c.Policy.DeepSamplePercent = 101 }, "policy.deep_sample: 101: give a percentage from 0 to 100"},
		{"a least sample", func(c *Config) { c.Policy.DeepSamplePercent, c.Policy.MinDeepSamplePercent = 20, 20 }, ""},
		{"a least sample over the greatest", func(c *Config) { c.Policy.DeepSamplePercent, c.Policy.MinDeepSamplePercent = 20, 30 },
			"policy.min_deep_sample 30 is more than policy.deep_sample 20: give no more than that"},
		{"a least sample over all", func(c *Config) { c.Policy.MinDeepSamplePercent = 101 }, "policy.min_deep_sample: 101: give a percentage from 0 to 100"},
		{"a negative least sample", func(c *Config) { c.Policy.MinDeepSamplePercent = -1 }, "policy.min_deep_sample: -1: give a percentage from 0 to 100"},
		{"two wrong samples", func(c *Config) { c.Policy.DeepSamplePercent, c.Policy.MinDeepSamplePercent = 101, 102 },
			"policy.deep_sample: 101: give a percentage from 0 to 100\npolicy.min_deep_sample: 102: give a percentage from 0 to 100"},
		{"a budget", func(c *Config) { c.Policy.MaxCPU = 250 }, ""},
		{"a negative budget", func(c *Config) { c.Policy.MaxCPU = -1 }, "policy.max_cpu: -1%: give a percentage of one core from 1% to 102400%, or 0 for no limit"},
		{"a budget of too many cores", func(c *Config) { c.Policy.MaxCPU = 102401 }, "policy.max_cpu: 102401%: give a percentage of one core from 1% to 102400%, or 0 for no limit"},
		{"hosts", func(c *Config) { c.Policy.Hosts = "10.0.0.0/8, 2001:db8::1" }, ""},
		{"wrong hosts", func(c *Config) { c.Policy.Hosts = "10.0.0.0/8,nonsense,1.2.3.4/99" },
			"policy.hosts: \"nonsense\" is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64\npolicy.hosts: \"1.2.3.4/99\" is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64"},
		{"DNS ports", func(c *Config) { c.Policy.DNSPorts = "53, 65535" }, ""},
		{"no DNS ports", func(c *Config) { c.Policy.DNSPorts = "" }, `policy.dns_ports: "" is not a port: give numbers from 1 to 65535, separated by commas`},
		{"wrong DNS port", func(c *Config) { c.Policy.DNSPorts = "53,dns" }, `policy.dns_ports: "dns" is not a port: give numbers from 1 to 65535, separated by commas`},
		{"short timeout", func(c *Config) { c.Policy.DNSTimeout = 999 * time.Microsecond }, "policy.dns_timeout: 999µs: give a time from 1ms to 5m"},
		{"shortest timeout", func(c *Config) { c.Policy.DNSTimeout = time.Millisecond }, ""},
		{"longest timeout", func(c *Config) { c.Policy.DNSTimeout = 5 * time.Minute }, ""},
		{"long timeout", func(c *Config) { c.Policy.DNSTimeout = 5*time.Minute + 1 }, "policy.dns_timeout: 5m0.000000001s: give a time from 1ms to 5m"},
		{"pseudonyms", func(c *Config) {
			c.Policy.Anonymize, c.Policy.AnonymizeKeyFile, c.Policy.AnonymizeSalt, c.Policy.AnonymizeNames = true, "k", "12345678", "labels:2"
		}, ""},
		{"a history that no start can use", func(c *Config) { c.Policy.Anonymize, c.Program.StateDir = true, "d" },
			"policy.anonymize and program.state_dir need policy.anonymize_key_file: with a new key at each start, the minutes of the last run would be removed"},
		{"a key of nothing", func(c *Config) { c.Policy.AnonymizeKeyFile = "k" }, "policy.anonymize_key_file is for policy.anonymize: give both"},
		{"a salt without a key", func(c *Config) { c.Policy.AnonymizeSalt = "12345678" }, "policy.anonymize_salt is for policy.anonymize_key_file: give both"},
		{"a short salt", func(c *Config) { c.Policy.AnonymizeSalt = "1234567" }, `policy.anonymize_salt: "1234567": give at least 8 bytes`},
		{"wrong names", func(c *Config) { c.Policy.AnonymizeNames = "labels:0" },
			"policy.anonymize_names: labels:0: give labels:N with a number of labels from 1 to 127, or domain"},
		{"any port", func(c *Config) { c.Program.Port = 0 }, ""},
		{"negative port", func(c *Config) { c.Program.Port = -1 }, "program.port: -1: give a port from 1 to 65535, or 0 for any free one"},
		{"great port", func(c *Config) { c.Program.Port = 65536 }, "program.port: 65536: give a port from 1 to 65535, or 0 for any free one"},
		{"as fast as possible", func(c *Config) { c.Tap.ReplaySpeed = 0 }, ""},
		{"backwards", func(c *Config) { c.Tap.ReplaySpeed = -1 }, "tap.replay_speed: -1: give a factor up to 1000000, or 0 for as fast as possible"},
		{"name", func(c *Config) { c.Program.Name = strings.Repeat("ü ", 85) }, ""},
		{"long name", func(c *Config) { c.Program.Name = strings.Repeat("x", 256) }, `program.name: "xxxxxxxxxxxxxxxxxxxx"… has 256 bytes: give at most 255`},
		{"name that is not UTF-8", func(c *Config) { c.Program.Name = "ns\xff" }, `program.name: "ns\xff" is not a name: give printable characters only`},
		{"name with a line break", func(c *Config) { c.Program.Name = "ns\n1" }, `program.name: "ns\n1" is not a name: give printable characters only`},
		{"tags", func(c *Config) { c.Program.Tags = []string{"pop=ams1", "country=nl"} }, ""},
		{"wrong tag", func(c *Config) { c.Program.Tags = []string{"pop=ams1", "fra1"} }, `program.tags: tag "fra1": give key=value, for example pop=ams1`},
		{"servers", func(c *Config) {
			c.Push.Servers = []string{"nats://192.0.2.1", "tls://hub.example:4222", "nats://[2001:db8::1]:4222"}
			c.Push.Creds, c.Push.CA, c.Push.Cert, c.Push.Key, c.Push.Prefix = "a", "b", "c", "d", "fleet.pv_2"
		}, ""},
		{"wrong servers", func(c *Config) {
			c.Push.Servers = []string{"hub:4222", "http://hub", "nats://", "nats://hub/path", "nats://hub:x", "nats://hub:70000", ""}
		}, strings.ReplaceAll(`push.servers: "hub:4222"#
push.servers: "http://hub"#
push.servers: "nats://"#
push.servers: "nats://hub/path"#
push.servers: "nats://hub:x"#
push.servers: "nats://hub:70000": the port is not a number from 1 to 65535
push.servers: ""#`, "#", " is not the URL of a NATS server: write it like nats://192.0.2.1:4222 or tls://hub.example:4222")},
		{"many servers", func(c *Config) { c.Push.Servers = make([]string, 33) }, "push.servers: 33 URLs: give at most 32"},
		{"secret in a URL", func(c *Config) { c.Push.Servers = []string{"nats://s3cret@hub:4222"} },
			"push.servers: a URL with a user or a token: other users can see the command line, so give credentials or a token in a file"},
		{"no prefix", func(c *Config) { c.Push.Prefix = "" }, "push.prefix: : a prefix has only letters, digits, '-' and '_', and single dots between them"},
		{"wrong prefix", func(c *Config) { c.Push.Prefix = "pv.>" }, "push.prefix: pv.>: a prefix has only letters, digits, '-' and '_', and single dots between them"},
		{"files without a server", func(c *Config) { c.Push.TokenFile, c.Push.CA = "t", "c" },
			"push.token_file is for push.servers: give both\npush.ca is for push.servers: give both"},
		{"credentials and a token", func(c *Config) {
			c.Push.Servers, c.Push.Creds, c.Push.TokenFile = []string{"nats://hub"}, "c", "t"
		}, "give push.creds or push.token_file, not both"},
		{"certificate without a key", func(c *Config) { c.Push.Servers, c.Push.Cert = []string{"nats://hub"}, "c" }, "give push.cert and push.key, or neither"},
		{"key without a certificate", func(c *Config) { c.Push.Servers, c.Push.Key = []string{"nats://hub"}, "k" }, "give push.cert and push.key, or neither"},
		{"no speed", func(c *Config) { c.Tap.ReplaySpeed = math.NaN() }, "tap.replay_speed: NaN: give a factor up to 1000000, or 0 for as fast as possible"},
		{"endless speed", func(c *Config) { c.Tap.ReplaySpeed = math.Inf(1) }, "tap.replay_speed: +Inf: give a factor up to 1000000, or 0 for as fast as possible"},
		{"no ring", func(c *Config) { c.Tap.RingMiB = 0 }, "tap.ring_mib: 0: give a number of MiB from 1 to 4096"},
		{"great ring", func(c *Config) { c.Tap.RingMiB = 4097 }, "tap.ring_mib: 4097: give a number of MiB from 1 to 4096"},
		{"short frames", func(c *Config) { c.Tap.SnapLen = 63 }, "tap.snaplen: 63: give a number of bytes from 64 to 262144"},
		{"shortest frames", func(c *Config) { c.Tap.SnapLen, c.Tap.RingMiB = 64, 1 }, ""},
		{"longest frames", func(c *Config) { c.Tap.SnapLen, c.Tap.RingMiB = 262144, 4096 }, ""},
		{"long frames", func(c *Config) { c.Tap.SnapLen = 262145 }, "tap.snaplen: 262145: give a number of bytes from 64 to 262144"},
		{"summary of a replay", func(c *Config) { c.Policy.Summary, c.Tap.Replay = true, true }, "policy.summary is for a capture file; tap.replay plays it as if it were live"},
		{"negative shards", func(c *Config) { c.Program.Shards = -1 }, "program.shards: -1: give a number from 1 to 256, or 0 for one a core"},
		{"many shards", func(c *Config) { c.Program.Shards = 257 }, "program.shards: 257: give a number from 1 to 256, or 0 for one a core"},
		{"256 shards", func(c *Config) { c.Program.Shards = 256 }, ""},
		{"log", func(c *Config) { c.Program.LogLevel, c.Program.LogFormat = "loud", "xml" },
			"program.log_level: loud: give debug, info, warn or error\nprogram.log_format: xml: give text or json"},
		{"log of all", func(c *Config) { c.Program.LogLevel, c.Program.LogFormat = "debug", "json" }, ""},
		{"less than no rows", func(c *Config) { c.Program.PromTopN = -1 }, "program.prom_topn: -1: give a number of rows from 0 to 1000"},
		{"most rows", func(c *Config) { c.Program.PromTopN = 1000 }, ""},
		{"any number of series", func(c *Config) { c.Program.PromSeries = 0 }, ""},
		{"least series", func(c *Config) { c.Program.PromSeries = 1000 }, ""},
		{"too few series", func(c *Config) { c.Program.PromSeries = 999 }, "program.prom_series: 999: give a number of series from 1000 on, or 0 for any number"},
		{"too many rows", func(c *Config) { c.Program.PromTopN = 1001 }, "program.prom_topn: 1001: give a number of rows from 0 to 1000"},
		{"host names", func(c *Config) { c.Program.HTTPHosts = []string{"a.example", "b/c"} }, "program.http_hosts: \"b/c\" is not a name"},
		{"groups", func(c *Config) { c.Program.PromDisable = []string{"geo", "nope"} }, "program.prom_disable: nope: unknown group; give one of geo, ports"},
		{"copies", func(c *Config) { c.Tap.AnyCopies = true }, "tap.any_copies is for the target any, not for eth0"},
		{"copies of any", func(c *Config) { c.Tap.AnyCopies, c.Tap.Target = true, "any" }, ""},
		{"summary of an interface", func(c *Config) { c.Policy.Summary = true }, "policy.summary is for a capture file, and eth0 is captured live"},
		{"less than the least tables take", func(c *Config) { c.Policy.Budget = 31_999 }, "policy.budget: 31999: give at least 32000 bytes, or 0 for the default"},
		{"less than nothing", func(c *Config) { c.Policy.Budget = -1 }, "policy.budget: -1: give at least 32000 bytes, or 0 for the default"},
		{"a small budget", func(c *Config) { c.Policy.Budget = 32_000 }, ""},
		{"a small budget of a wrong policy", func(c *Config) { c.Policy.Budget, c.Policy.Periods = 1, 1 }, "policy.periods: 1: give a number of minutes from 2 to 1440"},
		{"summary of a file", func(c *Config) { c.Policy.Summary, c.Tap.Target = true, "x.pcap" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := valid()
			c.change(&cfg)
			if got := said(&cfg); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestFlag: a fault can be described with the flags that fill the fields.
func TestFlag(t *testing.T) {
	c := valid()
	c.Policy.Periods, c.Policy.Hosts, c.Policy.Summary, c.Tap.Replay = 1, "x", true, true
	flags := map[string]string{"policy.periods": "--periods", "policy.hosts": "-H", "policy.summary": "--summary", "tap.replay": "--replay"}
	var got []string
	for _, f := range c.Validate(known) {
		got = append(got, f.Flag(func(field string) string { return flags[field] }))
	}
	want := []string{
		"--periods 1: give a number of minutes from 2 to 1440", `-H: "x" is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64`,
		"--summary is for a capture file; --replay plays it as if it were live",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestValidateAll: all mistakes are reported at once. Each names an existing field, by the field's own name or by its flag.
func TestValidateAll(t *testing.T) {
	c := Config{
		Tap:     Tap{ReplaySpeed: -1, AnyCopies: true},
		Policy:  Policy{Periods: -1, DeepSamplePercent: 200, Hosts: "x,y", DNSPorts: "0"},
		Program: Program{Name: "\x00", Tags: []string{"x"}, Port: -7, Shards: -1, PromTopN: -1, PromSeries: -1, HTTPHosts: []string{"/"}, PromDisable: []string{"x"}},
		Push:    Push{Servers: []string{"x"}, Prefix: "*", Creds: "c", TokenFile: "t", Cert: "c"},
		Access:  Access{Cert: "c", ClientCA: "c", Origins: []string{"x"}},
	}
	var got []string
	for _, f := range c.Validate(known) {
		got = append(got, f.Field)
		if text := f.Flag(func(field string) string { return "<" + field + ">" }); !strings.Contains(text, "<"+f.Field+">") {
			t.Errorf("a fault with %s: %s", f.Field, text)
		}
		part, name, _ := strings.Cut(f.Field, ".")
		for _, of := range []any{c.Tap, c.Policy, c.Program, c.Push, c.Access, c.OTLP} {
			if typ := reflect.TypeOf(of); strings.ToLower(typ.Name()) == part {
				if !slices.ContainsFunc(reflect.VisibleFields(typ), func(f reflect.StructField) bool { return f.Tag.Get("name") == name }) {
					t.Errorf("there is no field %s", f.Field)
				}
			}
		}
	}
	want := []string{
		"tap.target", "tap.ring_mib", "tap.snaplen", "tap.replay_speed", "tap.any_copies",
		"policy.periods", "policy.deep_sample", "policy.hosts", "policy.hosts", "policy.dns_ports", "policy.dns_timeout", "policy.anonymize_salt",
		"program.name", "program.tags", "program.port", "program.shards", "program.log_level", "program.log_format", "program.prom_topn", "program.prom_series", "program.http_hosts", "program.prom_disable",
		"push.servers", "push.prefix", "push.token_file", "push.cert",
		"access.tls_cert", "access.http_origins",
		"otlp.interval", "otlp.compression",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults with %v, want %v", got, want)
	}
}

func TestParsePorts(t *testing.T) {
	for _, c := range []struct {
		list string
		want []uint16
	}{
		{"53", []uint16{53}}, {"53,5353,5355", []uint16{53, 5353, 5355}}, {" 53 , 1 ", []uint16{53, 1}}, {"65535,53,65535", []uint16{65535, 53}},
	} {
		if got, err := ParsePorts(c.list); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, %v; want %v", c.list, got, err, c.want)
		}
	}
	for list, part := range map[string]string{
		"": `""`, "53,": `""`, ",53": `""`, "0": `"0"`, "65536": `"65536"`, "-1": `"-1"`, "dns": `"dns"`, "53 54": `"53 54"`, "0x35": `"0x35"`, "53;54": `"53;54"`,
	} {
		if got, err := ParsePorts(list); err == nil || got != nil || !strings.HasPrefix(err.Error(), part+" is not a port") {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
}
