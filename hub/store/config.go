package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"pktvisor/hub/rollup"
	"pktvisor/internal/regular"
	"pktvisor/subject"
)

// Config says where a [Store] keeps its data and for how long. The zero value of a field is its default.
type Config struct {
	// Dir is the directory of the embedded JetStream. One process at a time may use it. Give either Dir or URL.
	Dir string
	// URL lists the servers of a NATS cluster, separated by commas.
	URL string
	// Prefix is the first part of the subjects and of the names of the streams. Fleets with different prefixes share one
	// NATS. The default is pv.
	Prefix string
	// Replicas is how many servers of a cluster keep a copy of each message. The default is 3. With 1, the loss of one
	// disk loses data. An embedded store has one copy.
	Replicas int

	// Listen is the address on which the embedded server listens for agents that push: host:port. It is empty for none.
	// Agents may only publish snapshots.
	Listen string
	// TokenFile holds the token that agents must show to the embedded server, or that the store shows to the cluster.
	TokenFile string
	// Creds is the file with the store's credentials for a cluster.
	Creds string
	// TLS holds the files for TLS. An embedded server that listens shows Cert, and asks agents for a certificate of CA if
	// there is one. To a cluster, the store shows Cert if there is one, and trusts CA.
	TLS TLS

	// RawAge and RawBytes bound the snapshots that are kept, in time since they arrived and in bytes. The defaults are 6
	// hours, and half of what is free. On a cluster, the default is no bound in bytes but that of the account.
	RawAge   time.Duration
	RawBytes int64
	// Age and Bytes bound the rollups of each level, in time since they were last written and in bytes. A negative value
	// means no bound. The default ages are 48 hours, 14 days, 400 days and none. By default there is no bound in bytes.
	//
	// JetStream counts age from the last write. A rollup that late snapshots changed lives longer by as much.
	Age   map[rollup.Level]time.Duration
	Bytes map[rollup.Level]int64

	// AckWait is how long a hub may be silent before its unacknowledged snapshots are given to another. Hubs that share a
	// cluster have the same. The default is 1 minute.
	AckWait time.Duration
	// Log is where the store and the embedded server write. The default is [slog.Default].
	Log *slog.Logger
	// Now is the clock. The default is [time.Now].
	Now func() time.Time

	lease leaseTimes // zero except in tests
	// space returns what is free. It is replaced in tests.
	space func(dir string) (free, total uint64, err error)
}

// TLS names files in PEM form.
type TLS struct{ CA, Cert, Key string }

// maxCA bounds a file with certificates, in bytes.
const maxCA = 1 << 20

// The defaults and the bounds of snapshots.
const (
	DefaultPrefix  = "pv"
	defaultRawAge  = 6 * time.Hour
	defaultAckWait = time.Minute

	// MaxRaw is the length in bytes of the longest snapshot that is stored. With its headers it fits into the largest
	// message that a NATS server takes by default.
	MaxRaw = 1<<20 - 4<<10
	// maxRoll is the length in bytes of the longest rollup.
	maxRoll = 8<<20 - 4<<10
	// MaxFuture is how far ahead of the store's clock a snapshot may start.
	MaxFuture = 2 * time.Hour

	// window is how long JetStream remembers the ids of snapshots.
	window = 10 * time.Minute
)

// defaultAge is how long rollups are kept by default. 0 means forever.
var defaultAge = [...]time.Duration{
	rollup.Minute1: 48 * time.Hour,
	rollup.Minute5: 14 * 24 * time.Hour,
	rollup.Hour1:   400 * 24 * time.Hour,
	rollup.Day1:    0,
}

// age returns how long a level's rollups are kept. 0 means forever.
func (c *Config) age(l rollup.Level) time.Duration {
	if age, ok := c.Age[l]; ok && age != 0 {
		return max(age, 0)
	}
	return defaultAge[l]
}

// bytes returns the size of a level's rollups in bytes. -1 means no bound.
func (c *Config) bytes(l rollup.Level) int64 {
	if n := c.Bytes[l]; n > 0 {
		return n
	}
	return -1
}

// complete fills in the defaults. It returns all problems at once.
func (c *Config) complete() error {
	var problems []error
	problem := func(format string, a ...any) { problems = append(problems, fmt.Errorf(format, a...)) }
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if err := subject.CheckPrefix(c.Prefix); err != nil {
		problems = append(problems, err)
	}
	switch embedded := c.URL == ""; {
	case embedded && c.Dir == "":
		problem("no store: give a directory for the embedded JetStream, or the URL of a NATS cluster")
	case !embedded && (c.Dir != "" || c.Listen != ""):
		problem("both an embedded store and a NATS cluster: give one of them")
	case embedded && c.Creds != "":
		problem("credentials are for a NATS cluster: give a token file for an embedded store")
	case embedded && c.Replicas > 1:
		problem("%d replicas in an embedded store: it has one", c.Replicas)
	case c.Replicas < 0 || c.Replicas > 5 || c.Replicas == 2 || c.Replicas == 4:
		problem("%d replicas: give 1, 3 or 5", c.Replicas)
	}
	if c.Replicas == 0 && c.URL == "" {
		c.Replicas = 1
	}
	if c.Listen != "" {
		if _, _, err := c.listen(); err != nil {
			problem("listen on %q: give host:port: %w", c.Listen, err)
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		problem("a TLS certificate needs its key: give both files")
	}
	if c.RawAge == 0 {
		c.RawAge = defaultRawAge
	}
	if c.RawAge < 2*window {
		problem("snapshots kept for %v: give at least %v", c.RawAge, 2*window)
	}
	if c.RawBytes == 0 && c.URL != "" {
		c.RawBytes = -1
	} else if c.RawBytes < 0 || c.RawBytes > 0 && c.RawBytes < 4*MaxRaw {
		problem("%d bytes for snapshots: give at least %d", c.RawBytes, 4*MaxRaw)
	}
	for l := range c.Age {
		if age := c.age(l); !l.Valid() || age > 0 && age < time.Duration(l.Above().Seconds())*time.Second {
			problem("rollups of %v kept for %v: give at least the length of the next level", l, age)
		}
	}
	if c.AckWait == 0 {
		c.AckWait = defaultAckWait
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.lease == (leaseTimes{}) {
		c.lease = defaultLease
	}
	if c.space == nil {
		c.space = space
	}
	return errors.Join(problems...)
}

// listen returns the host and the port of Listen. An empty host means all addresses.
func (c *Config) listen() (host string, port int, err error) {
	host, service, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(service); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("port %q", service)
	}
	return host, port, nil
}

// token returns the token in TokenFile.
func (c *Config) token() (string, error) {
	if c.TokenFile == "" {
		return "", nil
	}
	return regular.Secret(c.TokenFile)
}

// load returns the configuration of TLS, or nil if there is none. A server asks for certificates of its CA, and a
// client trusts them.
func (t TLS) load() (*tls.Config, error) {
	if t == (TLS{}) {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{cert}
	}
	if t.CA != "" {
		pem, err := regular.Read(t.CA, maxCA)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", t.CA)
		}
		config.RootCAs = pool
		config.ClientCAs = pool
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
