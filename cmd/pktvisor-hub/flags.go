package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"pktvisor/agent"
	"pktvisor/api"
	"pktvisor/hub/collect"
	"pktvisor/internal/flags"
	"pktvisor/internal/logging"
	"pktvisor/internal/regular"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/sandbox"
	"pktvisor/server"
)

// options holds the command line.
type options struct {
	flags *pflag.FlagSet

	agents     []string
	agentsFile string
	agentsSRV  string
	agentCA    string
	agentToken string
	agentBasic string
	insecure   bool

	agentCert string
	agentKey  string

	policy.Access
	listen    string
	port      int
	httpHosts []string
	name      string
	tagList   []string
	tags      metric.Tags

	data     string
	keep     map[string]string
	keepFor  map[string]time.Duration
	rawSize  string
	rawBytes int64
	periods  int

	natsListen    string
	natsCert      string
	natsKey       string
	natsTokenFile string
	natsURL       string
	natsCreds     string
	natsCA        string
	natsReplicas  int
	prefix        string

	sandbox sandbox.Options
	enter   enter // nil: the process is not confined

	promTopN    int
	promDisable []string
	logFormat   string
	logLevel    string
	version     bool
}

const usageHead = `Usage:
  pktvisor-hub [--agent HOST[:PORT][,KEY=VALUE…]]… [-l HOST] [-p PORT] [--data DIR]
  pktvisor-hub simulate [--hosts N] …
  pktvisor-hub completion bash|zsh|fish|man
  pktvisor-hub (-h | --help)
  pktvisor-hub --version

pktvisor-hub merges the sketches of many agents into one view of the whole fleet, with history.

It fetches the finished minutes of the agents that it is given. Agents that it cannot reach push
their minutes to it (--nats-listen). It answers like an agent, so "pktvisor -H HUB" shows the fleet,
and "pktvisor -H HUB --tag pop=ams1" a part of it.

SIGTERM or SIGINT stops pktvisor-hub. Nothing that it has stored is lost, however it ends.
Exit codes: 0 a signal stopped it; 1 failure; 2 wrong usage.

Options:
`

func usage(o *options) string { return usageHead + o.flags.FlagUsages() }

// The default of --data, unless systemd gives a directory.
const defaultData = "pktvisor-hub.data"

// parse reads the command line. Its error lists all mistakes in it.
func parse(args []string) (*options, error) {
	o := &options{}
	f := pflag.NewFlagSet("pktvisor-hub", pflag.ContinueOnError)
	f.SortFlags = false
	f.Usage = func() {}
	o.flags = f
	f.StringArrayVar(&o.agents, "agent", nil, "fetch the minutes of this `AGENT`, HOST[:PORT][,KEY=VALUE…]. The tags are\nadded to its own. Repeat it for each agent")
	f.StringVar(&o.agentsFile, "agents-file", "", "fetch the minutes of the agents in this YAML `FILE`. Changes apply within seconds")
	f.StringVar(&o.agentsSRV, "agents-srv", "", "fetch the minutes of the agents that the SRV record of this `NAME` lists")
	f.StringVar(&o.agentCA, "agent-ca", "", "for agents behind https, trust the certificates in this `FILE` (PEM)")
	f.StringVar(&o.agentToken, "agent-token-file", "", "send the bearer token in this `FILE` to agents")
	f.StringVar(&o.agentBasic, "agent-basic-file", "", "send the USER:PASSWORD in this `FILE` to agents (basic authentication)")
	f.StringVar(&o.agentCert, "agent-cert", "", "show agents behind https the client certificate in this `FILE` (PEM)")
	f.StringVar(&o.agentKey, "agent-key", "", "`FILE` with its key (PEM)")
	f.BoolVar(&o.insecure, "agent-insecure", false, "for agents behind https, trust any certificate")
	f.StringVarP(&o.listen, "listen", "l", "localhost", "serve HTTP on this `HOST` or address, or on a Unix socket:\nunix:PATH[,mode=0660][,group=NAME]")
	f.IntVarP(&o.port, "port", "p", api.DefaultPort, "serve HTTP on this port (0: any free one)")
	f.StringSliceVar(&o.httpHosts, "http-host", nil, "also answer requests for these `names` (comma separated).\n* means any name")
	flags.Access(f, &o.Access)
	f.StringVar(&o.name, "name", "", "the hub's name, by which another hub knows it (default: the name of this host)")
	f.StringSliceVar(&o.tagList, "tag", nil, "the hub's own tags, `KEY=VALUE` (comma separated), for another hub")
	f.StringVar(&o.data, "data", cmp.Or(os.Getenv("STATE_DIRECTORY"), defaultData), "keep everything in this `DIR`")
	f.StringToStringVar(&o.keep, "keep", nil, "how long to keep minutes of hosts (raw) and rollups, as `LEVEL=TIME`\n(comma separated), for example 1m=72h,5m=30d.\nDefault: raw=6h,1m=48h,5m=14d,1h=400d; 1d is kept forever")
	f.Lookup("keep").DefValue = "" // the help says it in words
	f.StringVar(&o.rawSize, "raw-size", "", "keep at most this `SIZE` of minutes of hosts, for example 20GiB\n(default: half of the free space)")
	f.IntVar(&o.periods, "periods", 60, "the number of minutes in the window that the API shows (2 to 1439)")
	f.StringVar(&o.natsListen, "nats-listen", "", "accept the minutes that agents push, on `HOST:PORT` (NATS)")
	f.StringVar(&o.natsTokenFile, "nats-token-file", "", "the NATS token is in this `FILE`. Agents must give it to push")
	f.StringVar(&o.natsCert, "nats-cert", "", "the certificate of --nats-listen (PEM `FILE`); agents then push over TLS")
	f.StringVar(&o.natsKey, "nats-key", "", "the key of --nats-cert (PEM `FILE`)")
	f.StringVar(&o.natsURL, "nats", "", "keep everything in the JetStream of the NATS servers at this `URL`\ninstead of --data. Several hubs may share it")
	f.StringVar(&o.natsCreds, "nats-creds", "", "the NATS credentials `FILE` for --nats")
	f.StringVar(&o.natsCA, "nats-ca", "", "for --nats, trust the certificates in this `FILE` (PEM)")
	f.IntVar(&o.natsReplicas, "nats-replicas", 3, "with --nats, keep this many copies. 1 can lose minutes")
	f.StringVar(&o.prefix, "nats-prefix", "pv", "the first `word` of all NATS subjects")
	f.IntVar(&o.promTopN, "prom-topn", 10, "give Prometheus this many rows of each top table (0: none)")
	f.StringSliceVar(&o.promDisable, "prom-disable", nil, "do not give Prometheus these `groups` (comma separated) of metrics")
	flags.Sandbox(f, &o.sandbox)
	f.StringVar(&o.logFormat, "log-format", "text", "log as `text|json`")
	f.StringVar(&o.logLevel, "log-level", "info", "log messages from this `level` on: debug, info, warn, error")
	config := f.String("config", "", "read options from this YAML `FILE`. Its keys are the names of the options.\nThe command line takes precedence")
	f.BoolVar(&o.version, "version", false, "show the version")
	help := f.BoolP("help", "h", false, "show this help")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case *help:
		return o, pflag.ErrHelp
	case o.version:
		return o, nil
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: give agents with --agent", f.Arg(0))
	}
	if *config != "" {
		if err := readConfig(f, *config); err != nil {
			return o, err
		}
	}
	return o, o.check()
}

// maxConfig bounds the size of a configuration, in bytes.
const maxConfig = 1 << 20

// readConfig sets the flags that a YAML file gives and the command line does not.
func readConfig(f *pflag.FlagSet, path string) error {
	data, err := regular.Read(path, maxConfig)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	var doc, second yaml.Node
	file := yaml.NewDecoder(bytes.NewReader(data))
	if err := file.Decode(&doc); err != nil && err != io.EOF {
		return fmt.Errorf("--config %s: %w", path, err)
	}
	if err := file.Decode(&second); err != io.EOF {
		return fmt.Errorf("--config %s: more than one document: leave out what follows ---", path)
	}
	if len(doc.Content) == 0 {
		return nil // an empty file
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("--config %s: line %d: give one option a line, for example port: 10853", path, root.Line)
	}
	var errs []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if err := setOption(f, key.Value, value, seen); err != nil {
			errs = append(errs, fmt.Errorf("--config %s: line %d: %w", path, key.Line, err))
		}
		seen[key.Value] = true
	}
	return errors.Join(errs...)
}

// setOption sets the flag with the given name, unless the command line has set it.
func setOption(f *pflag.FlagSet, name string, value *yaml.Node, seen map[string]bool) error {
	flag := f.Lookup(name)
	switch {
	case flag == nil || name == "config" || name == "help" || name == "version":
		return fmt.Errorf("unknown option %q: see pktvisor-hub --help", name)
	case seen[name]:
		return fmt.Errorf("%s is there twice", name)
	case flag.Changed:
		return nil
	}
	values := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		values = value.Content
	}
	for _, v := range values {
		text := v.Value
		if v.Kind == yaml.MappingNode && flag.Value.Type() == "stringToString" {
			var pairs []string
			for i := 0; i+1 < len(v.Content); i += 2 {
				pairs = append(pairs, v.Content[i].Value+"="+v.Content[i+1].Value)
			}
			text = strings.Join(pairs, ",")
		} else if v.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s: give a value or a list of values", name)
		}
		if err := flag.Value.Set(text); err != nil {
			return fmt.Errorf("%s %q: %w", name, text, err)
		}
	}
	flag.Changed = true
	return nil
}

// check returns all mistakes in the options, one a line, and computes what is derived from them.
func (o *options) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.port < 0 || o.port > 65535 {
		fault("-p %d: give a port from 0 to 65535", o.port)
	}
	if o.periods < 2 || o.periods > 1439 {
		fault("--periods %d: give a number of minutes from 2 to 1439", o.periods)
	}
	for _, name := range o.httpHosts {
		if err := server.CheckHostName(name); err != nil {
			fault("--http-host: %w", err)
		}
	}
	for _, f := range o.Access.Validate(server.CheckOrigin) {
		errs = append(errs, errors.New(f.Flag(flags.AccessName)))
	}
	if (o.agentCert == "") != (o.agentKey == "") {
		fault("--agent-cert and --agent-key: give both")
	}
	var err error
	if o.tags, err = metric.ParseTags(o.tagList); err != nil {
		fault("--tag: %w", err)
	}
	if o.keepFor, err = parseKeep(o.keep); err != nil {
		fault("--keep: %w", err)
	}
	if o.rawSize != "" {
		if o.rawBytes, err = parseSize(o.rawSize); err != nil {
			fault("--raw-size: %w", err)
		}
	}
	if o.natsListen != "" {
		if _, _, err := net.SplitHostPort(o.natsListen); err != nil {
			fault("--nats-listen %q: give HOST:PORT, for example 0.0.0.0:4222", o.natsListen)
		}
		if o.natsURL != "" {
			fault("--nats-listen with --nats: agents push to the servers of --nats, so leave --nats-listen out")
		}
	}
	if (o.natsCert == "") != (o.natsKey == "") {
		fault("--nats-cert and --nats-key: give both")
	}
	if o.flags.Changed("nats-replicas") && o.natsURL == "" {
		fault("--nats-replicas: only with --nats")
	}
	if o.natsURL != "" && o.flags.Changed("data") {
		fault("--data with --nats: everything is kept in --nats, so leave --data out")
	}
	if o.natsReplicas != 1 && o.natsReplicas != 3 && o.natsReplicas != 5 {
		fault("--nats-replicas %d: give 3 or 5, or 1 if the loss of minutes is acceptable", o.natsReplicas)
	}
	if strings.Trim(o.prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || o.prefix == "" {
		fault("--nats-prefix %q: give one word of letters, digits, - and _", o.prefix)
	}
	o.checkWords(fault)
	o.checkUnused(fault)
	return errors.Join(errs...)
}

// checkWords reports options with values that there are not.
func (o *options) checkWords(fault func(format string, args ...any)) {
	for _, a := range o.agents {
		if _, err := collect.ParseTarget(a); err != nil {
			fault("--agent %s: %w", a, err)
		}
	}
	if len(o.name) > 255 || !utf8.ValidString(o.name) || strings.ContainsFunc(o.name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		fault("--name %.80q: give at most 255 bytes of printable characters", o.name)
	}
	if o.promTopN < 0 || o.promTopN > policy.MaxPromTopN {
		fault("--prom-topn %d: give a number of rows from 0 to %d", o.promTopN, policy.MaxPromTopN)
	}
	groups := metric.Groups(agent.Tables)
	for _, g := range o.promDisable {
		if !slices.Contains(groups, g) {
			fault("--prom-disable %s: unknown group; give one of %s", g, strings.Join(groups, ", "))
		}
	}
	if _, err := logging.New(io.Discard, o.logFormat, o.logLevel); err != nil {
		fault("%w", err)
	}
}

// checkUnused reports options that exclude each other or would have no effect, so that nobody relies on them.
func (o *options) checkUnused(fault func(format string, args ...any)) {
	if err := flags.CheckSandbox(&o.sandbox); err != nil {
		fault("%w", err)
	}
	if o.agentToken != "" && o.agentBasic != "" {
		fault("--agent-token-file and --agent-basic-file: give one of them")
	}
	if o.natsURL == "" && o.natsCreds != "" {
		fault("--nats-creds: only with --nats")
	}
	if o.natsURL == "" && o.natsCA != "" {
		fault("--nats-ca: only with --nats")
	}
	if o.natsURL == "" && o.natsListen == "" {
		if o.natsTokenFile != "" {
			fault("--nats-token-file: only with --nats or --nats-listen")
		}
		if o.natsCert != "" {
			fault("--nats-cert: only with --nats or --nats-listen")
		}
	}
}

// parseKeep reads the times of --keep. Besides Go's units, it knows d for days.
func parseKeep(keep map[string]string) (map[string]time.Duration, error) {
	times := map[string]time.Duration{}
	for level, text := range keep {
		switch level {
		case "raw", "1m", "5m", "1h", "1d":
		default:
			return nil, fmt.Errorf("unknown level %q: give raw, 1m, 5m, 1h or 1d", level)
		}
		number, day := strings.CutSuffix(text, "d")
		if day {
			number += "h"
		}
		d, err := time.ParseDuration(number)
		if err != nil || d < time.Hour && !day || d <= 0 {
			return nil, fmt.Errorf("%s=%s: give a time of at least an hour, for example 36h or 14d", level, text)
		}
		if day {
			d *= 24
		}
		times[level] = d
	}
	return times, nil
}

// units are the suffixes of a size.
var units = []struct {
	suffix string
	bytes  int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}}

// parseSize reads a number of bytes with a unit.
func parseSize(text string) (int64, error) {
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.suffix); ok {
			var n int64
			if _, err := fmt.Sscanf(number+"|", "%d|", &n); err == nil && n > 0 && n < 1<<20 {
				return n * u.bytes, nil
			}
		}
	}
	return 0, fmt.Errorf("%q: give a whole number of MiB, GiB or TiB, for example 20GiB", text)
}
