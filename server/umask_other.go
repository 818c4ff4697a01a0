//go:build !unix

package server

// privateFiles does nothing: there are no permissions of this kind.
func privateFiles() (restore func()) { return func() {} }
