package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"pktvisor/internal/testkit"
)

// the browser that all tests share, each with tabs of its own.
var shared struct {
	once sync.Once
	ctx  context.Context
	err  error
	end  []func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range shared.end {
		end()
	}
	os.Exit(code)
}

// browser returns the context of the shared browser, or skips the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("this test starts a browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("this test needs chromium")
	}
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "pktvisor-browser-")
		if err != nil {
			shared.err = err
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath("chromium"), chromedp.UserDataDir(dir), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(time.Minute))
		allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, endBrowser := chromedp.NewContext(allocator)
		shared.ctx, shared.end = ctx, []func(){endBrowser, endAllocator, func() { os.RemoveAll(dir) }}
		_, shared.err = chromedp.Run(ctx, chromedp.Title())
	})
	if shared.err != nil {
		t.Skipf("chromium does not run here: %v", shared.err)
	}
	return shared.ctx
}

// page is a tab. Errors of scripts, in the console and of the policy of contents fail the test.
type page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	expected []string // parts of problems that are part of the test
}

// look is how the page is looked at.
type look struct {
	width, height int64
	dark          bool
}

func (l look) String() string { return fmt.Sprintf("%d px, dark %v", l.width, l.dark) }

// open opens a page in a new tab.
func open(t *testing.T, url string, l look) *page {
	t.Helper()
	ctx, end := chromedp.NewContext(browser(t))
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	p := &page{t: t, ctx: ctx}
	t.Cleanup(func() {
		p.mu.Lock()
		for _, problem := range p.problems {
			if !p.expects(problem) {
				t.Errorf("%s: %s", url, problem)
			}
		}
		p.mu.Unlock()
		cancel()
		end()
	})
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b, _ := json.Marshal(e)
			p.problem(string(b))
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
				b, _ := json.Marshal(e)
				p.problem(string(b))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
				p.problem(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	p.run(chromedp.Navigate(url))
	return p
}

func (p *page) problem(text string) {
	p.mu.Lock()
	p.problems = append(p.problems, text)
	p.mu.Unlock()
}

func (p *page) expects(problem string) bool {
	for _, part := range p.expected {
		if strings.Contains(problem, part) {
			return true
		}
	}
	return false
}

func (p *page) run(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// call calls a command of the protocol.
func call[P, R any](p *page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	r, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// eval stores the value of an expression, or of what it promises. Into may be nil.
func (p *page) eval(expression string, into any) {
	p.t.Helper()
	if into == nil {
		expression = "(" + expression + ", true)"
	}
	b, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]byte](expression, chromedp.EvalAwaitPromise, chromedp.EvalAsValue))
	if err != nil {
		p.t.Fatalf("%.300s: %v", expression, err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(b, into); err != nil {
		p.t.Fatalf("%.300s: %v: %.300s", expression, err, b)
	}
}

// until waits until a condition holds.
func (p *page) until(condition string) {
	p.t.Helper()
	defer func() {
		if p.t.Failed() {
			p.t.Logf("the page is at %s: %.1000s", p.text("title"), p.text("#app"))
		}
	}()
	testkit.Eventually(p.t, condition, func() bool {
		var ok bool
		p.eval("Boolean("+condition+")", &ok)
		return ok
	})
}

// text returns the text of the first element that a selector matches.
func (p *page) text(selector string) (text string) {
	p.t.Helper()
	p.eval(fmt.Sprintf("document.querySelector(%q)?.textContent ?? '(nothing)'", selector), &text)
	return text
}

// press presses a key.
func (p *page) press(key string) {
	p.t.Helper()
	p.run(chromedp.KeyEvent(key))
}
