package access

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"pktvisor/internal/regular"
)

// Trust says which servers a client trusts over https, and how it proves its own identity.
type Trust struct {
	// CAFile has the certificates of authorities in PEM. "" means those that the system trusts.
	CAFile string
	// CertFile and KeyFile are those of the client in PEM, or empty. They are read at each connection, so that they can be
	// replaced.
	CertFile, KeyFile string
	// Insecure accepts any certificate.
	Insecure bool
}

// Config reads the files and returns the configuration of clients. Its errors begin with the names that the user knows
// the files by.
func (o Trust) Config(ca, cert string) (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: o.Insecure}
	if o.CAFile != "" {
		var err error
		if c.RootCAs, err = readPool(o.CAFile); err != nil {
			return nil, fmt.Errorf("%s: %w", ca, err)
		}
	}
	if o.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile); err != nil {
			return nil, fmt.Errorf("%s: %w", cert, err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
			return &pair, err
		}
	}
	return c, nil
}

// Auth proves a client's identity to a server, or to a proxy in front of it. The file is read again when it changes, so
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

// Bearer returns the authentication with a token. White space around it does not count. A token that cannot be sent is an
// error.
func Bearer(token string) (*Auth, error) {
	token = strings.TrimSpace(token)
	if token == "" || strings.ContainsFunc(token, unicode.IsControl) {
		return nil, errors.New("give the token, in one line")
	}
	return &Auth{value: "Bearer " + token}, nil
}

// BearerFile returns the authentication with the token in a file.
func BearerFile(path string) (*Auth, error) { return openAuth(path, false) }

// BasicFile returns the authentication with USER:PASSWORD in a file.
func BasicFile(path string) (*Auth, error) { return openAuth(path, true) }

func openAuth(path string, basic bool) (*Auth, error) {
	a := &Auth{path: path, basic: basic}
	return a, a.load()
}

// Set adds the header to a request, if there is an authentication.
func (a *Auth) Set(h http.Header) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.path != "" && time.Since(a.looked) >= authInterval {
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
	if err != nil || regular.Same(a.info, info) {
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

// maxRedirects bounds the redirects that one request follows.
const maxRedirects = 3

// SameOrigin follows a redirect only within the server that was asked, so that nobody else gets a token. It is a
// CheckRedirect of [http.Client].
func SameOrigin(r *http.Request, via []*http.Request) error {
	if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
		return errors.New("it redirects to another host: give the address of the agent itself")
	}
	if len(via) > maxRedirects {
		return errors.New("it redirects in circles")
	}
	return nil
}
