package e2e

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"pktvisor/metric"
)

// drawn is a script that notes when the page has shown something, its first numbers and its first chart, in milliseconds.
const drawn = `(() => {
	globalThis.times = {};
	const note = name => { times[name] ??= performance.now() };
	new PerformanceObserver(list => list.getEntries().forEach(e => { if (e.name === "first-contentful-paint") times.paint = e.startTime })).observe({type: "paint", buffered: true});
	new MutationObserver(() => {
		if (document.querySelector(".tiles")) note("numbers");
		if (document.querySelector("figure.chart canvas")) note("charts");
	}).observe(document, {childList: true, subtree: true});
})()`

// TestMeasure prints the figures of docs/performance.md. It needs a quiet machine, and runs only if MEASURE is set.
func TestMeasure(t *testing.T) {
	if os.Getenv("MEASURE") == "" {
		t.Skip("set MEASURE=1 to measure")
	}
	at := proxied(t, demoAgent(t), nil)
	var paint, numbers, charts []float64
	for range 5 {
		p := open(t, "about:blank", looks[0])
		call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: drawn})
		call(p, network.Enable, network.EnableParams{})
		call(p, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
		slowPhone(p)
		p.run(chromedp.Navigate(at))
		p.until("times.charts && times.paint")
		var times struct{ Paint, Numbers, Charts float64 }
		p.eval("times", &times)
		paint, numbers, charts = append(paint, times.Paint), append(numbers, times.Numbers), append(charts, times.Charts)
		p.run(chromedp.Navigate("about:blank"))
	}
	for name, list := range map[string][]float64{"paint": paint, "numbers": numbers, "charts": charts} {
		slices.Sort(list)
		t.Logf("first view on a slow phone, %s: %.0f ms, from %.0f to %.0f", name, list[len(list)/2], list[0], list[len(list)-1])
	}
}

// TestMeasureScroll prints how smoothly a table of 1,000 rows scrolls, and the CPU of a frame.
func TestMeasureScroll(t *testing.T) {
	if os.Getenv("MEASURE") == "" {
		t.Skip("set MEASURE=1 to measure")
	}
	h, _, _ := filled(5, func(top *metric.Top, _ int64) {
		for i := range 1000 {
			top.Add(fmt.Appendf(nil, "name-%04d.example.com", i), uint64(2000-i))
		}
	})
	for _, rate := range []float64{1, 4} {
		p := open(t, proxied(t, h, nil)+"#/tables?table=dns.top_qname2", looks[1])
		p.until("document.querySelectorAll('.full .row').length > 10 && document.querySelector('.full .spark')")
		call(p, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: rate})
		call(p, performance.Enable, performance.EnableParams{TimeDomain: "threadTicks"})
		before := cpu(p)
		var frames []float64
		began := time.Now()
		p.eval(`new Promise(done => {
			const grid = document.querySelector(".grid"), out = [];
			let last;
			const step = now => {
				if (last !== undefined) out.push(now - last);
				last = now;
				grid.scrollTop += 60;
				if (out.length < 400) requestAnimationFrame(step); else done(out);
			};
			requestAnimationFrame(step);
		})`, &frames)
		var rows int
		p.eval("Number(document.querySelector('.grid').getAttribute('aria-rowcount'))", &rows)
		late := 0
		for _, ms := range frames {
			if ms > 25 {
				late++
			}
		}
		each := (cpu(p) - before) / float64(len(frames))
		slices.Sort(frames)
		t.Logf("CPU of a frame: %.1f ms", each)
		t.Logf("scrolling %d rows, CPU slowed %g times: %.1f frames a second, median %.1f ms, p95 %.1f ms, %d of %d frames missed", rows, rate, float64(len(frames))/time.Since(began).Seconds(), frames[len(frames)/2], frames[len(frames)*95/100], late, len(frames))
	}
}

// TestMeasureCPU prints the CPU of the page's main thread, which other load on the machine changes less than times.
func TestMeasureCPU(t *testing.T) {
	if os.Getenv("MEASURE") == "" {
		t.Skip("set MEASURE=1 to measure")
	}
	h := demoAgent(t)
	hold := make(chan struct{})
	at := proxied(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/series") {
			select {
			case <-hold:
			case <-r.Context().Done():
				return
			}
		}
		h.ServeHTTP(w, r)
	}), nil)
	var numbers, charts []float64
	for range 9 {
		hold = make(chan struct{})
		p := open(t, "about:blank", looks[0])
		call(p, performance.Enable, performance.EnableParams{TimeDomain: "threadTicks"})
		call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: drawn})
		before := cpu(p)
		p.run(chromedp.Navigate(at))
		p.until("times.numbers")
		numbers = append(numbers, cpu(p)-before)
		close(hold)
		p.until("times.charts")
		charts = append(charts, cpu(p)-before)
		p.run(chromedp.Navigate("about:blank"))
	}
	slices.Sort(numbers)
	slices.Sort(charts)
	t.Logf("CPU of the first view: numbers %.0f ms (from %.0f), charts %.0f ms (from %.0f)", numbers[4], numbers[0], charts[4], charts[0])
}

// cpu returns the CPU of the tab's main thread, in milliseconds.
func cpu(p *page) (ms float64) {
	for _, m := range call(p, performance.GetMetrics, cdp.Empty{}).Metrics {
		if m.Name == "TaskDuration" {
			ms = 1000 * m.Value
		}
	}
	return ms
}

// slowPhone makes the tab as slow as Lighthouse's mobile profile: 1.6 Mb/s, 150 ms for each request, a CPU of a quarter.
func slowPhone(p *page) {
	call(p, emulation.SetCPUThrottlingRate, emulation.SetCPUThrottlingRateParams{Rate: 4})
	rule := &network.Conditions{Latency: 150, DownloadThroughput: 1.6e6 / 8, UploadThroughput: 750e3 / 8}
	call(p, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: []*network.Conditions{rule}})
}
