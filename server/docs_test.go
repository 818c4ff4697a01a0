package server

import (
	"fmt"
	"strings"
	"testing"

	"pktvisor/agent"
	"pktvisor/internal/testkit"
	"pktvisor/web"
)

const prometheusHead = `# Prometheus metrics

This page is generated from the code (` + "`go test ./server -update`" + `). It lists the metrics of ` + "`/metrics`" + `, in addition to the usual ` + "`go_*` and `process_*`" + `.
[api.md](api.md) explains which time each covers: everything since the start, a second, or a minute.

| name | type | labels | description |
|---|---|---|---|
`

// TestPrometheusDoc checks that docs/prometheus.md matches the collector.
func TestPrometheusDoc(t *testing.T) {
	doc := []byte(prometheusHead)
	row := func(name, kind, label, help string) {
		if label != "" {
			label = "`" + label + "`"
		}
		doc = fmt.Appendf(doc, "| `%s` | %s | %s | %s |\n", name, kind, label, strings.ReplaceAll(help, "|", "\\|"))
	}
	for _, table := range agent.Tables {
		for i := range table.Descs {
			d := &table.Descs[i]
			for _, f := range d.Families() {
				help := f.Help
				if f.Beside != "" {
					help = f.Beside
				} else if d.Group != "" {
					help += " Group " + d.Group + "."
				}
				row(f.Name, f.Type.String(), f.Label, help)
			}
		}
	}
	for _, m := range ownMetrics(agent.SourceTable) {
		row(m.Name, m.Type.String(), strings.Join(m.Labels, "`, `"), m.Help)
	}
	for _, m := range budgetMetrics {
		row(m.family.Name(), m.family.Type().String(), "", m.help)
	}
	testkit.Golden(t, "../docs/prometheus.md", doc)
}

// TestPageIsInert: names from the network must not become markup.
func TestPageIsInert(t *testing.T) {
	for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "http://", "https://"} {
		for name, text := range pages() {
			if strings.HasSuffix(name, ".txt") {
				continue
			}
			// The name of SVG elements is a URL that is never requested.
			if strings.Contains(strings.ReplaceAll(text, "http://www.w3.org/", ""), word) && !(strings.HasSuffix(name, "app.js") && word == "innerHTML") {
				t.Errorf("%s has %s", name, word)
			}
		}
	}
}

// TestRelativeLinks: the pages work behind a path prefix that they do not know.
func TestRelativeLinks(t *testing.T) {
	p, err := docsPage()
	if err != nil {
		t.Fatal(err)
	}
	all := pages()
	all["docs"] = string(p.body)
	for name, text := range all {
		for _, absolute := range []string{`href="/`, `src="/`, `"/api`, `"/metrics`, "url(/", "`/"} {
			if strings.Contains(text, absolute) {
				t.Errorf("%s has %s", name, absolute)
			}
		}
	}
}

// pages returns the dashboard and its files by name.
func pages() map[string]string {
	all := map[string]string{"index.html": string(web.Index("x"))}
	for _, f := range web.Files() {
		all[f.Path] = string(f.Body)
	}
	return all
}
