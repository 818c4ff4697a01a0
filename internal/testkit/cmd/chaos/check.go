package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"pktvisor/hub/simulate"
)

// readSums reads what a simulation has printed: the exact sums of each minute.
func readSums(path string) ([]simulate.Sums, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []simulate.Sums
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "{") {
			continue // the list of agents
		}
		var s simulate.Sums
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		err = fmt.Errorf("%s: no sums", path)
	}
	return all, errors.Join(err, lines.Err())
}

// checker compares what a hub says with the exact sums.
type checker struct {
	hub      string // its URL
	compared int    // counters
}

// fetch returns the counters of a stretch of time (Unix times), by section.path, of all hosts or of a group.
func (c *checker) fetch(from, to int64, group string) (map[string]uint64, error) {
	q := url.Values{"from": {fmt.Sprint(from)}, "to": {fmt.Sprint(to)}, "rows": {"1"}}
	if group != "" {
		q.Set("tag", group)
	}
	client := http.Client{Timeout: 20 * time.Second}
	r, err := client.Get(c.hub + "api/v1/metrics/range?" + q.Encode())
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.300s", r.Status, body)
	}
	var views map[string]map[string]any
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(&views); err != nil {
		return nil, err
	}
	counters := map[string]uint64{}
	for _, view := range views {
		flatten(counters, "", view)
	}
	return counters, nil
}

// flatten adds the whole numbers of a JSON object to counters, by their path.
func flatten(counters map[string]uint64, prefix string, object map[string]any) {
	for name, v := range object {
		switch v := v.(type) {
		case map[string]any:
			flatten(counters, prefix+name+".", v)
		case json.Number:
			if n, err := v.Int64(); err == nil && n >= 0 {
				counters[prefix+name] = uint64(n)
			}
		}
	}
}

// compare returns how a stretch of time differs from the exact sums, or nil.
func (c *checker) compare(from, to int64, group string, want map[string]uint64) error {
	got, err := c.fetch(from, to, group)
	if err != nil {
		return fmt.Errorf("%d to %d of %q: %w", from, to, group, err)
	}
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if c.compared++; got[path] != want[path] {
			errs = append(errs, fmt.Errorf("%d to %d of %q: %s is %d, want %d", from, to, group, path, got[path], want[path]))
		}
	}
	return errors.Join(errs...)
}

// check compares every minute of all hosts and of each group, and all of it together, which comes from longer rollups.
func (c *checker) check(all []simulate.Sums) error {
	c.compared = 0
	var errs []error
	total, groups := map[string]uint64{}, map[string]map[string]uint64{}
	now := time.Now().Unix()
	first, last := all[0].Start, int64(0)
	for _, s := range all {
		if s.Start+60 > now {
			continue // by a clock that is ahead; it is shown when its time comes
		}
		last = s.Start + 60
		errs = append(errs, c.compare(s.Start, s.Start+60, "", s.All.Counters))
		add(total, s.All.Counters)
		for group, sum := range s.Groups {
			errs = append(errs, c.compare(s.Start, s.Start+60, group, sum.Counters))
			if groups[group] == nil {
				groups[group] = map[string]uint64{}
			}
			add(groups[group], sum.Counters)
		}
	}
	errs = append(errs, c.compare(first, last, "", total))
	for group, sum := range groups {
		errs = append(errs, c.compare(first, last, group, sum))
	}
	return errors.Join(errs...)
}

func add(to, from map[string]uint64) {
	for path, n := range from {
		to[path] += n
	}
}

// firstLines returns the first lines of an error.
func firstLines(err error, n int) string {
	lines := strings.SplitAfterN(err.Error(), "\n", n+1)
	if len(lines) > n {
		lines[n] = "…"
	}
	return strings.Join(lines, "")
}
