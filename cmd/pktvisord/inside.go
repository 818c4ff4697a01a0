//go:build !sandboxtest || !linux

package main

// tryInside is for a build for tests only. There it tries what the sandbox must not allow: see inside_sandboxtest.go.
func tryInside() {}
