package geo

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"
)

const (
	// followEvery is the time between two checks of the files.
	followEvery = time.Second
	// slowAfter is the number of checks after which the log mentions a file that keeps changing.
	slowAfter = 30
	// retryAfter is the number of checks after which a refused version is tried again.
	retryAfter = 60
)

// Follow loads each new version of the files, until ctx is done. It loads a version when two checks, a second apart,
// find no change, so that it does not load a file that is being written. It logs a refused version once. The names
// stay those of the previous version, even while the file is missing.
func (d *DB) Follow(ctx context.Context, log *slog.Logger) {
	if d == nil {
		return
	}
	var followers []*follower
	for _, t := range []*table{d.city, d.asn} {
		if t != nil {
			followers = append(followers, newFollower(t, log.With("file", t.path)))
		}
	}
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, f := range followers {
				f.check()
			}
		}
	}
}

// follower follows the file of one table.
type follower struct {
	table *table
	log   *slog.Logger

	known   identity // what was last loaded or refused
	seen    identity // in the last check
	fault   string   // why the last check could not see the file, or ""
	changes int      // how many checks in a row have found another version
	refusal string   // why the last version seen was refused, or ""
	wait    int      // checks until it is tried again: the disk may have been full
}

func newFollower(t *table, log *slog.Logger) *follower {
	f := &follower{table: t, log: log, known: t.loaded()}
	// A file that was written to just before it was loaded may have been changed again within the same tick of
	// the file system's clock. So it is loaded once more.
	if time.Since(f.known.changed) < 2*followEvery {
		f.known = identity{}
	}
	return f
}

// check examines the file once.
func (f *follower) check() {
	info, err := os.Stat(f.table.path)
	if err != nil {
		f.missing(err)
		return
	}
	if f.fault != "" {
		f.fault = ""
		f.log.Info("GeoIP database can be read again")
	}
	now := identify(info)
	settled := now.same(f.seen)
	f.seen = now
	if now.same(f.known) {
		f.changes = 0
		if f.refusal == "" {
			return
		}
		if f.wait--; f.wait > 0 {
			return
		}
	}
	if !settled {
		if f.changes++; f.changes == slowAfter {
			f.log.Warn("GeoIP database keeps changing: the names of its last version stay in use", "seconds", slowAfter)
		}
		return
	}
	f.changes = 0
	f.load(now)
}

// load loads the version that was seen.
func (f *follower) load(now identity) {
	before := f.table.loaded()
	f.known, f.wait = now, retryAfter
	if err := f.table.reload(); err != nil {
		if refusal := err.Error(); refusal != f.refusal {
			f.refusal = refusal
			f.log.Error("GeoIP database was refused: the names of its last version stay in use", "error", err)
		}
		return
	}
	f.known, f.refusal = f.table.loaded(), ""
	if !f.known.same(before) {
		f.log.Info("GeoIP database has changed and was loaded", "built", f.table.built())
	}
}

// missing logs, once, that the file cannot be seen.
func (f *follower) missing(err error) {
	f.seen, f.changes = identity{}, 0
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the log line names the file
	}
	if fault := err.Error(); fault != f.fault {
		f.fault = fault
		f.log.Warn("GeoIP database cannot be read: the names of its last version stay in use", "error", err)
	}
}
