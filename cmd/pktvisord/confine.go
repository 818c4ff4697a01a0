package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"pktvisor/geo"
	"pktvisor/sandbox"
	"pktvisor/server"
)

// The ports that names of hosts, and NATS servers by default, are asked on.
const (
	dnsPort  = 53
	natsPort = 4222
)

// copies returns the directories for copies of GeoIP databases.
func (o *options) copies() []string {
	if o.GeoCity == "" && o.GeoASN == "" {
		return nil
	}
	return []string{geo.CopyDir()}
}

// liveNeeds returns what a live capture does after everything is open.
func (o *options) liveNeeds() sandbox.Needs {
	n := sandbox.Needs{
		Read: []string{
			o.GeoCity, o.GeoASN, o.SuffixList, o.Access.Cert, o.Access.Key, o.ClientCA, o.AuthFile,
			o.Creds, o.TokenFile, o.CA, o.Push.Cert, o.Push.Key, o.adminToken, o.configFile,
			o.otlp.HeadersFile, o.otlp.CA, o.otlp.Cert, o.otlp.Key,
		},
		Write: []string{o.StateDir}, Scratch: o.copies(), Capture: !o.Replay || o.document != nil || o.adminAPI,
		Network: true, Resolve: len(o.Servers) > 0 || o.otlp.URL != "", Connect: append(portsOf(o.Servers), dnsPort),
	}
	if port := o.otlp.Port(); port != 0 {
		n.Connect = append(n.Connect, port)
	}
	if o.Replay {
		n.Open = []string{o.Target} // again in each loop
	}
	if o.document != nil {
		for _, t := range o.document.Taps {
			if t.Replay || isFile(t.Target) {
				n.Read = append(n.Read, t.Target)
			}
		}
	}
	if socket, unix, err := server.ParseSocket(o.Listen); unix && err == nil {
		n.Remove = []string{socket.Path}
	}
	return n
}

// portsOf returns the ports of NATS servers.
func portsOf(servers []string) (ports []uint16) {
	for _, s := range servers {
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil {
			continue // the client reports it
		}
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		switch {
		case err == nil:
		case u.Scheme == "ws":
			port = 80
		case u.Scheme == "wss":
			port = 443
		default:
			port = natsPort
		}
		ports = append(ports, uint16(port))
	}
	return ports
}

// confineFile confines the process before it reads a capture file. Everything that is needed is opened inside.
func (o *options) confineFile() error {
	if o.enter == nil {
		return nil
	}
	n := sandbox.Needs{Scratch: o.copies()}
	for _, path := range []string{o.Target, o.base, o.GeoCity, o.GeoASN, o.SuffixList, o.AnonymizeKeyFile} {
		if path != "-" {
			n.Open = append(n.Open, path)
		}
	}
	if o.report && o.output != "-" {
		n.Other = []string{filepath.Dir(o.output)}
		if info, err := os.Stat(o.output); err == nil && !info.Mode().IsRegular() {
			n.Other = []string{o.output}
		}
	}
	_, err := o.enter(o.sandbox, n)
	return err
}
