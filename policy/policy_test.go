package policy

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// valid is the default with a target, which has none.
func valid() Config {
	c := Default()
	c.Target = "eth0"
	return c
}

func TestDefault(t *testing.T) {
	c := valid()
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults are wrong: %v", err)
	}
	want := Config{
		Target: "eth0", AutoHost: true, Periods: 5, DeepSamplePercent: 100, DNSPorts: "53,5353,5355", DNSTimeout: 5 * time.Second,
		Listen: "localhost", Port: 10853, ReplaySpeed: 1, RingMiB: 32, SnapLen: 65535,
	}
	if c != want {
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
		{"no target", func(c *Config) { c.Target = "" }, `no TARGET: give an interface, an IP address of one, "any", a capture file, or "-" for a capture on standard input`},
		{"1 period", func(c *Config) { c.Periods = 1 }, "--periods 1: give a number of minutes from 2 to 1440"},
		{"2 periods", func(c *Config) { c.Periods = 2 }, ""},
		{"1440 periods", func(c *Config) { c.Periods = 1440 }, ""},
		{"1441 periods", func(c *Config) { c.Periods = 1441 }, "--periods 1441: give a number of minutes from 2 to 1440"},
		{"negative sample", func(c *Config) { c.DeepSamplePercent = -1 }, "--max-deep-sample -1: give a percentage from 0 to 100"},
		{"no sample", func(c *Config) { c.DeepSamplePercent = 0 }, ""},
		{"sample over all", func(c *Config) { c.DeepSamplePercent = 101 }, "--max-deep-sample 101: give a percentage from 0 to 100"},
		{"hosts", func(c *Config) { c.Hosts = "10.0.0.0/8, 2001:db8::1" }, ""},
		{"wrong hosts", func(c *Config) { c.Hosts = "10.0.0.0/8,nonsense,1.2.3.4/99" },
			"-H: \"nonsense\" is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64\n-H: \"1.2.3.4/99\" is not a subnet: write it like 10.0.1.0/24 or 2001:db8::/64"},
		{"DNS ports", func(c *Config) { c.DNSPorts = "53, 65535" }, ""},
		{"no DNS ports", func(c *Config) { c.DNSPorts = "" }, `--dns-ports: "" is not a port: give numbers from 1 to 65535, separated by commas`},
		{"wrong DNS port", func(c *Config) { c.DNSPorts = "53,dns" }, `--dns-ports: "dns" is not a port: give numbers from 1 to 65535, separated by commas`},
		{"short timeout", func(c *Config) { c.DNSTimeout = 999 * time.Microsecond }, "--dns-timeout 999µs: give a time from 1ms to 5m"},
		{"shortest timeout", func(c *Config) { c.DNSTimeout = time.Millisecond }, ""},
		{"longest timeout", func(c *Config) { c.DNSTimeout = 5 * time.Minute }, ""},
		{"long timeout", func(c *Config) { c.DNSTimeout = 5*time.Minute + 1 }, "--dns-timeout 5m0.000000001s: give a time from 1ms to 5m"},
		{"any port", func(c *Config) { c.Port = 0 }, ""},
		{"negative port", func(c *Config) { c.Port = -1 }, "-p -1: give a port from 1 to 65535, or 0 for any free one"},
		{"great port", func(c *Config) { c.Port = 65536 }, "-p 65536: give a port from 1 to 65535, or 0 for any free one"},
		{"as fast as possible", func(c *Config) { c.ReplaySpeed = 0 }, ""},
		{"backwards", func(c *Config) { c.ReplaySpeed = -1 }, "--replay-speed -1: give a factor up to 1000000, or 0 for as fast as possible"},
		{"no speed", func(c *Config) { c.ReplaySpeed = math.NaN() }, "--replay-speed NaN: give a factor up to 1000000, or 0 for as fast as possible"},
		{"endless speed", func(c *Config) { c.ReplaySpeed = math.Inf(1) }, "--replay-speed +Inf: give a factor up to 1000000, or 0 for as fast as possible"},
		{"no ring", func(c *Config) { c.RingMiB = 0 }, "--ring-size 0: give a number of MiB from 1 to 4096"},
		{"great ring", func(c *Config) { c.RingMiB = 4097 }, "--ring-size 4097: give a number of MiB from 1 to 4096"},
		{"short frames", func(c *Config) { c.SnapLen = 63 }, "--snaplen 63: give a number of bytes from 64 to 262144"},
		{"long frames", func(c *Config) { c.SnapLen = 262145 }, "--snaplen 262145: give a number of bytes from 64 to 262144"},
		{"summary of a replay", func(c *Config) { c.Summary, c.Replay = true, true }, "--summary is for a capture file; --replay plays it as if it were live"},
		{"negative shards", func(c *Config) { c.Shards = -1 }, "--shards -1: give a number from 1 to 256, or 0 for one a core"},
		{"many shards", func(c *Config) { c.Shards = 257 }, "--shards 257: give a number from 1 to 256, or 0 for one a core"},
		{"256 shards", func(c *Config) { c.Shards = 256 }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := valid()
			c.change(&cfg)
			got := ""
			if err := cfg.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestValidateAll: everything that is wrong is said at once, a line each.
func TestValidateAll(t *testing.T) {
	err := (&Config{Periods: -1, DeepSamplePercent: 200, Hosts: "x,y", DNSPorts: "0", Port: -7, ReplaySpeed: -1, Shards: -1}).Validate()
	if err == nil {
		t.Fatal("was taken")
	}
	var got []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		name, _, _ := strings.Cut(line, " ")
		got = append(got, strings.TrimSuffix(name, ":"))
	}
	want := []string{"--periods", "--max-deep-sample", "-H", "-H", "--dns-ports", "--dns-timeout", "-p", "--replay-speed", "--ring-size", "--snaplen", "--shards", "no"}
	if !slices.Equal(got, want) {
		t.Errorf("faults with %v, want %v:\n%v", got, want, err)
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
