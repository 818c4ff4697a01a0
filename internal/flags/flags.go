// Package flags declares the command-line flags that several programs have.
package flags

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"

	"pktvisor/policy"
	"pktvisor/sandbox"
)

// Access adds the flags that fill a.
func Access(f *pflag.FlagSet, a *policy.Access) {
	f.StringVar(&a.Cert, "tls-cert", a.Cert, "serve HTTPS with the certificate chain in this `FILE` (PEM)")
	f.StringVar(&a.Key, "tls-key", a.Key, "`FILE` with its key (PEM)")
	f.StringVar(&a.ClientCA, "tls-client-ca", a.ClientCA, "accept only clients with a certificate of the authorities in this\n`FILE` (PEM)")
	f.StringVar(&a.AuthFile, "auth-file", a.AuthFile, "accept only the tokens and passwords in this `FILE`: one\n\"ROLE NAME HASH\" a line")
	f.StringSliceVar(&a.Origins, "http-origin", a.Origins, "let the pages of these `origins` (comma separated) read the answers\n(CORS). Example: https://grafana.example")
}

// AccessName returns the flag that fills a field of [policy.Access], by its path.
func AccessName(field string) string {
	name := strings.TrimPrefix(field, "access.")
	if name == "http_origins" {
		name = "http_origin"
	}
	return "--" + strings.ReplaceAll(name, "_", "-")
}

// Sandbox adds the flags that fill o.
func Sandbox(f *pflag.FlagSet, o *sandbox.Options) {
	f.StringVar(&o.User, "user", "", "as root, become the user of this `NAME` or number once everything is\nopen (default: "+sandbox.DefaultUser+")")
	f.BoolVar(&o.Off, "no-sandbox", false, "keep all rights: do not change the user, drop capabilities, or confine\nfiles, networks and system calls")
	f.BoolVar(&o.Require, "require-sandbox", false, "fail if a part of that is missing")
}

// CheckSandbox returns the mistakes in what they fill.
func CheckSandbox(o *sandbox.Options) error {
	if o.Off && o.Require {
		return errors.New("--no-sandbox and --require-sandbox: give one of them")
	}
	if o.Off && o.User != "" {
		return errors.New("--user: not with --no-sandbox")
	}
	return nil
}
