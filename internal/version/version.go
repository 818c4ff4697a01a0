// Package version knows the version of the programs.
package version

import "runtime/debug"

// Release is the version of the product.
const Release = "0.1.0"

// String is the release, with the commit where the build knows it.
func String() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return Release + "+" + s.Value[:12]
			}
		}
	}
	return Release
}
