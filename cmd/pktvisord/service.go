package main

import (
	"pktvisor/geo"
	"pktvisor/psl"
)

// ready tells the service manager that the agent captures and serves.
func (l *live) ready() {
	if err := l.manager.Ready("capturing " + l.name); err != nil {
		l.log.Warn("the service manager does not know that the agent is ready", "error", err)
	}
}

// alive returns an error if a shard is stuck. It does not return if a reader or a shard keeps the window's lock.
func (l *live) alive() error {
	l.policy.Window().Sealed()
	for i := range l.sources {
		if err := l.tap.Stuck(i); err != nil {
			return err
		}
	}
	return nil
}

// reload reads the GeoIP databases and the public suffix list again. Either may be nil.
func (l *live) reload(db *geo.DB, suffixes *psl.Source) {
	if suffixes != nil {
		l.reloadSuffixes(suffixes)
	}
	switch {
	case db == nil && suffixes != nil:
	case db == nil:
		l.log.Info("hangup: there are no GeoIP databases to reload")
	default:
		if err := db.Reload(); err != nil {
			l.log.Error("cannot reload the GeoIP databases; the old ones stay in use", "error", err)
			return
		}
		l.log.Info("hangup: GeoIP databases reloaded")
	}
}

func (l *live) reloadSuffixes(suffixes *psl.Source) {
	if err := suffixes.Reload(); err != nil {
		l.log.Error("cannot reload the public suffix list; the old one stays in use", "error", err)
		return
	}
	l.log.Info("hangup: public suffix list reloaded", "rules", suffixes.List().Rules())
}
