// Package ui is the terminal UI: top for your network and DNS.
//
// It is one value, Model, and three functions: Init, Update (a message gives the
// next Model) and View (a Model gives a screen). Requests to the agent are
// commands that Bubble Tea runs; they come back as messages. So every state and
// every screen can be tested as a value, without a terminal.
//
// The way of a frame: panels says what a view holds, plan says where each part
// goes at this size, the draw functions write into a grid of cells (screen), and
// a theme turns that into escape sequences. Nothing that an agent says reaches
// the terminal but through clean and screen.put, which let only harmless runes
// of known width pass.
//
// What is not known is shown as a dash, never as zero. When the agent is away,
// the last data stays, marked stale, and the link tries again by itself.
//
// Run owns the terminal and restores it on every way out. Model is not safe for
// concurrent use, and needs not be.
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

// Agent is what the UI asks: an agent or a hub. *api.Client is one.
type Agent interface {
	Host() string
	Window(ctx context.Context, n, rows int) (api.Summary, error)
	Bucket(ctx context.Context, k, rows int) (api.Summary, error)
	Rates(ctx context.Context) (api.Rates, error)
	App(ctx context.Context) (api.App, error)
	Tables(ctx context.Context) (api.Tables, error)
}

// Options says what to show and how. The zero value of each field but Agent
// means its default.
type Options struct {
	Agent   Agent
	Refresh time.Duration  // between two answers; default a second
	Window  int            // minutes in the window; default 5
	ASCII   bool           // draw with ASCII only
	Theme   Theme          // for which background; default is to ask the terminal
	Zone    *time.Location // of the times shown; default local
}

// Theme is the background that the colours are for.
type Theme uint8

// The terminal is asked for its background unless a theme is given. Dark and light, if
// guessed, are what is assumed until it answers, and where it does not.
const (
	AskTerminal Theme = iota
	Dark
	Light
	GuessDark
	GuessLight
)

// ErrInternal is what Run fails with when the UI itself went wrong.
var ErrInternal = errors.New("internal error")

// Run shows the UI until the person quits or ctx ends. The terminal is as it was
// before when it returns.
func Run(ctx context.Context, o Options, stdin io.Reader, stdout io.Writer) error {
	guard := &guard{Model: New(ctx, o)}
	// Signals end ctx. A second handler that also ended the program could block it:
	// it sends to a loop that has gone.
	_, err := tea.NewProgram(guard, tea.WithContext(ctx), tea.WithoutSignalHandler(),
		tea.WithInput(stdin), tea.WithOutput(stdout), tea.WithFPS(30)).Run()
	switch {
	case guard.crash != nil:
		return guard.crash
	case errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("terminal: %w", err)
	}
	return nil
}

// guard keeps a mistake of ours from filling the operator's terminal with a stack
// trace: the UI ends with one line that says where the trace is.
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
		_ = f.Close() // it is for a report; there is nobody left to tell
	}
	return fmt.Errorf("%w: %v; %s", ErrInternal, r, where)
}
