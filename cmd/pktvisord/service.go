package main

import (
	"context"
	"strings"
	"time"

	"pktvisor/internal/regular"
)

// ready tells the service manager that the agent captures and serves.
func (l *live) ready() {
	var titles []string
	for _, t := range load(&l.taps) {
		titles = append(titles, t.title)
	}
	if err := l.manager.Ready("capturing " + strings.Join(titles, ", ")); err != nil {
		l.log.Warn("the service manager does not know that the agent is ready", "error", err)
	}
}

// alive returns an error if a shard is stuck. It does not return if a reader or a shard keeps a window's lock.
func (l *live) alive() error {
	for _, r := range load(&l.policies) {
		for _, w := range r.windows {
			w.agent.Window().Sealed()
		}
	}
	for _, t := range load(&l.taps) {
		for i := range t.sources {
			if err := t.agent.Stuck(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// reload reads the configuration, the GeoIP databases and the public suffix list again.
func (l *live) reload(ctx context.Context) {
	if l.o.document != nil {
		if err := l.reloadConfig(ctx); err != nil {
			l.log.Error("cannot reload the configuration; the old one stays in force", "error", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if l.suffixes != nil {
		l.reloadSuffixes()
	}
	switch {
	case l.geo == nil && (l.suffixes != nil || l.o.document != nil):
	case l.geo == nil:
		l.log.Info("hangup: there are no GeoIP databases to reload")
	default:
		if err := l.geo.Reload(); err != nil {
			l.log.Error("cannot reload the GeoIP databases; the old ones stay in use", "error", err)
			return
		}
		l.log.Info("hangup: GeoIP databases reloaded")
	}
}

func (l *live) reloadSuffixes() {
	if err := l.suffixes.Reload(); err != nil {
		l.log.Error("cannot reload the public suffix list; the old one stays in use", "error", err)
		return
	}
	l.log.Info("hangup: public suffix list reloaded", "rules", l.suffixes.List().Rules())
}

// reloadConfig reads the configuration file again, and puts it into force: all of it, or nothing.
func (l *live) reloadConfig(ctx context.Context) error {
	began := time.Now()
	l.changing.Lock() // before the file is read: of two reloads, the later one has the newer file
	defer l.changing.Unlock()
	document, notes, err := l.o.loadDocument(regular.Open)
	if err != nil {
		return err
	}
	next := l.wanted.reloaded(document)
	overridden := l.wanted.overridden(next)
	c, err := l.want(ctx, next)
	if err != nil {
		return err
	}
	for _, note := range notes {
		l.log.Warn("the configuration has a key without effect", "note", note)
	}
	if !sameSettings(document.Settings, l.o.document.Settings) {
		l.log.Warn("settings of the program have changed in the configuration: they take effect at the next start")
	}
	if undone := c.undone(overridden); len(undone) > 0 {
		l.log.Warn("the reload has taken back what was changed over the API", "names", hostList(undone))
	}
	l.log.Info("configuration reloaded", append(c.names(), "kept", len(c.keep)-len(c.add), "taps", len(load(&l.taps)), "took", applied(began))...)
	return nil
}
