//go:build !sandboxtest || !linux

package main

// tryInside does nothing but in a build for tests, which tries what the sandbox must not allow: see inside_sandboxtest.go.
func tryInside() {}
