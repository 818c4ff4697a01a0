// Pktvisor is the terminal UI of pktvisord: top for your network and DNS. This package holds its flags and wiring. The
// UI is in package ui.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"pktvisor/access"
	"pktvisor/api"
	"pktvisor/internal/manual"
	"pktvisor/internal/program"
	"pktvisor/internal/version"
	"pktvisor/ui"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	stop()
	if err == nil {
		return
	}
	program.PrintError(os.Stderr, "pktvisor", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

// errUsage is joined to errors of the command line.
var errUsage = errors.New("see pktvisor --help")

// answerTimeout is how long an agent may take for one answer.
const answerTimeout = 5 * time.Second

// config is the command line.
type config struct {
	host    string
	port    int
	url     string
	trust   access.Trust
	token   string
	basic   string
	refresh time.Duration
	window  int
	width   int
	ascii   bool
	theme   string
	utc     bool
	tags    []string
	node    string
	policy  string
	tap     string
	handler string
	once    bool
	json    bool
}

// run runs the program. Only the exit code is left to main.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	var c config
	flags := c.flags()
	if manual.Asked(args) {
		text, err := describe(flags, args[1])
		if err != nil {
			return errors.Join(err, errUsage)
		}
		_, err = fmt.Fprint(stdout, text)
		return err
	}
	if err := flags.Parse(args); err != nil {
		return errors.Join(err, errUsage)
	}
	switch {
	case flags.Changed("help"):
		_, err := fmt.Fprint(stdout, usageHead+flags.FlagUsages()+usageTail)
		return err
	case flags.Changed("version"):
		_, err := fmt.Fprintln(stdout, "pktvisor", version.String())
		return err
	}
	if err := c.check(flags); err != nil {
		return errors.Join(err, errUsage)
	}
	client, err := c.client(os.Getenv)
	if err != nil {
		return errors.Join(err, errUsage)
	}
	o := ui.Options{Agent: client, Of: func(s api.Selection) ui.Agent { return client.Of(s) },
		Selection: api.Selection{Tags: c.tags, Host: c.node, Policy: c.policy, Tap: c.tap, Handler: c.handler}, Refresh: c.refresh, Window: c.window, ASCII: c.ascii, Theme: themeOf(c.theme, os.Getenv("COLORFGBG"))}
	if c.utc {
		o.Zone = time.UTC
	}
	switch {
	case c.json:
		return ui.JSON(ctx, o, stdout)
	case c.once:
		return ui.Once(ctx, o, c.width, stdout)
	case !isTerminal(stdin) || !isTerminal(stdout):
		return errors.Join(errors.New("not on a terminal: use --once for text or --json for data"), errUsage)
	}
	return ui.Run(ctx, o, stdin, stdout)
}

const (
	usageHead = `Usage:
  pktvisor [options] [URL]
  pktvisor completion bash|zsh|fish|man

Shows what a pktvisord agent (or a hub) sees, like top for network and DNS.
URL, such as http://192.0.2.1:10853, replaces -H and -p.
"completion" prints the completions for a shell, or this page as a manual page.

Options:
`
	usageTail = `
In the UI, ? shows the keys. NO_COLOR=1 turns colours off.
`
)

// check checks the options and the URL, and reports every problem at once.
func (c *config) check(flags *pflag.FlagSet) error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.port < 1 || c.port > 65535 {
		bad("--port %d: must be 1 to 65535", c.port)
	}
	if c.refresh < 200*time.Millisecond || c.refresh > time.Minute {
		bad("--refresh %s: must be 0.2s to 1m", c.refresh)
	}
	if c.window < 1 || c.window > 1440 {
		bad("--window %d: must be 1 to 1440", c.window)
	}
	if c.width < 40 || c.width > 1000 {
		bad("--width %d: must be 40 to 1000", c.width)
	}
	if c.theme != "auto" && c.theme != "dark" && c.theme != "light" {
		bad("--theme %s: must be auto, dark or light", c.theme)
	}
	c.checkSelection(bad)
	host := strings.TrimSuffix(strings.TrimPrefix(c.host, "["), "]")
	if host == "" {
		bad("--host: must not be empty")
	}
	c.url = "http://" + net.JoinHostPort(host, strconv.Itoa(c.port))
	if strings.HasPrefix(host, unixPrefix) {
		c.url = host
	}
	switch rest := flags.Args(); {
	case len(rest) > 1:
		bad("give one URL, not %d arguments", len(rest))
	case len(rest) == 1:
		if flags.Changed("host") || flags.Changed("port") {
			bad("give a URL or -H and -p, not both")
		}
		c.url = rest[0]
		if !strings.Contains(c.url, "://") && !strings.HasPrefix(c.url, unixPrefix) {
			c.url = "http://" + c.url
		}
	}
	if c.trust != (access.Trust{}) && !strings.HasPrefix(c.url, "https://") {
		bad("--cacert, --cert, --key and --insecure need an https URL")
	}
	if c.trust.CAFile != "" && c.trust.Insecure {
		bad("--cacert trusts some certificates, --insecure trusts all: give only one")
	}
	if (c.trust.CertFile == "") != (c.trust.KeyFile == "") {
		bad("--cert and --key: give both")
	}
	if c.token != "" && c.basic != "" {
		bad("--token-file and --basic-file: give one of them")
	}
	return errors.Join(problems...)
}

// checkSelection checks what is selected of a fleet.
func (c *config) checkSelection(bad func(format string, args ...any)) {
	for _, tag := range c.tags {
		if key, value, ok := strings.Cut(tag, "="); !ok || key == "" || value == "" {
			bad("--tag %.100q: give key=value, for example pop=ams1", tag)
		}
	}
	if len(c.tags) > maxTags {
		bad("--tag: %d tags: give at most %d", len(c.tags), maxTags)
	}
	if max(len(c.node), len(c.policy), len(c.tap), len(c.handler)) > maxName {
		bad("--node, --policy, --tap and --handler: a name has at most %d bytes", maxName)
	}
	if c.tap != "" && c.policy == "" {
		bad("--tap: give --policy, too")
	}
	if c.handler != "" && c.policy == "" {
		bad("--handler: give --policy, too")
	}
}

// The bounds of what is selected, so that it fits into a URL.
const (
	maxTags = 16
	maxName = 255
)

// unixPrefix begins the URL of an agent on a Unix socket.
const unixPrefix = "unix:"

// tokenEnv is the environment variable with the token, if there is no file with it. A flag would show the token to other
// users.
const tokenEnv = "PKTVISOR_TOKEN"

// client returns the client of the agent or hub.
func (c *config) client(env func(string) string) (*api.Client, error) {
	var secure *tls.Config // nil: what the system trusts
	var auth *access.Auth
	var err error
	if c.trust != (access.Trust{}) {
		if secure, err = c.trust.Config("--cacert", "--cert"); err != nil {
			return nil, err
		}
	}
	switch {
	case c.token != "":
		if auth, err = access.BearerFile(c.token); err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
	case c.basic != "":
		if auth, err = access.BasicFile(c.basic); err != nil {
			return nil, fmt.Errorf("--basic-file: %w", err)
		}
	case env(tokenEnv) != "":
		if auth, err = access.Bearer(env(tokenEnv)); err != nil {
			return nil, fmt.Errorf("%s in the environment: %w", tokenEnv, err)
		}
	}
	return api.NewClient(c.url, answerTimeout, secure, auth)
}

// themeOf returns the theme that the user asked for. With auto, it returns a guess from COLORFGBG, which is used until
// the terminal reports its background. The last number in COLORFGBG is the background, one of the sixteen colours.
func themeOf(asked, colorFGBG string) ui.Theme {
	switch asked {
	case "dark":
		return ui.Dark
	case "light":
		return ui.Light
	}
	n, err := strconv.Atoi(colorFGBG[strings.LastIndexByte(colorFGBG, ';')+1:])
	switch {
	case err != nil || n < 0 || n > 15:
		return ui.AskTerminal
	case n == 7 || n > 8:
		return ui.GuessLight
	}
	return ui.GuessDark
}

// asciiOnly reports whether the terminal is known not to show UTF-8, judging by the locale and the terminal's name.
// Without a locale, as in a container, the terminal is assumed to be modern.
func asciiOnly(env func(string) string) bool {
	switch env("TERM") {
	case "dumb", "ansi", "vt52", "vt100", "vt102", "vt220":
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(name)); v != "" {
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}

// outputWidth returns the width of plain text: the value of COLUMNS, which watch and shells set, or the width of the
// original's screen.
func outputWidth(env func(string) string) int {
	if n, err := strconv.Atoi(env("COLUMNS")); err == nil && n >= 40 && n <= 1000 {
		return n
	}
	return 160
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
