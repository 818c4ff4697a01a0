package push

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"pktvisor/internal/regular"
	"pktvisor/metric"
	"pktvisor/subject"
)

// maxFile bounds a file with credentials or certificates, in bytes.
const maxFile = 1 << 20

// checkFiles returns an error if a file cannot be used.
func (c *Config) checkFiles() error {
	if c.Creds != "" {
		b, err := regular.Read(c.Creds, maxFile)
		if err == nil {
			if _, err = nkeys.ParseDecoratedJWT(b); err == nil {
				_, err = nkeys.ParseDecoratedNKey(b)
			}
		}
		if err != nil {
			return fmt.Errorf("NATS credentials %s: %w", c.Creds, reasonOf(err))
		}
	}
	if c.TokenFile != "" {
		if _, err := regular.Secret(c.TokenFile); err != nil {
			return fmt.Errorf("NATS token %s: %w", c.TokenFile, reasonOf(err))
		}
	}
	if c.CA != "" {
		b, err := regular.Read(c.CA, maxFile)
		if err == nil && !x509.NewCertPool().AppendCertsFromPEM(b) {
			err = errors.New("the file has no certificate in PEM form")
		}
		if err != nil {
			return fmt.Errorf("NATS certificates %s: %w", c.CA, reasonOf(err))
		}
	}
	if c.Cert != "" {
		if _, err := tls.LoadX509KeyPair(c.Cert, c.Key); err != nil {
			return fmt.Errorf("NATS client certificate %s with key %s: %w", c.Cert, c.Key, reasonOf(err))
		}
	}
	return nil
}

// reasonOf returns the reason of an error that names a file which the message names anyway.
func reasonOf(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// options returns the options of the connection.
func (p *Pusher) options() []nats.Option {
	c := &p.cfg
	wait := cmp.Or(c.reconnect, reconnectWait)
	o := []nats.Option{
		nats.Name(c.Agent + " on " + c.Host),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(wait / 2), nats.ReconnectJitter(wait, wait), // so that a fleet does not come back at once
		nats.ReconnectBufSize(-1), // a bucket waits in the queue, not in the connection
		nats.PingInterval(20 * time.Second), nats.MaxPingsOutstanding(2),
		nats.NoCallbacksAfterClientClose(),
		nats.ConnectHandler(p.linked), nats.ReconnectHandler(p.linked),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { p.unlinked(err) }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { p.unlinked(err) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.complaint(err) }),
	}
	switch {
	case c.Creds != "":
		o = append(o, nats.UserCredentials(c.Creds))
	case c.TokenFile != "":
		o = append(o, nats.TokenHandler(func() string {
			token, err := regular.Secret(c.TokenFile)
			if err != nil {
				p.log.Warn("cannot read the NATS token", "error", err)
			}
			return token
		}))
	case c.Token != "":
		o = append(o, nats.Token(c.Token))
	}
	if c.CA != "" {
		o = append(o, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		o = append(o, nats.ClientCert(c.Cert, c.Key))
	}
	return o
}

// connect returns a connection that connects itself, again and again, and answers requests for buckets.
func (p *Pusher) connect(sealed func() []*metric.Bucket) (*nats.Conn, error) {
	conn, err := nats.Connect(strings.Join(p.cfg.Servers, ","), p.options()...)
	if err != nil {
		return nil, err
	}
	if !conn.IsConnected() && conn.LastError() != nil {
		p.unlinked(conn.LastError())
	}
	sub, err := conn.Subscribe(subject.Want(p.cfg.Prefix, p.cfg.Host), func(msg *nats.Msg) { p.onRequest(msg, sealed) })
	if err == nil {
		err = sub.SetPendingLimits(maxRequests, maxRequests*maxRequest)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// linked records that there is a connection.
func (p *Pusher) linked(conn *nats.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Connected, p.linkErr = true, ""
	p.log.Info("connected to NATS", "server", conn.ConnectedUrlRedacted(), "waiting", len(p.queue))
	p.wakeUp()
}

// unlinked records why there is no connection. The error is nil if the server has closed it without a reason.
func (p *Pusher) unlinked(err error) {
	why := "the connection was closed"
	if err != nil {
		why = strings.TrimPrefix(err.Error(), "nats: ")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Connected = false
	if !strings.EqualFold(why, p.linkErr) { // the library gives one reason in two spellings
		p.linkErr = why
		p.log.Warn("not connected to NATS: "+why, "url", p.status.URL, "waiting", len(p.queue))
	}
}

// complaint records an error that the server reports apart from answers, such as missing rights.
func (p *Pusher) complaint(err error) {
	why := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "nats: ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused = why; why != p.sendErr {
		p.log.Warn("NATS: " + why)
	}
}
