package push

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"pktvisor/internal/testkit"
)

// TestTLS: the certificates of both sides are checked. An unknown authority is reported.
func TestTLS(t *testing.T) {
	_, cert, key := (*testkit.Authority)(nil).Issue(t, t.TempDir(), "test")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	s, _ := startServer(t, server.Options{
		TLS: true, TLSVerify: true, TLSTimeout: 10,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
	}, -1, t.TempDir())
	url := "tls://" + s.Addr().String()
	hub := openStore(t, url, nats.RootCAs(cert), nats.ClientCert(cert, key))
	hub.create(t, rawStream)
	p, _ := start(t, Config{Servers: []string{url}, CA: cert, Cert: cert, Key: key}, bucket(1))
	acknowledged(t, p, 1)
	hub.expect(t, "over TLS", 1)

	p, _ = start(t, Config{Servers: []string{url}, Cert: cert, Key: key}, bucket(2))
	testkit.Eventually(t, "the authority is not known", func() bool { return strings.Contains(p.Status().Error, "certificate signed by unknown authority") })
	p, _ = start(t, Config{Servers: []string{url}, CA: cert}, bucket(3))
	testkit.Eventually(t, "the server refuses it", func() bool { // the client may see no more than a closed connection
		st := p.Status()
		return !st.Connected && st.Error != "" && st.Error != notYet
	})
	hub.expect(t, "after two that are refused", 1)
}

// TestNoTLS: certificates for a server that has no TLS are an error, so that nothing is sent in the clear.
func TestNoTLS(t *testing.T) {
	_, cert, _ := (*testkit.Authority)(nil).Issue(t, t.TempDir(), "test")
	s, _ := startServer(t, server.Options{}, -1, t.TempDir())
	for _, c := range []Config{{Servers: []string{s.ClientURL()}, CA: cert}, {Servers: []string{"tls://" + s.Addr().String()}}} {
		p, _ := start(t, c, bucket(1))
		testkit.Eventually(t, "it does not connect", func() bool { return strings.Contains(p.Status().Error, "secure connection not available") })
	}
}

// signer makes keys and signs what the server and the user get.
type signer struct {
	t    *testing.T
	pair nkeys.KeyPair
	id   string
}

func newSigner(t *testing.T, make func() (nkeys.KeyPair, error)) signer {
	t.Helper()
	pair, err := make()
	if err != nil {
		t.Fatal(err)
	}
	id, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, pair, id}
}

func (s signer) sign(c jwt.Claims) string {
	s.t.Helper()
	text, err := c.Encode(s.pair)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// TestCreds: a credentials file opens a server that has an operator.
func TestCreds(t *testing.T) {
	operator, system := newSigner(t, nkeys.CreateOperator), newSigner(t, nkeys.CreateAccount)
	account, user := newSigner(t, nkeys.CreateAccount), newSigner(t, nkeys.CreateUser)
	of := jwt.NewOperatorClaims(operator.id)
	of.SystemAccount = system.id
	trusted, err := jwt.DecodeOperatorClaims(operator.sign(of))
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewAccountClaims(account.id)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accounts := new(server.MemAccResolver)
	for id, text := range map[string]string{account.id: operator.sign(claims), system.id: operator.sign(jwt.NewAccountClaims(system.id))} {
		if err := accounts.Store(id, text); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := startServer(t, server.Options{TrustedOperators: []*jwt.OperatorClaims{trusted}, SystemAccount: system.id, AccountResolver: accounts}, -1, t.TempDir())
	seed, err := user.pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	creds, err := jwt.FormatUserConfig(account.sign(jwt.NewUserClaims(user.id)), seed)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "agent.creds")
	write(t, file, string(creds))
	hub := openStore(t, s.ClientURL(), nats.UserCredentials(file))
	hub.create(t, rawStream)
	p, logged := start(t, Config{Servers: []string{s.ClientURL()}, Creds: file}, bucket(1))
	acknowledged(t, p, 1)
	hub.expect(t, "with credentials", 1)
	p, _ = start(t, Config{Servers: []string{s.ClientURL()}}, bucket(2))
	testkit.Eventually(t, "it is refused without", func() bool { return strings.EqualFold(p.Status().Error, "Authorization Violation") })
	if strings.Contains(logged.String(), string(seed)) {
		t.Error("the log has the key")
	}
}
