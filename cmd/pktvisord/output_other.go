//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package main

import "os"

// isStandIn cannot be determined on this system.
func isStandIn(*os.File) bool { return false }
