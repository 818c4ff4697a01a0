package main

import (
	"fmt"
	"io"
	"net"
	"sync"
)

// proxy forwards connections to a port of this host. While it is cut, it closes them all and accepts none, as a network
// does that is cut in two.
type proxy struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	open  map[net.Conn]bool
	isCut bool
}

func newProxy(to int) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, to: fmt.Sprintf("127.0.0.1:%d", to), open: map[net.Conn]bool{}}
	go p.serve()
	return p, nil
}

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		go p.forward(in)
	}
}

func (p *proxy) forward(in net.Conn) {
	defer p.drop(in)
	if !p.add(in) {
		return
	}
	out, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer p.drop(out)
	if !p.add(out) {
		return
	}
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		go func() {
			io.Copy(way[0], way[1]) // ends when either side is closed
			done <- struct{}{}
		}()
	}
	<-done
}

// add reports whether a connection may be used.
func (p *proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
	return !p.isCut
}

func (p *proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// cut closes all connections and accepts none, until it is called with false.
func (p *proxy) cut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isCut = cut
	if cut {
		for c := range p.open {
			c.Close()
		}
	}
}

func (p *proxy) close() {
	p.listener.Close()
	p.cut(true)
}
