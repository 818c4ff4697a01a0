//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import "os"

// isStandIn is not known here.
func isStandIn(*os.File) bool { return false }
