package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/pflag"

	"pktvisor/api"
	"pktvisor/internal/manual"
)

// flags returns the flags that fill c, and help and version.
func (c *config) flags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("pktvisor", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVarP(&c.host, "host", "H", "localhost", "host of the agent or hub, or unix:PATH for a Unix socket")
	flags.IntVarP(&c.port, "port", "p", api.DefaultPort, "port of the agent or hub")
	flags.StringVar(&c.token, "token-file", "", "send the token in this `FILE` (default: "+tokenEnv+" in the\nenvironment)")
	flags.StringVar(&c.basic, "basic-file", "", "send the USER:PASSWORD in this `FILE`")
	flags.StringVar(&c.trust.CAFile, "cacert", "", "for an https URL, trust the certificates in this `FILE` (PEM)")
	flags.StringVar(&c.trust.CertFile, "cert", "", "for an https URL, show the client certificate in this `FILE` (PEM)")
	flags.StringVar(&c.trust.KeyFile, "key", "", "`FILE` with its key (PEM)")
	flags.BoolVar(&c.trust.Insecure, "insecure", false, "for an https URL, trust any certificate")
	flags.StringSliceVar(&c.tags, "tag", nil, "of a hub, show only the agents with these `tags` (comma\nseparated). Values of one key add up, and other keys\nrestrict: pop=ams1,pop=fra1,role=auth")
	flags.StringVar(&c.node, "node", "", "of a hub, show only the agent with this `name`")
	flags.StringVar(&c.policy, "policy", "", "of an agent or hub with several, show this `policy`")
	flags.StringVar(&c.tap, "tap", "", "of a policy of an agent with several taps, show this `tap`")
	flags.StringVar(&c.handler, "handler", "", "of a policy of an agent with several handlers of a type,\nshow that of this `name`")
	flags.DurationVar(&c.refresh, "refresh", time.Second, "time between two refreshes (0.2s to 1m)")
	flags.IntVar(&c.window, "window", 5, "minutes in the window (1 to 1440)")
	flags.BoolVar(&c.once, "once", false, "print the overview as plain text and exit")
	flags.BoolVar(&c.json, "json", false, "print the window as JSON and exit")
	flags.IntVar(&c.width, "width", outputWidth(os.Getenv), "with --once: width in characters (40 to 1000)")
	flags.BoolVar(&c.ascii, "ascii", asciiOnly(os.Getenv), "draw with ASCII characters only")
	flags.StringVar(&c.theme, "theme", "auto", "colours for a `dark|light` background, or auto: ask the\nterminal, else use COLORFGBG")
	flags.BoolVar(&c.utc, "utc", false, "show times in UTC")
	flags.BoolP("help", "h", false, "show this help")
	flags.Bool("version", false, "show the version")
	return flags
}

// describe returns the completions for a shell, or the manual page.
func describe(flags *pflag.FlagSet, kind string) (string, error) {
	p := manual.Program{
		Name: "pktvisor", Section: 1, Summary: "show what a pktvisord agent or a hub sees", Usage: usageHead, Flags: flags,
		Commands: []manual.Command{manual.Completion()},
	}
	return p.Write(kind)
}
