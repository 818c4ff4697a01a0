package config

import (
	"strings"
	"testing"
)

// orbAgent is the file that an Orb agent gives to the pktvisord that it starts: its own, as in its repository's example.
const orbAgent = `version: "1.0"
visor:
  taps:
    default_pcap:
      input_type: pcap
      config:
        iface: "auto"
orb:
  tags:
    region: EU
    pop: ams02
  cloud:
    config: {agent_name: my-agent1, auto_provision: true}
    api: {address: "https://api.orb.live", token: TOKEN}
    mqtt: {address: "tls://agents.orb.live:8883"}
  backends:
    pktvisor:
      binary: "/usr/local/sbin/pktvisord"
      config_file: "/opt/orb/agent.yaml"
`

// TestOrbAgent: the files of the Orb agents load without faults, with their taps, and say what was not read.
func TestOrbAgent(t *testing.T) {
	set := read(t, orbAgent)
	if len(set.Taps) != 1 || set.Taps[0].Name != "default_pcap" || set.Taps[0].Target != "auto" || set.Taps[0].Input != "pcap" {
		t.Errorf("taps %+v", set.Taps)
	}
	if len(set.Notes) != 1 || !strings.Contains(set.Notes[0], "orb: this key is not for pktvisor and has no effect") {
		t.Errorf("notes %q", set.Notes)
	}
	// The default files of both agents' images, before a user has added taps.
	for _, doc := range []string{
		"version: \"1.0\"\n\nvisor:\n  taps:\n\norb:\n  config_manager:\n   active: local\n  backends:\n    device_discovery:\n    common:\n      diode:\n        target: grpc://localhost:8080/diode\n        api_key: ${DIODE_API_KEY}\n",
		"version: \"1.0\"\n\nvisor: \n  taps:\n\norb: \n  backends: \n    pktvisor: \n      binary: /usr/local/sbin/pktvisord\n      config_file: /opt/orb/agent_default.yaml\n",
	} {
		if set := read(t, doc); len(set.Taps)+len(set.Policies)+len(set.Settings) != 0 || len(set.Notes) != 1 {
			t.Errorf("%+v of\n%s", set, doc)
		}
	}
}

// TestOrbPolicy: the document of a policy that an Orb agent posts, as it marshals it, loads beside its tap. So do those of its
// documentation, in YAML and JSON.
func TestOrbPolicy(t *testing.T) {
	const taps = "  taps:\n    default_pcap:\n      input_type: pcap\n      config: {iface: auto}\n"
	for _, doc := range []string{
		"version: \"1.0\"\nvisor:\n" + taps + `  policies:
    mypolicy:
      handlers:
        modules:
          default_dns:
            type: dns
          default_net:
            type: net
      input:
        input_type: pcap
        tap: default_pcap
      kind: collection
`,
		`{"version": "1.0", "visor": {"taps": {"default_pcap": {"input_type": "pcap", "config": {"iface": "auto"}}}, "policies": {"mypolicy": {"kind": "collection",
		"input": {"tap": "default_pcap", "input_type": "pcap"}, "handlers": {"modules": {"default_dns": {"type": "dns"}, "default_net": {"type": "net"}}}}}}}`,
		"version: \"1.0\"\nvisor:\n" + taps + `  policies:
    mypolicy:
      kind: collection
      input: {tap: default_pcap, input_type: pcap, config: {}, filter: {}}
      handlers:
        window_config: {num_periods: 5, deep_sample_rate: 100}
        modules:
          default_dns: {type: dns, config: {}, filter: {}, metric_groups: {disable: [all], enable: [cardinality, counters]}}
          default_net: {type: net, require_version: "1.0"}
`,
	} {
		set := read(t, doc)
		if len(set.Policies) != 1 || len(set.Policies[0].Taps) != 1 || len(set.Policies[0].Handlers) != 2 || len(set.Notes) > 0 {
			t.Fatalf("%+v of\n%s", set, doc)
		}
		for _, h := range set.Policies[0].Handlers {
			if h.Name != "default_"+h.Type || h.Version != "1.0" {
				t.Errorf("%+v", h)
			}
		}
	}
}

// TestOrbConfig: the newer agent writes the file itself: host, port, taps, and any key of its own configuration under visor.config.
func TestOrbConfig(t *testing.T) {
	set := read(t, `{version: "1.0", visor: {config: {host: localhost, port: "10853", otel: true, otel_host: localhost, otel_port: 4317, prom_instance: ns1, log_level: info,
		cp_custom: id}, taps: {eth0: {input_type: pcap, config: {iface: eth0}, filter: {bpf: udp}, tags: {site: a}}}}}`)
	var got []string
	for _, s := range set.Settings {
		got = append(got, s.Flag+"="+strings.Join(s.Values, ","))
	}
	if want := "listen=localhost port=10853 otel=true otel-host=localhost otel-port=4317 prom-instance=ns1"; strings.Join(got, " ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, " "), want)
	}
	if len(set.Notes) != 2 || !strings.Contains(set.Notes[0]+set.Notes[1], "log_level: this key is unknown and has no effect") {
		t.Errorf("notes %q", set.Notes)
	}
}
