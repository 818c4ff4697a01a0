//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package regular

// NonBlocking is 0, because opening a file does not block on these systems.
const NonBlocking = 0
