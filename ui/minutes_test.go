package ui

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// keeper is an agent that keeps finished minutes and records which ones are requested.
type keeper struct {
	fakeAgent
	newest int64 // the start of the newest finished minute
	kept   int   // how many finished minutes it has
	asked  []int // which of them were requested
}

func (a *keeper) App(context.Context) (api.App, error) {
	return api.ParseApp(fmt.Appendf(nil, `{"app":{"version":"1.0.0","periods":%d}}`, a.kept+1))
}

func (a *keeper) Bucket(_ context.Context, k, _ int) (api.Summary, error) {
	a.asked = append(a.asked, k)
	if k > a.kept {
		return api.Summary{}, &api.Error{Kind: api.Status, Status: 404}
	}
	return api.ParseSummary(fmt.Appendf(nil, `{"1m":{"period":{"start_ts":%d,"length":60},"packets":{"total":1}}}`, a.newest-60*int64(k-1)))
}

// page makes the model ask for finished minutes once.
func page(m Model) Model { return after(m, m.askMinutes()()) }

// checkMinutes fails the test unless the model has n finished minutes: the agent's newest and each one before it.
func checkMinutes(t *testing.T, m Model, a *keeper, n int) {
	t.Helper()
	if len(m.minutes) != n {
		t.Fatalf("%d minutes are known, want %d", len(m.minutes), n)
	}
	for i, x := range m.minutes {
		if want := a.newest - 60*int64(i); x.start != want {
			t.Fatalf("minute %d starts at %d, want %d: %d minutes are skipped", i, x.start, want, (want-x.start)/60)
		}
	}
}

// TestHistoryPages: the terminal fetches the history page by page. No page skips a minute, even if minutes end
// meanwhile.
func TestHistoryPages(t *testing.T) {
	for _, ending := range []int{0, 1, 3} { // how many minutes end between two pages
		a := &keeper{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, newest: clock.Unix(), kept: 59}
		m := New(t.Context(), Options{Agent: a, Zone: time.UTC})
		m = after(m, m.ask()())
		pages := 0
		for ; !m.minutesEnd; pages++ {
			if pages == 20 {
				t.Fatalf("%d minutes are known after %d pages", len(m.minutes), pages)
			}
			before := len(a.asked)
			m = page(m)
			if n := len(a.asked) - before; n > 15 {
				t.Errorf("one page takes %d requests", n)
			}
			checkMinutes(t, m, a, len(m.minutes))
			a.newest += 60 * int64(ending)
		}
		m = page(m)
		checkMinutes(t, m, a, 59+ending)
	}
}

// TestHistoryCostsNoMoreThanItMust: while there is nothing new, the terminal requests one finished minute.
func TestHistoryCostsNoMoreThanItMust(t *testing.T) {
	a := &keeper{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, newest: clock.Unix(), kept: 59}
	m := New(t.Context(), Options{Agent: a, Zone: time.UTC})
	m = after(m, m.ask()())
	for !m.minutesEnd {
		m = page(m)
	}
	a.asked = nil
	if m = page(m); !slices.Equal(a.asked, []int{1}) {
		t.Errorf("nothing is new: asked for %v", a.asked)
	}
	a.newest, a.asked = a.newest+120, nil
	if m = page(m); !slices.Equal(a.asked, []int{1, 2, 3}) {
		t.Errorf("two minutes have ended: asked for %v", a.asked)
	}
	checkMinutes(t, m, a, 61)
}

// TestHistoryAfterAnOutage: minutes that ended while the agent could not be reached are all fetched when it is back.
func TestHistoryAfterAnOutage(t *testing.T) {
	a := &keeper{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, newest: clock.Unix(), kept: 59}
	m := New(t.Context(), Options{Agent: a, Zone: time.UTC})
	m = after(m, m.ask()())
	for !m.minutesEnd {
		m = page(m)
	}
	a.newest += 60 * 40
	for range 6 {
		m = page(m)
	}
	checkMinutes(t, m, a, 99)
	if !m.minutesEnd {
		t.Error("the terminal still looks for older minutes")
	}
}

// windowAsked is a request for a window, with the time of the bubble.
type windowAsked struct {
	n  int
	at time.Duration
}

// answering is an agent that takes a while to answer.
type answering struct {
	keeper
	took  time.Duration
	since time.Time

	mu    sync.Mutex
	asked []windowAsked
}

func (a *answering) Window(ctx context.Context, n, rows int) (api.Summary, error) {
	a.mu.Lock()
	a.asked = append(a.asked, windowAsked{n, time.Since(a.since)})
	a.mu.Unlock()
	time.Sleep(a.took)
	return a.fakeAgent.Window(ctx, n, rows)
}

// pressLater runs a model and its commands for a while, and presses a key at the given time. It returns when all commands have
// ended, because a bubble whose test has ended has no time for them.
func pressLater(m Model, key string, at, end time.Duration) {
	msgs := make(chan tea.Msg, 1000)
	var running sync.WaitGroup
	defer running.Wait()
	var start func(tea.Cmd)
	start = func(cmd tea.Cmd) {
		if cmd == nil {
			return
		}
		running.Go(func() {
			switch msg := cmd().(type) {
			case tea.BatchMsg:
				for _, c := range msg {
					start(c)
				}
			default:
				msgs <- msg
			}
		})
	}
	start(m.Init())
	time.AfterFunc(at, func() { msgs <- keyPress(key) })
	for over := time.After(end); ; {
		select {
		case msg := <-msgs:
			next, cmd := m.Update(msg)
			m = next.(Model)
			start(cmd)
		case <-over:
			return
		}
	}
}

// TestChangedWindowIsAskedForAtOnce: a window that the user chooses is requested at once. If a request is pending, it
// is requested when that one is answered. It does not wait for the next refresh.
func TestChangedWindowIsAskedForAtOnce(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		took time.Duration
		key  time.Duration // when the key is pressed
		want []windowAsked
	}{
		{"between two requests", 0, 13_500 * ms, []windowAsked{{5, 0}, {5, 10_000 * ms}, {10, 13_500 * ms}, {10, 23_000 * ms}}},
		{"while a request is pending", 2 * time.Second, 11_500 * ms, []windowAsked{{5, 0}, {5, 10_000 * ms}, {10, 12_000 * ms}, {10, 22_000 * ms}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := &answering{keeper: keeper{fakeAgent: fakeAgent{data: dataSetNamed("busy")}, newest: clock.Unix(), kept: 59}, took: c.took, since: time.Now()}
			m := New(t.Context(), Options{Agent: a, Refresh: 10 * time.Second, Zone: time.UTC})
			pressLater(m, "w", c.key, 24*time.Second)
			a.mu.Lock()
			defer a.mu.Unlock()
			if !slices.Equal(a.asked, c.want) {
				t.Errorf("%s: asked for %v, want %v", c.name, a.asked, c.want)
			}
		})
	}
}
