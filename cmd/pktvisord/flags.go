package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/agent"
	"pktvisor/config"
	"pktvisor/internal/flags"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/sandbox"
	"pktvisor/server"
)

// options holds the command line.
type options struct {
	policy.Tap
	policy.Policy
	policy.Program
	policy.Push
	policy.Access
	otlp       policy.OTLP
	otel       otel
	flags      *pflag.FlagSet
	version    bool
	cpuProfile string
	dumpFilter bool

	noKernel bool   // do not count in the kernel
	bpfDir   string // where load-bpf leaves the program for that
	loadsBPF bool   // the command load-bpf

	successor successor // flags of the original's successor

	sandbox sandbox.Options // load-bpf takes its user for that of the agent
	enter   enter           // nil: the process is not confined

	configFile string      // the document of taps and policies, or empty
	document   *config.Set // what it has; nil without one
	notes      []string    // about it, for the log
	adminAPI   bool        // taps and policies can be changed over HTTP
	adminToken string      // file with the token that lets other hosts do so
	checks     bool        // the command check
	shows      bool        // the command show-config

	// Of the command report.
	report bool
	output string // the file to write; "-" is standard output
	base   string // the capture with which it is compared, if any
}

// reportPeriods is how many minutes a report has unless the user asks for another number.
const reportPeriods = 60

// flagOf lists the flag that fills each field of the configuration. Faults are reported in this order. Fields that
// cannot be wrong on their own come last.
var flagOf = []struct{ field, flag string }{
	{"policy.periods", "--periods"},
	{"policy.deep_sample", "--max-deep-sample"},
	{"policy.min_deep_sample", "--min-deep-sample"},
	{"policy.max_cpu", "--max-cpu"},
	{"policy.hosts", "-H"},
	{"policy.dns_ports", "--dns-ports"},
	{"policy.dns_timeout", "--dns-timeout"},
	{"policy.anonymize", "--anonymize"},
	{"policy.anonymize_key_file", "--anonymize-key-file"},
	{"policy.anonymize_salt", "--anonymize-salt"},
	{"policy.anonymize_names", "--anonymize-names"},
	{"program.port", "-p"},
	{"program.name", "--name"},
	{"program.tags", "--tag"},
	{"tap.replay_speed", "--replay-speed"},
	{"tap.ring_mib", "--ring-size"},
	{"tap.snaplen", "--snaplen"},
	{"tap.replay", "--replay"},
	{"program.shards", "--shards"},
	{"tap.target", "TARGET"},
	{"program.log_level", "--log-level"},
	{"program.log_format", "--log-format"},
	{"program.prom_topn", "--prom-topn"},
	{"program.prom_series", "--prom-series"},
	{"program.prom_compat", "--prom-compat"},
	{"program.http_hosts", "--http-host"},
	{"program.prom_disable", "--prom-disable"},
	{"tap.any_copies", "--any-copies"},
	{"policy.summary", "--summary"},
	{"tap.filter", "-b"},
	{"tap.promisc", "--promisc"},
	{"tap.decap", "--decap"},
	{"tap.strict", "--strict"},
	{"policy.auto_host", "--no-auto-host"},
	{"program.listen", "-l"},
	{"program.state_sync", "--state-sync"},
	{"program.memory_limit", "--memory-limit"},
	{"program.state_dir", "--state-dir"},
	{"program.geo_city", "--geo-city"},
	{"program.geo_asn", "--geo-asn"},
	{"program.public_suffix_list", "--public-suffix-list"},
	{"push.servers", "--push"},
	{"push.prefix", "--push-prefix"},
	{"push.creds", "--push-creds"},
	{"push.token_file", "--push-token-file"},
	{"push.ca", "--push-ca"},
	{"push.cert", "--push-cert"},
	{"push.key", "--push-key"},
	{"otlp.url", "--otlp"},
	{"otlp.interval", "--otlp-interval"},
	{"otlp.headers", "--otlp-header"},
	{"otlp.headers_file", "--otlp-headers-file"},
	{"otlp.ca", "--otlp-cacert"},
	{"otlp.cert", "--otlp-cert"},
	{"otlp.key", "--otlp-key"},
	{"otlp.compression", "--otlp-compression"},
	{"otlp.scale", "--otlp-scale"},
	{"otlp.topn", "--otlp-topn"},
	{"otlp.disable", "--otlp-disable"},
	{"access.tls_cert", "--tls-cert"},
	{"access.tls_key", "--tls-key"},
	{"access.tls_client_ca", "--tls-client-ca"},
	{"access.auth_file", "--auth-file"},
	{"access.http_origins", "--http-origin"},
}

// rowOf returns the position of a field in flagOf.
func rowOf(field string) int {
	return slices.IndexFunc(flagOf, func(row struct{ field, flag string }) bool { return row.field == field })
}

// config returns the configuration that the flags have filled.
func (o *options) config() policy.Config {
	return policy.Config{Tap: o.Tap, Policy: o.Policy, Program: o.Program, Push: o.Push, Access: o.Access, OTLP: o.otlp}
}

// check returns all mistakes in the configuration, one a line, described with the flags that fill the fields.
func (o *options) check() error {
	c := o.config()
	if o.document != nil && o.Target == "" {
		c.Tap.Target = "document" // the document has the targets
	}
	faults := c.Validate(policy.Known{Groups: metric.Groups(agent.Tables), IsInterface: isInterface, HostName: server.CheckHostName, Origin: server.CheckOrigin, Memory: leastMemory})
	slices.SortStableFunc(faults, func(a, b *policy.Fault) int { return rowOf(a.Field) - rowOf(b.Field) })
	var errs []error
	for _, f := range faults {
		errs = append(errs, errors.New(f.Flag(func(field string) string { return flagOf[rowOf(field)].flag })))
	}
	return errors.Join(errs...)
}

const usageHead = `Usage:
  pktvisord [-b BPF] [-l HOST] [-p PORT] [-H HOSTSPEC] [--periods P] [--summary]
            [--geo-city FILE] [--geo-asn FILE] [--max-deep-sample N] TARGET
  pktvisord report [options] [--base FILE] -o REPORT.html FILE
  pktvisord [options] --config FILE [TARGET]
  pktvisord check FILE
  pktvisord show-config [options] [FILE]
  pktvisord load-bpf [--bpf-dir DIR] [--user NAME]
  pktvisord completion bash|zsh|fish|man
  pktvisord (-h | --help)
  pktvisord --version

pktvisord summarises your packet streams.

TARGET is a network interface, the IP address (4 or 6) of one, "any" for all interfaces, "auto"
for the one with the default route, a capture file (pcap, pcapng or snoop, plain or compressed), or
"-" for a capture on standard input.
A file is summarised to one JSON object on standard output.
"report" writes one HTML file instead, which shows the newest minutes of a capture as the dashboard
of an agent does, without a server or a network.
--config runs the taps and policies of a document, which a running agent reads again on SIGHUP.
"check" finds all mistakes in such a document, and "show-config" prints it with all defaults.
"load-bpf", run by root, leaves the program that counts packets in the kernel for an agent that has
CAP_NET_RAW but not CAP_BPF.
"completion" prints the completions for a shell, or this page as a manual page.

SIGTERM or SIGINT stops pktvisord. For a file, it then prints the summary of what was read so far.
Exit codes: 0 success, or a signal stopped a live capture; 1 failure; 2 wrong usage, such as an
invalid filter; 130 a signal interrupted the reading of a file.

Options:
`

func usage(o *options) string { return usageHead + o.flags.FlagUsages() }

// command defines the flags of the command in front of the arguments, if there is one, and returns the other arguments.
func (o *options) command(args []string) []string {
	if len(args) == 0 {
		return args
	}
	f := o.flags
	switch args[0] {
	case "report":
		o.report, o.Periods = true, reportPeriods
		f.Lookup("periods").DefValue = strconv.Itoa(reportPeriods)
		f.StringVarP(&o.output, "output", "o", "", "write the report to this `FILE`, and replace it if it exists\n(-: standard output)")
		f.StringVar(&o.base, "base", "", "also show what has changed since the capture `FILE`")
	case "load-bpf":
		o.loadsBPF = true
		f.Lookup("user").Usage = "the `NAME` of the user that the agent runs as (default: root)"
	case "check":
		o.checks = true
	case "show-config":
		o.shows = true
	default:
		return args
	}
	return args[1:]
}

// pushFlags adds the flags about a hub to push to.
func (o *options) pushFlags() {
	f := o.flags
	f.StringSliceVar(&o.Servers, "push", o.Servers, "push the finished periods of a live capture to these NATS `URLs` (comma\nseparated) of one hub. Example: tls://hub.example:4222")
	f.StringVar(&o.Prefix, "push-prefix", o.Prefix, "prefix of the NATS `subjects`")
	f.StringVar(&o.Creds, "push-creds", o.Creds, "NATS credentials `FILE`")
	f.StringVar(&o.TokenFile, "push-token-file", o.TokenFile, "`FILE` with a NATS token (default: "+pushTokenEnv+" in the\nenvironment)")
	f.StringVar(&o.CA, "push-ca", o.CA, "trust the certificates in this `FILE` (PEM) for NATS over TLS")
	f.StringVar(&o.Push.Cert, "push-cert", o.Push.Cert, "client certificate `FILE` (PEM) for NATS")
	f.StringVar(&o.Push.Key, "push-key", o.Push.Key, "`FILE` with its key")
}

// parse reads the command line. Its error lists all mistakes in it.
func parse(args []string) (*options, error) {
	defaults := policy.Default()
	o := &options{Tap: defaults.Tap, Policy: defaults.Policy, Program: defaults.Program, Push: defaults.Push, Access: defaults.Access, otlp: defaults.OTLP}
	var noAutoHost bool
	f := pflag.NewFlagSet("pktvisord", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	o.flags = f
	f.StringVarP(&o.Filter, "filter", "b", o.Filter, "count only packets that match this `BPF` expression of tcpdump, such as\n\"not host 10.0.0.1\". \"port 53\" alone drops later fragments,\nwhich have no ports. This keeps them:\n\"port 53 or ip[6:2] & 0x1fff != 0 or ip6 proto 44\"")
	f.BoolVar(&o.dumpFilter, "dump-filter", false, "print the filter's program as tcpdump -d does, and exit")
	f.StringVar(&o.configFile, "config", "", "observe and summarise what this `FILE` says (YAML): taps and policies,\nand values of these options, which the command line overrides")
	f.StringVarP(&o.Listen, "listen", "l", o.Listen, "serve HTTP on this host or IP, or on a Unix socket:\nunix:PATH[,mode=0660][,group=NAME]")
	f.IntVarP(&o.Port, "port", "p", o.Port, "serve HTTP on this port")
	f.StringSliceVar(&o.HTTPHosts, "http-host", o.HTTPHosts, "also answer to these host `names` (comma separated), such as\nthe name of a proxy or an alias. * means any name")
	flags.Access(f, &o.Access)
	f.BoolVar(&o.adminAPI, "admin-api", false, "let clients on this host add, change and remove taps and policies")
	f.StringVar(&o.adminToken, "admin-token-file", "", "`FILE` with the token with which other hosts may do so too")
	f.StringVarP(&o.Hosts, "host-subnets", "H", o.Hosts, "subnets (comma separated) that count as the host, in CIDR form.\nLive capture adds the addresses of its interface.\nExample: \"10.0.1.0/24,10.0.2.1/32,2001:db8::/64\"")
	f.IntVar(&o.Periods, "periods", o.Periods, "keep this many 60-second periods of history")
	f.BoolVar(&o.Summary, "summary", o.Summary, "summarise a whole capture file into one bucket")
	f.IntVar(&o.DeepSamplePercent, "max-deep-sample", o.DeepSamplePercent, "analyse at most this percentage of address pairs in depth\n(0 to 100)")
	f.IntVar(&o.MinDeepSamplePercent, "min-deep-sample", o.MinDeepSamplePercent, "under load, lower that to no less than this percentage, live")
	f.Var(&o.MaxCPU, "max-cpu", "lower the deep sample to hold the agent to this `PERCENT` of one\ncore, live: 25%, or 200% for two cores (0: no limit)")
	f.StringVar(&o.GeoCity, "geo-city", o.GeoCity, "MaxMind City or Country database `FILE` (mmdb)")
	f.StringVar(&o.GeoASN, "geo-asn", o.GeoASN, "MaxMind ASN or ISP database `FILE` (mmdb)")
	f.StringVar(&o.SuffixList, "public-suffix-list", o.SuffixList, "public suffix list `FILE` (public_suffix_list.dat) instead of the\nembedded one")
	f.StringVar(&o.DNSPorts, "dns-ports", o.DNSPorts, "look for DNS on these `ports` (comma separated)")
	f.DurationVar(&o.DNSTimeout, "dns-timeout", o.DNSTimeout, "how long a query waits for its response")
	o.anonymizeFlags()
	f.BoolVar(&o.Decap, "decap", o.Decap, "count the innermost packet of a tunnel instead of the outermost")
	f.BoolVar(&o.Strict, "strict", o.Strict, "fail (exit 1) on a capture file that is cut short or damaged")
	f.BoolVar(&noAutoHost, "no-auto-host", false, "do not add the interface's own addresses to -H")
	f.IntVar(&o.RingMiB, "ring-size", o.RingMiB, "most memory for captured frames, in `MiB`")
	f.IntVar(&o.SnapLen, "snaplen", o.SnapLen, "capture at most this many `bytes` of a frame")
	f.BoolVar(&o.Promisc, "promisc", o.Promisc, "also capture frames for other hosts")
	f.BoolVar(&o.AnyCopies, "any-copies", o.AnyCopies, "on any, count a packet on each interface that it passes")
	o.kernelFlags()
	f.BoolVar(&o.Replay, "replay", o.Replay, "play the capture file TARGET as if it were live, in a loop")
	f.Float64Var(&o.ReplaySpeed, "replay-speed", o.ReplaySpeed, "play it this many times as fast as it was recorded\n(0: as fast as possible)")
	f.IntVar(&o.PromTopN, "prom-topn", o.PromTopN, "give Prometheus this many rows of each top table (0: none)")
	f.IntVar(&o.PromSeries, "prom-series", o.PromSeries, "give Prometheus at most this many series, without the lightest rows of\ntables if necessary (0: any number)")
	f.BoolVar(&o.PromCompat, "prom-compat", o.PromCompat, "also give Prometheus the names of pktvisor 4, for its dashboards")
	f.StringSliceVar(&o.PromDisable, "prom-disable", o.PromDisable, "do not give Prometheus these `groups` (comma separated) of metrics:\n"+strings.Join(metric.Groups(agent.Tables), ", "))
	f.StringVar(&o.Name, "name", o.Name, "the agent's `name` in a fleet (default: the name of the host)")
	f.StringSliceVar(&o.Tags, "tag", o.Tags, "give the agent these `tags` (comma separated), by which a hub groups\nagents. Example: \"pop=ams1,country=nl\"")
	f.StringVar(&o.StateDir, "state-dir", o.StateDir, "keep the finished periods of a live capture in this `DIR`,\nand load those of the last run")
	f.DurationVar(&o.StateSync, "state-sync", o.StateSync, "also write the unfinished period there this often, so that a crash\nloses no more than this `TIME`. The option alone means 1s")
	f.Lookup("state-sync").NoOptDefVal = "1s"
	f.Var(&o.MemoryLimit, "memory-limit", "shed caches, history and sample before the agent takes more memory\nthan this `SIZE`, such as 256MiB (auto: 90% of the cgroup's limit; off)")
	o.pushFlags()
	o.otlpFlags()
	flags.Sandbox(f, &o.sandbox)
	f.StringVar(&o.LogFormat, "log-format", o.LogFormat, "log as `text|json`")
	f.StringVar(&o.LogLevel, "log-level", o.LogLevel, "log messages from this `level` on: debug, info, warn, error")
	f.IntVar(&o.Shards, "shards", o.Shards, fmt.Sprintf("goroutines that analyse packets; live,\nat most so many\n(0: one a core; for a file, at most %d)", maxFileShards))
	f.StringVar(&o.cpuProfile, "cpu-profile", "", "write a CPU profile to this `FILE`")
	f.BoolVar(&o.version, "version", false, "show the version")
	o.successorFlags()

	help := f.BoolP("help", "h", false, "show this help")
	if err := f.Parse(o.command(args)); err != nil {
		return o, err
	}
	if *help {
		return o, pflag.ErrHelp
	}
	if o.version {
		return o, nil
	}
	if o.loadsBPF {
		return o, o.checkLoadBPF()
	}
	return o, o.finish(noAutoHost)
}

// checkArguments finds arguments that are taken for a TARGET by mistake.
func (o *options) checkArguments() error {
	for _, arg := range o.flags.Args() {
		if _, err := time.ParseDuration(arg); err == nil && o.flags.Changed("state-sync") {
			return fmt.Errorf("--state-sync %s: write --state-sync=%[1]s", arg)
		}
		if arg == "completion" {
			return errors.New("completion: give bash, zsh, fish or man")
		}
	}
	return nil
}

// finish takes what follows the options, and reads the document. Its error lists all mistakes.
func (o *options) finish(noAutoHost bool) error {
	if err := o.checkArguments(); err != nil {
		return err
	}
	switch f := o.flags; f.NArg() {
	case 0:
	case 1:
		if o.checks || o.shows {
			o.configFile = f.Arg(0)
			break
		}
		o.Target = f.Arg(0)
	default:
		return errors.New("more than one TARGET: give one, after the options")
	}
	if err := o.readDocument(); err != nil {
		return err
	}
	o.AutoHost = !noAutoHost
	if o.checks || o.shows {
		return errors.Join(o.applySuccessor(), o.applyOtel(), o.checkSettings())
	}
	return errors.Join(o.applySuccessor(), o.checkReport(), o.applyOtel(), o.check(), flags.CheckSandbox(&o.sandbox))
}
