package collect

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"pktvisor/internal/regular"
)

// maxCA bounds a file with certificates, in bytes.
const maxCA = 1 << 20

// The bounds of connections to agents.
const (
	dialLimit    = 3 * time.Second
	headerLimit  = 8 * time.Second // from the request to the header of the answer
	maxHeader    = 16 << 10        // bytes of the header of an answer
	idleLimit    = 75 * time.Second
	maxIdle      = 1024 // connections kept between two rounds
	maxRedirects = 3
)

// newTransport makes the transport of all requests. It never decompresses answers.
func newTransport(secure *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: dialLimit, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    dialLimit,
		ResponseHeaderTimeout:  headerLimit,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    defaultConcurrency, // of agents behind one proxy
		IdleConnTimeout:        idleLimit,
	}
}

// sameOrigin follows a redirect only within the agent that was asked. Otherwise an agent could make the hub send requests,
// and its token, to others.
func sameOrigin(r *http.Request, via []*http.Request) error {
	if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		return refuse(Redirected, "it redirects to another host: give the address of the agent itself")
	}
	if len(via) > maxRedirects {
		return refuse(Redirected, "it redirects in circles")
	}
	return nil
}

// TLSOptions says which agents to trust over https.
type TLSOptions struct {
	// CAFile has the certificates of authorities in PEM. "" means those that the system trusts.
	CAFile string
	// Insecure accepts any certificate.
	Insecure bool
}

// Config reads the file and returns the configuration of clients.
func (o TLSOptions) Config() (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: o.Insecure}
	if o.CAFile == "" {
		return c, nil
	}
	pem, err := regular.Read(o.CAFile, maxCA)
	if err != nil {
		return nil, err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM", o.CAFile)
	}
	return c, nil
}

// Auth proves the hub's identity to agents, or to a proxy in front of them. The file is read again when it changes, so
// that a token can be replaced. It may be used by any number of goroutines.
type Auth struct {
	path  string
	basic bool

	mu     sync.Mutex
	looked time.Time
	info   os.FileInfo
	value  string
}

// authInterval is how often the file of an [Auth] is looked at.
const authInterval = 10 * time.Second

// BearerFile returns the authentication with the token in a file.
func BearerFile(path string) (*Auth, error) { return openAuth(path, false) }

// BasicFile returns the authentication with USER:PASSWORD in a file.
func BasicFile(path string) (*Auth, error) { return openAuth(path, true) }

func openAuth(path string, basic bool) (*Auth, error) {
	a := &Auth{path: path, basic: basic}
	return a, a.load()
}

// set adds the header to a request, if there is an authentication.
func (a *Auth) set(h http.Header) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.looked) >= authInterval {
		if err := a.load(); err != nil && a.value == "" {
			return err
		}
	}
	h.Set("Authorization", a.value)
	return nil
}

// load reads the file if it has changed. If it cannot, the old value stays.
func (a *Auth) load() error {
	a.looked = time.Now()
	info, err := os.Stat(a.path)
	if err != nil || sameFile(a.info, info) {
		return err
	}
	secret, err := regular.Secret(a.path)
	switch {
	case err != nil:
		return err
	case strings.ContainsFunc(secret, unicode.IsControl):
		return fmt.Errorf("%s: give one line", a.path)
	case a.basic && !strings.Contains(secret, ":"):
		return fmt.Errorf("%s: give USER:PASSWORD", a.path)
	case a.basic:
		a.value = "Basic " + base64.StdEncoding.EncodeToString([]byte(secret))
	default:
		a.value = "Bearer " + secret
	}
	a.info = info
	return nil
}
