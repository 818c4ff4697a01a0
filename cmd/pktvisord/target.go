package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
)

// isFile reports whether the target is a capture file rather than an interface. A name that is both is the interface;
// "./eth0" is the file.
func isFile(target string) bool {
	if target == "-" || strings.ContainsRune(target, '/') {
		return true
	}
	if isInterface(target) {
		return false
	}
	_, err := os.Stat(target)
	return err == nil
}

// isInterface reports whether the target can only mean an interface.
func isInterface(target string) bool {
	if target == "any" || target == "auto" {
		return true
	}
	if _, err := netip.ParseAddr(target); err == nil {
		return true
	}
	_, err := net.InterfaceByName(target)
	return err == nil
}
