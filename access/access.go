// Package access decides who may use the HTTP API of an agent or a hub, and how: TLS, client certificates, tokens and
// passwords, and how many requests a client may send. It also has the client's side: which servers to trust, and the
// token or password to send.
//
// [Open] reads the files of a [Config]. A [Guard] then encrypts a listener ([Guard.Listener]) and checks requests
// ([Guard.Check]). [Guard.Follow] reads the files again when they change, so that certificates and tokens can be
// replaced without a restart. The server's methods may be called by any number of goroutines.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"pktvisor/internal/regular"
)

// Config names the files. Each may be empty.
type Config struct {
	// Cert and Key are the certificate chain and the key of the server in PEM. With them, it speaks TLS only.
	Cert string
	Key  string
	// ClientCA has the authorities whose certificates clients must show, in PEM.
	ClientCA string
	// AuthFile has the tokens and passwords: see [ParseUsers].
	AuthFile string
	// AdminToken has the token that lets clients on other hosts change the agent: see [Guard.MayChange].
	AdminToken string
}

// maxPEM bounds a file with certificates or a key, in bytes.
const maxPEM = 1 << 20

// Guard is what protects one server.
type Guard struct {
	cfg    Config
	secure atomic.Pointer[tls.Config] // nil without TLS
	users  atomic.Pointer[Users]      // nil without an auth file
	// adminToken is the hash of the token for changes; nil without one.
	adminToken atomic.Pointer[[sha256.Size]byte]

	files    []watched
	failures *buckets // log-ins that failed
	requests *buckets
	// handshakes are those of each client, and all those of everybody.
	handshakes    *buckets
	allHandshakes *buckets
	now           func() time.Time
}

// watched is a file and how it looked when it was read.
type watched struct {
	path    string
	info    os.FileInfo
	missing bool // at the last look
}

// Open reads the files. Its error names each file that is wrong.
func Open(cfg Config) (*Guard, error) {
	g := &Guard{cfg: cfg, now: time.Now}
	g.failures, g.requests = newBuckets(failedRate, failedBurst), newBuckets(requestRate, requestBurst)
	g.handshakes, g.allHandshakes = newBuckets(handshakeRate, handshakeBurst), newBuckets(handshakesRate, handshakesBurst)
	for _, path := range []string{cfg.Cert, cfg.Key, cfg.ClientCA, cfg.AuthFile, cfg.AdminToken} {
		if path != "" {
			g.files = append(g.files, watched{path: path})
		}
	}
	g.changed() // before reading: a change from now on is seen later
	return g, g.load()
}

// load reads all files. What can be read is used, and what cannot stays as it was.
func (g *Guard) load() error {
	var errs []error
	if g.cfg.Cert != "" {
		c, err := g.tlsConfig()
		if err != nil {
			errs = append(errs, err)
		} else {
			g.secure.Store(c)
		}
	}
	if g.cfg.AuthFile != "" {
		u, err := readUsers(g.cfg.AuthFile)
		if err != nil {
			errs = append(errs, err)
		} else {
			g.users.Store(u)
		}
	}
	if g.cfg.AdminToken != "" {
		token, err := readToken(g.cfg.AdminToken)
		if err != nil {
			errs = append(errs, err)
		} else {
			g.adminToken.Store(token)
		}
	}
	return errors.Join(errs...)
}

// tlsConfig reads the files of TLS.
func (g *Guard) tlsConfig() (*tls.Config, error) {
	certPEM, err := regular.Read(g.cfg.Cert, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	keyPEM, err := regular.Read(g.cfg.Key, maxPEM)
	if err != nil {
		return nil, fmt.Errorf("--tls-key: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", g.cfg.Cert, g.cfg.Key, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if g.cfg.ClientCA != "" {
		if c.ClientCAs, err = readPool(g.cfg.ClientCA); err != nil {
			return nil, fmt.Errorf("--tls-client-ca: %w", err)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// readPool reads the certificates of authorities in PEM.
func readPool(path string) (*x509.CertPool, error) {
	pem, err := regular.Read(path, maxPEM)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	return pool, nil
}

// Listener encrypts the connections of a listener, if there is a certificate. Each connection uses the newest one.
// The handshakes of clients that are not on this host are limited.
func (g *Guard) Listener(l net.Listener) net.Listener {
	first := g.secure.Load()
	if first == nil {
		return l
	}
	outer := first.Clone()
	outer.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if !g.mayShakeHands(hello.Conn.RemoteAddr()) {
			return nil, errTooMany // before the server signs anything, which is what costs
		}
		return g.secure.Load(), nil
	}
	return tls.NewListener(l, outer)
}

// errTooMany ends a handshake.
var errTooMany = errors.New("too many handshakes")

// mayShakeHands counts a handshake, and reports whether it may continue.
func (g *Guard) mayShakeHands(from net.Addr) bool {
	if tcp, ok := from.(*net.TCPAddr); !ok || tcp.IP.IsLoopback() {
		return true
	}
	now := g.now()
	return g.handshakes.take(ClientOf(from), now) == 0 && g.allHandshakes.take(netip.Addr{}, now) == 0
}

// Announce logs where the server is, and warns if anybody can read it, or can read tokens and passwords on the way.
func (g *Guard) Announce(log *slog.Logger, addr net.Addr) {
	log.Info("serving", "url", g.URL(addr))
	switch {
	case IsLocal(addr):
	case g.cfg.AuthFile == "" && g.cfg.ClientCA == "":
		log.Warn("everybody who can reach this address can read the API: give --auth-file or --tls-client-ca, or let a firewall choose who can", "address", addr)
	case g.cfg.Cert == "":
		log.Warn("tokens and passwords are sent without encryption: give --tls-cert and --tls-key", "address", addr)
	}
}

// URL returns the URL of a server that listens on addr, as a user gives it to a client.
func (g *Guard) URL(addr net.Addr) string {
	switch {
	case addr.Network() == "unix":
		return "unix:" + addr.String()
	case g.secure.Load() != nil:
		return "https://" + addr.String() + "/"
	}
	return "http://" + addr.String() + "/"
}

// followInterval is how often the files are looked at.
const followInterval = 5 * time.Second

// Follow reads the files again when they change, until ctx is done. A file that cannot be used changes nothing and is
// logged once.
func (g *Guard) Follow(ctx context.Context, log *slog.Logger) {
	if len(g.files) == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	gone := ""  // the file that was missing at the last look
	fault := "" // of the last attempt. It is tried again: the certificate may be new, and its key not yet
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if path := g.lookForMissing(); path != "" && path != gone {
			log.Error("a file of certificates or users is missing; what it had stays in use", "file", path)
			gone = path
		} else if path == "" {
			gone = ""
		}
		if !g.changed() && fault == "" {
			continue
		}
		switch err := g.load(); {
		case err == nil:
			fault = ""
			log.Info("certificates and users reloaded")
		case err.Error() != fault:
			fault = err.Error()
			log.Error("cannot reload certificates or users; the old ones stay in use", "error", err)
		}
	}
}

// lookForMissing looks whether the files are there. It returns the path of one that has been missing since the last look, or "". A
// file that is replaced may be missing at one look.
func (g *Guard) lookForMissing() (path string) {
	for i := range g.files {
		f := &g.files[i]
		_, err := os.Stat(f.path)
		if err != nil && f.missing {
			path = f.path
		}
		f.missing = err != nil
	}
	return path
}

// changed looks at the files, and reports whether one is not as it was the last time. A file that is missing for a moment,
// while it is replaced, has not changed.
func (g *Guard) changed() bool {
	any := false
	for i := range g.files {
		f := &g.files[i]
		info, err := os.Stat(f.path)
		if err == nil && !regular.Same(f.info, info) {
			f.info, any = info, true
		}
	}
	return any
}
