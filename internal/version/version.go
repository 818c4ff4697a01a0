// Package version knows the version of the programs.
package version

import (
	"cmp"
	"runtime/debug"
)

// Release is the version of the product.
const Release = "0.1.0"

// Commit is what the build was made of, in hexadecimal. `make release` sets it with -ldflags=-X.
var Commit string

// String is the release, with the first digits of the commit where the build knows it.
func String() string {
	commit := Commit
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = cmp.Or(commit, s.Value)
			}
		}
	}
	if len(commit) < 12 {
		return Release
	}
	return Release + "+" + commit[:12]
}
