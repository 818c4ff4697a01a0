package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/agent"
	"pktvisor/export/otlp"
	"pktvisor/internal/version"
	"pktvisor/metric"
	"pktvisor/policy"
	"pktvisor/server"
)

// otel holds the flags of the original's successor for OTLP. They fill the fields of [policy.OTLP].
type otel struct {
	on, tls    bool
	host, path string
	port       uint16
	interval   uint // in seconds
	cert, key  string
	unused     []string // flags that have no effect
}

// otlpFlags adds the flags about a receiver of OTLP to push to.
func (o *options) otlpFlags() {
	f, c := o.flags, &o.otlp
	f.StringVar(&c.URL, "otlp", c.URL, "push the metrics of a live capture by OTLP over HTTP to this `URL`.\nExample: http://localhost:4318 (default path: /v1/metrics)")
	f.DurationVar(&c.Interval, "otlp-interval", c.Interval, "push this often")
	f.StringArrayVar(&c.Headers, "otlp-header", c.Headers, "add this header, `name=value`, to each push (may be repeated)")
	f.StringVar(&c.HeadersFile, "otlp-headers-file", c.HeadersFile, "`FILE` with more headers, one a line, which others cannot see")
	f.StringVar(&c.CA, "otlp-cacert", c.CA, "trust the certificates in this `FILE` (PEM) for OTLP over HTTPS")
	f.StringVar(&c.Cert, "otlp-cert", c.Cert, "client certificate `FILE` (PEM) for OTLP")
	f.StringVar(&c.Key, "otlp-key", c.Key, "`FILE` with its key")
	f.StringVar(&c.Compression, "otlp-compression", c.Compression, "compress pushes with `gzip|none`")
	f.IntVar(&c.Scale, "otlp-scale", c.Scale, "push histograms with 2^N buckets an octave (0 to 6)")
	f.Lookup("otlp-scale").Usage = "push histograms with 2^`N` buckets an octave (0 to 6)"
	f.IntVar(&c.TopN, "otlp-topn", c.TopN, "push this many rows of each top table (0: none)")
	f.StringSliceVar(&c.Disable, "otlp-disable", c.Disable, "do not push these `groups` (comma separated) of metrics, which\n--prom-disable lists")

	s := &o.otel
	f.BoolVar(&s.on, "otel", false, "")
	f.StringVar(&s.host, "otel-host", "localhost", "")
	f.Uint16Var(&s.port, "otel-port", 4318, "")
	f.StringVar(&s.path, "otel-path", "/v1/metrics", "")
	f.UintVar(&s.interval, "otel-interval", 60, "")
	f.BoolVar(&s.tls, "otel-tls", false, "")
	f.StringVar(&s.cert, "otel-tls-cert", "", "")
	f.StringVar(&s.key, "otel-tls-key", "", "")
	f.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "otel") {
			f.Hidden = true // docs/otlp.md has them
		}
	})
}

// applyOtel fills the fields of OTLP by the flags of the successor.
func (o *options) applyOtel() error {
	s, c := &o.otel, &o.otlp
	if !s.on {
		o.flags.Visit(func(f *pflag.Flag) {
			if strings.HasPrefix(f.Name, "otel-") {
				s.unused = append(s.unused, "--"+f.Name)
			}
		})
		return nil
	}
	if c.URL != "" {
		return errors.New("--otel and --otlp: give one of them")
	}
	scheme := "http"
	if s.tls {
		scheme = "https"
	} else if s.cert != "" || s.key != "" {
		return errors.New("--otel-tls-cert and --otel-tls-key are for --otel-tls: give all three")
	}
	c.URL = scheme + "://" + net.JoinHostPort(s.host, strconv.Itoa(int(s.port))) + "/" + strings.TrimPrefix(s.path, "/")
	c.Cert, c.Key = cmp.Or(c.Cert, s.cert), cmp.Or(c.Key, s.key)
	if o.flags.Changed("otel-interval") && !o.flags.Changed("otlp-interval") {
		if s.interval < 1 || s.interval > 3600 {
			return fmt.Errorf("--otel-interval %d: give a number of seconds from 1 to 3600", s.interval)
		}
		c.Interval = time.Duration(s.interval) * time.Second
	}
	return nil
}

// newOTLP makes what pushes metrics by OTLP, or nil if there is no receiver.
func (l *live) newOTLP() (*otlp.Exporter, error) {
	o := &l.o.otlp
	if len(l.o.otel.unused) > 0 {
		l.log.Warn("options have no effect without --otel", "options", strings.Join(l.o.otel.unused, " "))
	}
	if o.URL == "" {
		return nil, nil
	}
	cfg := otlp.Config{
		URL: o.Address(), Interval: o.Interval, HeadersFile: o.HeadersFile, CA: o.CA, Cert: o.Cert, Key: o.Key,
		Plain: o.Compression == "none", Scale: o.Scale, Rows: o.TopN, DisableGroups: o.Disable,
		Resource: l.resource(), Version: version.String(), Started: l.started, Windows: l.otlpWindows, Log: l.log,
	}
	for _, text := range o.Headers {
		name, value, _ := policy.ParseHeader(text) // Validate has checked them
		cfg.Headers = append(cfg.Headers, otlp.Attribute{Key: name, Value: value})
	}
	return otlp.New(cfg)
}

// resource returns the attributes of the agent, by the semantic conventions. Its tags follow.
func (l *live) resource() []otlp.Attribute {
	list := []otlp.Attribute{
		{Key: "service.name", Value: "pktvisord"}, {Key: "service.version", Value: version.String()},
		{Key: "service.instance.id", Value: l.agentName}, {Key: "host.name", Value: l.hostName},
	}
	for key, value := range l.tags.All() {
		list = append(list, otlp.Attribute{Key: "pktvisor.tag." + key, Value: value})
	}
	return list
}

// otlpWindows returns the windows whose metrics are pushed.
func (l *live) otlpWindows() (list []otlp.Window) {
	for _, p := range load(&l.public) {
		for i := range p.Windows {
			w := &p.Windows[i]
			out := otlp.Window{Policy: p.Name, Tap: w.Tap, Plain: p.Name == agent.Default && i == 0, Since: w.Started, Views: w.Views, Tables: w.Tables}
			sameTap := func(other server.PolicyWindow) bool { return other.Tap == w.Tap }
			if slices.ContainsFunc(p.Windows[:i], sameTap) && len(w.Handlers) > 0 {
				out.Handler = w.Handlers[0].Name
			}
			list = append(list, out)
		}
	}
	return list
}

// startOTLP begins to push by OTLP, if there is a receiver. The server has the metrics about the agent itself.
func (l *live) startOTLP(api *server.Server) {
	if l.otlp == nil {
		return
	}
	l.otlp.Start(func() []otlp.Own {
		var list []otlp.Own
		for _, m := range api.Own() {
			own := otlp.Own{Name: m.Name, Help: m.Help, Gauge: m.Type == metric.FamilyGauge, Labels: m.Labels}
			for _, p := range m.Points {
				own.Points = append(own.Points, otlp.OwnPoint{Labels: p.Labels, Value: p.Value})
			}
			list = append(list, own)
		}
		return list
	})
}

// otlpStatus returns the state of the pushing by OTLP, or nil if nothing is pushed.
func (l *live) otlpStatus() *server.OTLP {
	if l.otlp == nil {
		return nil
	}
	s := l.otlp.Status()
	st := &server.OTLP{
		URL: s.URL, Pushes: s.Pushes, Failed: s.Failed, RejectedPoints: s.Rejected, Bytes: s.Bytes, Points: s.Points, Error: s.Error,
	}
	if !s.LastPush.IsZero() {
		st.LastPushTS = s.LastPush.Unix()
	}
	return st
}
