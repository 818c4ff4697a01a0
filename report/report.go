// Package report writes the summary of a capture as one HTML file, which shows it as the dashboard of an agent does and needs
// nothing else: no server, no other file, no network.
//
// The file has the dashboard's script and style, and the answers of an agent's API about the capture. The script finds these
// instead of a server. It shows only what is in them: the summary of the whole time, metrics in steps, the history of the first
// rows of each table, and one comparison.
//
// Its size is bounded by the tables and the number of steps, whatever the traffic: at most [MaxRows] rows a table, with the
// history of the first [MaxHistories], in at most [MaxSteps] steps. That is about 1 MB for a busy resolver. Keys are as long as
// attackers make them, 255 bytes, so the bound is about 16 MB.
package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pktvisor/metric"
	"pktvisor/minute"
)

// The bounds of a report.
const (
	// MaxRows is the number of rows of each table, and MaxHistories how many of them have a history.
	MaxRows      = 200
	MaxHistories = 50
	// MaxSteps is the number of steps of charts and histories.
	MaxSteps = 120
	// maxChanges is the number of changes.
	maxChanges = 500
	// maxLines and maxMetrics are what one request for series may have.
	maxLines, maxMetrics = 10_000 / MaxSteps, 20
)

// Config says what is reported.
type Config struct {
	// API answers the requests of an agent's API about the capture.
	API http.Handler
	// Tables are the tables of the capture's buckets.
	Tables []*metric.Table
	// From and To are the Unix times of the capture. BaseFrom and BaseTo are those of the capture with which it is compared, or
	// 0 to compare its two halves.
	From, To, BaseFrom, BaseTo int64
	// Name is the name of the capture, Base that of the one with which it is compared, and Program that of the program with its
	// version.
	Name, Base, Program string
	// Script and Style are those of the dashboard, and Licences the licences of its libraries.
	Script, Style, Licences []byte
	// World is the map of countries. A report without places does without it.
	World []byte
}

// content is what the script reads. Its members are answers of the API.
type content struct {
	Name    string                     `json:"name"`
	Base    string                     `json:"base,omitempty"`
	Program string                     `json:"program"`
	From    int64                      `json:"from_ts"`
	To      int64                      `json:"to_ts"`
	App     json.RawMessage            `json:"app"`
	Tables  json.RawMessage            `json:"tables"`
	Summary json.RawMessage            `json:"summary"`
	Series  []json.RawMessage          `json:"series"`
	History map[string]json.RawMessage `json:"history"`
	Changes json.RawMessage            `json:"changes"`
	Attack  json.RawMessage            `json:"attack,omitempty"`
}

// Write writes the report.
func Write(ctx context.Context, w io.Writer, cfg Config) error {
	c, err := collect(ctx, &cfg)
	if err != nil {
		return err
	}
	data, err := json.Marshal(c) // escapes <, > and &, so that no name can end the element
	if err != nil {
		return err
	}
	if !c.hasPlaces(cfg.Tables) {
		cfg.World = nil
	}
	return cfg.page(w, data)
}

// collect asks for everything that the report shows.
func collect(ctx context.Context, cfg *Config) (*content, error) {
	a := asker{ctx: ctx, api: cfg.API}
	c := &content{Name: cfg.Name, Base: cfg.Base, Program: cfg.Program, From: cfg.From, To: cfg.To, History: map[string]json.RawMessage{}}
	from, to := strconv.FormatInt(cfg.From, 10), strconv.FormatInt(cfg.To, 10)
	step := strconv.FormatInt(stepFor(cfg.To-cfg.From), 10)
	c.App = a.get("metrics/app")
	c.Tables = a.get("tables")
	c.Summary = a.get("metrics/range", "from", from, "to", to, "rows", strconv.Itoa(MaxRows))
	for _, names := range packs(cfg.Tables) {
		q := []string{"heat", "1", "from", from, "to", to, "step", step}
		for _, name := range names {
			q = append(q, "metric", name)
		}
		c.Series = append(c.Series, a.get("series", q...))
	}
	for table, names := range firstRows(c.Summary, cfg.Tables) {
		q := []string{"table", table, "from", from, "to", to, "step", step}
		for _, name := range names {
			q = append(q, "name", name)
		}
		c.History[table] = a.get("history", q...)
	}
	if slices.ContainsFunc(cfg.Tables, func(t *metric.Table) bool { return t.Section == "dns" }) {
		c.Attack = a.get("attack", "from", from, "to", to, "step", step)
	}
	c.Changes = a.get("changes", cfg.comparison()...)
	return c, a.err
}

// hasPlaces reports whether there are rows whose names are GeoIP locations.
func (c *content) hasPlaces(tables []*metric.Table) bool {
	for _, t := range tables {
		for i := range t.Descs {
			if t.Descs[i].Label == "geo_loc" && c.History[t.Section+"."+t.Descs[i].Path] != nil {
				return true
			}
		}
	}
	return false
}

// comparison returns the parameters of the changes: since the other capture, or from the first half to the second.
func (cfg *Config) comparison() []string {
	from, to, baseFrom, baseTo := cfg.From, cfg.To, cfg.BaseFrom, cfg.BaseTo
	if baseTo == 0 {
		from = minute.Of((cfg.From + cfg.To) / 2)
		if from == minute.Of(cfg.From) {
			from = minute.Next(cfg.From) // if there are two minutes
		}
		from = min(from, minute.Of(cfg.To-1))
		baseFrom, baseTo = cfg.From, max(from, minute.Next(cfg.From))
	}
	q := []string{"rows", strconv.Itoa(maxChanges), "measure", "per_second"}
	for name, at := range map[string]int64{"from": from, "to": to, "base_from": baseFrom, "base_to": baseTo} {
		q = append(q, name, strconv.FormatInt(at, 10))
	}
	return q
}

// stepFor returns the length of the steps for a time, in seconds.
func stepFor(length int64) int64 {
	for _, step := range []int64{60, 120, 300, 600, 900, 1800, 3600} {
		// The range is extended to whole steps, which adds up to two.
		if length/step <= MaxSteps-2 {
			return step
		}
	}
	return 86400
}

// packs distributes the metrics that have numbers over requests.
func packs(tables []*metric.Table) (all [][]string) {
	lines := maxLines
	for _, t := range tables {
		for i := range t.Descs {
			d := &t.Descs[i]
			n := len(d.Kind.Stats())
			if n == 0 || d.ShowNow {
				continue
			}
			if d.Kind == metric.KindHistogram {
				n = maxLines / 4 // for its heat map
			}
			if len(all) == 0 || lines+n > maxLines || len(all[len(all)-1]) == maxMetrics {
				all, lines = append(all, nil), 0
			}
			lines += n
			all[len(all)-1] = append(all[len(all)-1], t.Section+"."+d.Path)
		}
	}
	return all
}

// firstRows returns the names of the first rows of each table of a summary that has rows.
func firstRows(summary json.RawMessage, tables []*metric.Table) map[string][]string {
	var all map[string]map[string]json.RawMessage
	if json.Unmarshal(summary, &all) != nil {
		return nil // there is an error already
	}
	names := make(map[string][]string)
	for _, sections := range all {
		for _, t := range tables {
			for i := range t.Descs {
				var rows []struct{ Name string }
				if json.Unmarshal(memberOf(sections[t.Section], t.Descs[i].Path), &rows) != nil {
					continue
				}
				path := t.Section + "." + t.Descs[i].Path
				for _, row := range rows[:min(MaxHistories, len(rows))] {
					if row.Name != "" { // the root has no history, as it has no name that can be asked for
						names[path] = append(names[path], row.Name)
					}
				}
			}
		}
	}
	return names
}

// memberOf returns the member of an object at a path with dots, or nothing.
func memberOf(v json.RawMessage, path string) json.RawMessage {
	for name := range strings.SplitSeq(path, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(v, &object) != nil {
			return nil
		}
		v = object[name]
	}
	return v
}

// asker asks an API until there is an error.
type asker struct {
	ctx context.Context
	api http.Handler
	err error
}

// get returns the answer of a route, whose parameters are pairs of a name and a value.
func (a *asker) get(route string, pairs ...string) json.RawMessage {
	if a.err != nil {
		return nil
	}
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		q.Add(pairs[i], pairs[i+1])
	}
	r, err := http.NewRequestWithContext(a.ctx, http.MethodGet, "http://localhost/api/v1/"+route+"?"+q.Encode(), nil)
	if err != nil {
		a.err = err
		return nil
	}
	w := &answer{status: http.StatusOK, header: http.Header{}}
	a.api.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		a.err = fmt.Errorf("make the report: %s: %s", route, bytes.TrimSpace(w.body.Bytes()))
	}
	return w.body.Bytes()
}

// answer keeps the answer of a handler.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

// page writes the file. Its policy lets only the dashboard's own script and style run, and nothing load.
func (cfg *Config) page(w io.Writer, data []byte) error {
	for _, end := range []string{"</script", "<!--"} {
		if bytes.Contains(bytes.ToLower(cfg.Script), []byte(end)) {
			return fmt.Errorf("make the report: the script of the dashboard contains %q", end)
		}
	}
	if bytes.Contains(bytes.ToLower(cfg.Style), []byte("</style")) {
		return fmt.Errorf("make the report: the style of the dashboard contains an end tag")
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src '%s'; style-src '%s'; img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="%s">
<title>%s · pktvisor</title>
<link rel="icon" href="data:,">
<style>`, hash(cfg.Script), hash(cfg.Style), html.EscapeString(cfg.Program), html.EscapeString(cfg.Name))
	b.Write(cfg.Style)
	b.WriteString("</style>\n</head>\n<body>\n<div id=\"app\"></div>\n<noscript>This page needs JavaScript to show the summary that it contains.</noscript>\n<script type=\"application/json\" id=\"report\">")
	b.Write(data)
	if len(cfg.World) > 0 {
		b.WriteString("</script>\n<script type=\"application/json\" id=\"world\">")
		b.Write(cfg.World)
	}
	b.WriteString("</script>\n<pre id=\"licences\" hidden>")
	b.WriteString(html.EscapeString(string(cfg.Licences)))
	b.WriteString("</pre>\n<script>")
	b.Write(cfg.Script)
	b.WriteString("</script>\n</body>\n</html>\n")
	_, err := w.Write(b.Bytes())
	return err
}

// hash returns the source expression of a text in a Content-Security-Policy.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
