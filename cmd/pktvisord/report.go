package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"pktvisor/agent"
	"pktvisor/analyze/packets"
	"pktvisor/capture"
	"pktvisor/internal/version"
	"pktvisor/metric"
	"pktvisor/minute"
	"pktvisor/report"
	"pktvisor/server"
	"pktvisor/timeline"
	"pktvisor/web"
)

// checkReport returns the mistakes in the command line of a report.
func (o *options) checkReport() error {
	if !o.report {
		return nil
	}
	var errs []error
	if o.output == "" {
		errs = append(errs, errors.New("report: give the file to write with -o, for example -o report.html, or - for standard output"))
	}
	if o.Summary {
		errs = append(errs, errors.New("report: leave out --summary: a report shows each minute and the sum of all"))
	}
	if o.Replay {
		errs = append(errs, errors.New("report: leave out --replay: a report reads the file once, as fast as it can"))
	}
	if o.Target == "-" && o.base == "-" {
		errs = append(errs, errors.New("report: only one of the captures can be standard input"))
	}
	for _, target := range []string{o.Target, o.base} {
		if target != "" && isInterface(target) {
			errs = append(errs, fmt.Errorf("report: %s is an interface: give a capture file", target))
		}
	}
	return errors.Join(errs...)
}

// writeReport writes the report of a capture file. When ctx is done, the report has what was read so far.
func (o *options) writeReport(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	if o.output == "-" {
		if err := checkOutput(stdout); err != nil {
			return err
		}
	}
	if err := o.confineFile(); err != nil {
		return err
	}
	var base *captured
	if o.base != "" {
		other := *o
		other.Target = o.base
		var err error
		if base, err = other.readCapture(ctx, stdin, stderr); err != nil {
			return fmt.Errorf("--base %s: %w", o.base, err)
		}
		defer base.close()
	}
	c, err := o.readCapture(ctx, stdin, stderr)
	if c == nil {
		return err
	}
	defer c.close()
	page, failed := o.makeReport(c, base, stderr)
	if failed != nil {
		return errors.Join(err, failed)
	}
	if o.output == "-" {
		return errors.Join(err, writeOut(ctx, stdout, page))
	}
	return errors.Join(err, replaceFile(o.output, page))
}

// merged returns the merge of the minutes of a capture. If there are none, it covers the present minute.
func (c *captured) merged(periods int) *metric.Bucket {
	b := c.window.Merged(periods)
	if b == nil || b.Empty() {
		b = metric.NewBucket(c.policy.Tables())
		b.Anonymity = c.anonymity
		b.Start = minute.Of(time.Now().Unix())
		b.End = b.Start + minute.Seconds
	}
	return b
}

// minutes returns the capture as a source of minutes, whose clock stands at its end.
func (c *captured) minutes(to int64) *timeline.Window {
	return timeline.NewWindow(c.window, c.policy.Tables(), agent.Default, func() time.Time { return time.Unix(to-1, 0) })
}

// makeReport returns the report of a capture, compared with another one if there is a base.
func (o *options) makeReport(c, base *captured, stderr io.Writer) ([]byte, error) {
	if c.window == nil {
		return nil, errors.New("no packet was read: no report is written")
	}
	all := c.merged(o.Periods)
	cfg := report.Config{Tables: c.policy.Tables(), From: all.Start, To: all.End, Name: nameOf(o.Target), Program: "pktvisord " + version.String()}
	for _, f := range web.Files() {
		switch f.Path {
		case "assets/app.js":
			cfg.Script = f.Body
		case "assets/app.css":
			cfg.Style = f.Body
		case "assets/world.json":
			cfg.World = f.Body
		case "assets/licenses.txt":
			cfg.Licences = f.Body
		}
	}
	window := c.minutes(all.End)
	var source timeline.Source = window
	if base != nil {
		cfg.Base = nameOf(o.base)
		other := base.merged(o.Periods)
		cfg.BaseFrom, cfg.BaseTo = other.Start, other.End
		source = timeline.WithBase(window, base.minutes(cfg.BaseTo))
	}
	if c.ended {
		o.warnOfTimes(stderr, c.tap, all)
		if have, read := packetsOf(all), packetsOf(c.window.Totals()); have < read {
			fmt.Fprintf(stderr, "pktvisord: warning: the report has the newest %d minutes, with %d of %d packets: give --periods, up to %d\n", o.Periods, have, read, minute.MaxKept)
		}
	}
	cfg.API = o.apiOf(c, source, all.End)
	var b bytes.Buffer
	err := report.Write(context.Background(), &b, cfg) // also after a signal, as for a summary
	return b.Bytes(), err
}

// apiOf returns the API of an agent about a capture that was read, whose clock stands at the end of the capture.
func (o *options) apiOf(c *captured, source timeline.Source, end int64) http.Handler {
	return server.New(server.Config{
		Window: c.window, Tables: c.policy.Tables(), Sources: agent.SourceTable, Version: version.String(), Started: time.Now(),
		DeepSamplePercent: o.DeepSamplePercent, TopN: o.PromTopN, Series: o.PromSeries, Status: func() server.Status { return o.statusOf(c) },
		Routes: timeline.Routes(timeline.Config{Source: source, Tables: c.policy.Tables(), Now: func() time.Time { return time.Unix(end-1, 0) }}),
	}).Handler()
}

// packetsOf returns the number of packets in a bucket.
func packetsOf(b *metric.Bucket) uint64 {
	s, _ := b.Section(packets.Table.Section)
	return uint64(metric.Of[packets.Metrics](s).Total)
}

// nameOf returns the base name of a file, or that of standard input.
func nameOf(target string) string {
	if target == "-" {
		return "standard input"
	}
	return filepath.Base(target)
}

// statusOf returns the state of a capture that was read.
func (o *options) statusOf(c *captured) server.Status {
	var n capture.Stats
	if c.ended {
		n = c.source.Stats()
	}
	st := server.Status{
		Target: nameOf(o.Target), Filter: o.Filter, Shards: 1, Hosts: []string{}, LastPacket: c.tap.LastPacket(), Anonymity: c.anonymity,
		Sources: []server.Source{{Name: nameOf(o.Target), Kind: "replay", Counts: metric.With(agent.SourceTable, n), Lost: n.Lost()}},
	}
	for _, p := range c.tap.Hosts().Prefixes() {
		st.Hosts = append(st.Hosts, p.String())
	}
	return st
}

// replaceFile writes a file at once, so that a failure leaves the old one, if there is one. A report is as private as a capture.
func replaceFile(path string, b []byte) (err error) {
	if info, e := os.Stat(path); e == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, b, 0o600) // for example /dev/stdout or a pipe
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err = f.Write(b)
	err = cmp.Or(err, f.Close())
	if err = cmp.Or(err, os.Rename(f.Name(), path)); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
