package access

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// The bounds of what one client may do. docs/operations.md lists them.
const (
	requestRate  = 500 // requests a second
	requestBurst = 1000
	// Handshakes of TLS cost the server up to a millisecond each, before it knows who asks. The first are those of a client,
	// the others those of all together.
	handshakeRate   = 20
	handshakeBurst  = 100
	handshakesRate  = 250
	handshakesBurst = 500
	failedRate      = 1.0 / 6 // log-ins that fail, a second
	failedBurst     = 10
	// maxClients bounds the clients that a limit knows.
	maxClients = 8192
)

// buckets is a token bucket for each client. It knows a bounded number of clients. Beyond that, it forgets clients,
// rather those with more tokens.
type buckets struct {
	rate, burst float64

	mu      sync.Mutex
	clients map[netip.Addr]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newBuckets(rate, burst float64) *buckets {
	return &buckets{rate: rate, burst: burst, clients: map[netip.Addr]bucket{}}
}

// left returns the tokens of a client. The caller holds the lock.
func (b *buckets) left(client netip.Addr, now time.Time) float64 {
	c, ok := b.clients[client]
	if !ok {
		return b.burst
	}
	return min(c.tokens+max(now.Sub(c.at).Seconds(), 0)*b.rate, b.burst)
}

// giveBack gives a client the token back that it has taken last.
func (b *buckets) giveBack(client netip.Addr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.clients[client]; ok {
		c.tokens++
		b.clients[client] = c
	}
}

// take takes a token of a client. It returns how long the client must wait if it has none.
func (b *buckets) take(client netip.Addr, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.left(client, now)
	if left < 1 {
		return time.Duration((1 - left) / b.rate * float64(time.Second))
	}
	if _, known := b.clients[client]; !known && len(b.clients) >= maxClients {
		b.forget(now)
	}
	b.clients[client] = bucket{left - 1, now}
	return 0
}

// looked is how many clients are looked at to make room for one.
const looked = 8

// forget makes room for one client. It forgets the one with the most tokens of a few, so that one that asks too often is seldom
// forgotten.
func (b *buckets) forget(now time.Time) {
	var fullest netip.Addr
	most, n := -1.0, 0
	for client := range b.clients {
		if left := b.left(client, now); left > most {
			fullest, most = client, left
		}
		if n++; n == looked {
			break
		}
	}
	delete(b.clients, fullest)
}

// Client returns what counts as one client: an IPv4 address, or the /64 of an IPv6 address, since one host has a /64
// to itself. It returns the zero value for a Unix socket.
func Client(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64) // a length of 64 is valid
		addr = p.Addr()
	}
	return addr
}

// ClientOf returns the client at the other end of a connection: see [Client].
func ClientOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return Client(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}

// IsLocal reports whether only this host can reach an address: one of loopback, or a Unix socket.
func IsLocal(a net.Addr) bool {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.IsLoopback()
	}
	_, unix := a.(*net.UnixAddr)
	return unix
}
