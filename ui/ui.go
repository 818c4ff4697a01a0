// Package ui is the terminal UI: top for your network and DNS.
//
// The UI is one value, Model, with three functions: Init, Update (returns the next Model after a message) and View
// (returns the screen of a Model). Requests to the agent are commands that Bubble Tea runs. Their results come back as
// messages. So every state and every screen can be tested as a value, without a terminal.
//
// A frame is drawn in these steps: panels lists the content of a view, plan arranges it for the screen's size, the draw
// functions write into a grid of cells (screen), and a theme turns that into escape sequences. All text from an agent
// passes through clean and screen.put before it reaches the terminal. They accept only harmless runes of known width.
//
// Unknown values are shown as a dash, never as zero. When the agent cannot be reached, the last data stays on the
// screen, marked stale, and the link retries by itself.
//
// Run owns the terminal and restores it however it ends. Model is not safe for concurrent use, and does not need to be.
package ui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	tea "charm.land/bubbletea/v2"

	"pktvisor/api"
)

// Agent is the source of the data: an agent or a hub. *api.Client implements it.
type Agent interface {
	Host() string
	Window(ctx context.Context, n, rows int) (api.Summary, error)
	Bucket(ctx context.Context, k, rows int) (api.Summary, error)
	Rates(ctx context.Context) (api.Rates, error)
	App(ctx context.Context) (api.App, error)
	Tables(ctx context.Context) (api.Tables, error)
	Explorer
}

// Explorer is what a hub answers beyond the summaries. An agent has only some of it, and answers 404 to the rest.
type Explorer interface {
	Fleet(ctx context.Context, q api.FleetQuery) (api.FleetState, error)
	Range(ctx context.Context, from, to int64, rows int) (api.Summary, error)
	Series(ctx context.Context, q api.SeriesQuery) (api.Series, error)
	Changes(ctx context.Context, q api.ChangesQuery) (api.Changes, error)
	Attack(ctx context.Context, q api.AttackQuery) (api.Attack, error)
}

// Options says what to show and how. Agent is required. For each other field, the zero value means its default.
type Options struct {
	Agent   Agent
	Refresh time.Duration // time between two requests; default one second
	Window  int           // minutes in the window; default 5
	ASCII   bool          // draw with ASCII only
	// Selection is the part of a hub's fleet that is shown first. The zero value is everything. An agent that is not a hub
	// is then an error.
	Selection api.Selection
	// Of returns the source of a part of the fleet. Without it, no other part than that of Agent can be shown.
	Of    func(api.Selection) Agent
	Theme Theme          // the background of the terminal; default is to ask the terminal
	Zone  *time.Location // time zone of the times shown; default local
}

// Theme is the background for which the colours are chosen.
type Theme uint8

// The terminal is asked for its background unless the theme is Dark or Light. GuessDark and GuessLight are used until
// the terminal answers, and if it never does.
const (
	AskTerminal Theme = iota
	Dark
	Light
	GuessDark
	GuessLight
)

// ErrInternal is the error of Run if the UI has a bug.
var ErrInternal = errors.New("internal error")

// Run shows the UI until the user quits or ctx ends. It restores the terminal before it returns.
func Run(ctx context.Context, o Options, stdin io.Reader, stdout io.Writer) error {
	guard := &guard{Model: New(ctx, o)}
	// Signals end ctx. A second signal handler in Bubble Tea could block the exit, because it sends to a loop that has
	// ended.
	_, err := tea.NewProgram(guard, tea.WithContext(ctx), tea.WithoutSignalHandler(),
		tea.WithInput(stdin), tea.WithOutput(stdout), tea.WithFPS(30)).Run()
	switch {
	case guard.crash != nil:
		return guard.crash
	case guard.refused != nil:
		return guard.refused
	case errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("terminal: %w", err)
	}
	return nil
}

// guard keeps a bug of the UI from filling the user's terminal with a stack trace. The UI ends with a one-line error
// that names the file with the trace.
type guard struct {
	Model
	crash error
}

func (g *guard) Update(msg tea.Msg) (_ tea.Model, cmd tea.Cmd) {
	defer func() {
		if r := recover(); r != nil {
			g.crash, cmd = crash(r), tea.Quit
		}
	}()
	if g.crash != nil {
		return g, tea.Quit
	}
	next, cmd := g.Model.Update(msg)
	g.Model = next.(Model)
	return g, cmd
}

func (g *guard) View() (v tea.View) {
	defer func() {
		if r := recover(); r != nil {
			g.crash = crash(r) // the next message ends the program
			v = tea.NewView("")
		}
	}()
	return g.Model.View()
}

func crash(r any) error {
	where := "no file could be written for the trace"
	if f, err := os.CreateTemp("", "pktvisor-crash-*.txt"); err == nil {
		fmt.Fprintf(f, "%v\n\n%s", r, debug.Stack())
		where = "trace in " + f.Name()
		_ = f.Close() // the trace is optional, so an error here is ignored
	}
	return fmt.Errorf("%w: %v; %s", ErrInternal, r, where)
}
