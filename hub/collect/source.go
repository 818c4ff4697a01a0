package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pktvisor/internal/regular"
)

// A Source finds targets. Run calls publish with all of them, again when they change, until ctx ends. It calls publish at
// least once, even if there is no target.
type Source interface {
	Run(ctx context.Context, log *slog.Logger, publish func([]Target))
}

// Static is a source whose targets do not change.
type Static []Target

// Run implements [Source].
func (s Static) Run(ctx context.Context, _ *slog.Logger, publish func([]Target)) {
	publish(s)
	<-ctx.Done()
}

// watchInterval is how often a watched file is looked at.
const watchInterval = time.Second

// Watch is a source that reads the targets from a file as [ReadFile] does, and again when the file changes. If the new
// version cannot be read, the old targets stay, and one line in the log says why.
type Watch struct{ Path string }

// Run implements [Source].
func (w Watch) Run(ctx context.Context, log *slog.Logger, publish func([]Target)) {
	var last os.FileInfo
	fault := errors.New("not read yet") // of the newest version; nil if it was read
	report := func(err error) {
		if err != nil && (fault == nil || err.Error() != fault.Error()) {
			log.Error("cannot read the file with agents; the previous agents stay", "file", w.Path, "err", err)
		}
		fault = err
	}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for first := true; ; first = false {
		now, err := os.Stat(w.Path)
		switch {
		case err != nil:
			report(err)
		case !regular.Same(last, now):
			targets, err := ReadFile(w.Path)
			if err == nil {
				log.Info("read the file with agents", "file", w.Path, "agents", len(targets))
				publish(targets)
			}
			report(err)
		}
		if last = now; first && fault != nil {
			publish(nil)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

const (
	// lookupInterval is how often an SRV name is looked up.
	lookupInterval = 45 * time.Second
	// lookupLimit is how long a look-up may take.
	lookupLimit = 10 * time.Second
)

// SRV is a source that finds targets by a DNS SRV name (RFC 2782). Priorities and weights are ignored, because each
// target is pulled. If a look-up fails, the targets of the last good answer stay.
type SRV struct {
	// Scheme is http or https, and Name the full name: "_pktvisor._tcp.example.net".
	Scheme, Name string
	// Lookup replaces the system's resolver, if it is set.
	Lookup func(ctx context.Context, name string) ([]*net.SRV, error)
}

// ParseSRV reads an SRV name as on a command line. It may begin with http:// or https://.
func ParseSRV(s string) (SRV, error) {
	srv := SRV{Scheme: "http", Name: s}
	if scheme, name, ok := strings.Cut(s, "://"); ok {
		srv = SRV{Scheme: scheme, Name: name}
	}
	if err := checkHostPort(srv.Name, ""); err != nil || srv.Scheme != "http" && srv.Scheme != "https" {
		return SRV{}, fmt.Errorf("SRV name %.200q: give a DNS name such as _pktvisor._tcp.example.net", s)
	}
	return srv, nil
}

// Run implements [Source].
func (s SRV) Run(ctx context.Context, log *slog.Logger, publish func([]Target)) {
	lookup := s.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, name string) ([]*net.SRV, error) {
			_, records, err := net.DefaultResolver.LookupSRV(ctx, "", "", name)
			return records, err
		}
	}
	failing := false
	for first := true; ; first = false {
		limited, cancel := context.WithTimeout(ctx, lookupLimit)
		records, err := lookup(limited, s.Name)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !failing {
				log.Error("cannot look up the agents; the previous agents stay", "name", s.Name, "err", err)
			}
			if first {
				publish(nil)
			}
		default:
			publish(s.targets(records))
		}
		failing = err != nil
		if !sleep(ctx, lookupInterval) {
			return
		}
	}
}

// targets returns the targets of an answer. It leaves out invalid ones.
func (s SRV) targets(records []*net.SRV) (targets []Target) {
	for _, r := range records[:min(len(records), maxTargets)] {
		host := strings.TrimSuffix(r.Target, ".")
		u, err := parseURL(s.Scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(r.Port))))
		if err == nil { // a target of "." says that there is no such service
			targets = append(targets, Target{URL: u})
		}
	}
	return targets
}

// sleep waits. It returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// runSources runs sources, and calls publish with the targets of all of them whenever those of one change. If several
// have the same URL, the first source's target counts. It returns when ctx has ended and all sources have returned.
func runSources(ctx context.Context, log *slog.Logger, sources []Source, publish func([]Target)) {
	var mu sync.Mutex // guards found, and orders the calls of publish
	found := make([][]Target, len(sources))
	var wg sync.WaitGroup
	for i, s := range sources {
		wg.Go(func() {
			s.Run(ctx, log, func(targets []Target) {
				mu.Lock()
				defer mu.Unlock()
				found[i] = slices.Clone(targets)
				publish(mergeTargets(found))
			})
		})
	}
	wg.Wait()
}

// mergeTargets returns each URL's first target, in the order of the URLs.
func mergeTargets(lists [][]Target) []Target {
	var all []Target
	seen := map[string]bool{}
	for _, list := range lists {
		for _, t := range list {
			if !seen[t.URL] && len(all) < maxTargets {
				seen[t.URL] = true
				all = append(all, t)
			}
		}
	}
	slices.SortFunc(all, func(a, b Target) int { return cmp.Compare(a.URL, b.URL) })
	return all
}
