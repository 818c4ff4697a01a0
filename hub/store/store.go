// Package store keeps the hub's data in NATS JetStream: snapshots of single hosts as they arrive, rollups, what is known
// of each host, and which hub does which part of the work.
//
// JetStream is embedded in the process, with one directory, or an existing cluster. An embedded server writes every
// message to disk before it acknowledges it. What is acknowledged survives a power cut.
//
// Snapshots of single hosts wait in one stream. All hubs share one consumer of it: each snapshot is given to one of them,
// and to another if that one does not acknowledge it. A rollup is the only message of its subject. It is written with
// the revision that the writer expects, so of two hubs that write at once, one reads again. Nothing depends on the ids of
// messages: they only save traffic.
//
// JetStream counts the age of a message from its arrival. The time of a minute is only in its snapshot.
//
// The methods of a Store are safe to call at once. Every call ends: after 10 seconds, or when its context does.
package store

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// Store is an open store.
type Store struct {
	config   Config
	names    names
	log      *slog.Logger
	embedded *embedded // nil for a cluster
	unlock   func()
	nc       *nats.Conn
	js       jetstream.JetStream
	api      string // prefix of JetStream's subjects, with a dot
	lease    leaseTimes
	hosts    HostTable
	streams  [rollup.Day1 + 1]jetstream.Stream // snapshots at 0
	keepUpTo int64                             // an existing bound of the snapshots, in bytes, is kept up to this
	atomic   bool                              // whether the stream of snapshots takes batches

	// seen is the newest sequence of each stream of rollups that this process knows of. No older state may be read.
	seen [rollup.Day1 + 1]atomic.Uint64

	groups  knownGroups
	changes changes

	held   held
	holes  holes
	closed atomic.Bool

	away    atomic.Int64 // Unix time in nanoseconds at which the connection was lost, or 0
	looking sync.Mutex   // one look at the streams at a time; guards gone
	gone    int          // how often in a row a stream did not exist

	// What the guard of the disk knows. The last two belong to it.
	room      atomic.Int32
	pulses    [hostsStream + 1]pulse
	restarted time.Time
	backoff   time.Duration

	status statusKeeper

	stop context.CancelFunc // ends the goroutines of the store
	work sync.WaitGroup
}

// deadline is how long a call lasts whose context has no deadline.
const deadline = 10 * time.Second

// Open opens the store. It creates what is missing and checks what exists. ctx bounds how long it takes, not the life of
// the store.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	s := &Store{config: c, names: names{c.Prefix}, log: c.Log.With("part", "store"), backoff: minBackoff, lease: c.lease, api: "$JS.API.", unlock: func() {}}
	s.hosts.store = s
	if err := s.open(ctx); err != nil {
		s.shut()
		return nil, fmt.Errorf("open the store: %w", err)
	}
	ctx, s.stop = context.WithCancel(context.Background())
	s.work.Go(func() { s.extend(ctx) })
	s.work.Go(func() { s.watch(ctx) })
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	options := []nats.Option{nats.Name("pktvisor-hub"), nats.MaxReconnects(-1), nats.DrainTimeout(2 * time.Second), nats.SyncQueueLen(maxAnswers),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { s.disconnected(err) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { s.reconnected(nc) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.note(err) })}
	var err error
	if s.config.URL == "" {
		err = s.connectEmbedded(ctx, options)
	} else {
		err = s.connectCluster(options)
	}
	if err != nil {
		return err
	}
	if s.js, err = jetstream.New(s.nc, jetstream.WithDefaultTimeout(attempt), jetstream.WithPublishAsyncTimeout(attempt)); err != nil {
		return err
	}
	if err := s.patiently(ctx, func() error {
		if err := s.ensureStreams(ctx); err != nil {
			return err
		}
		return s.ensureConsumer(ctx, true)
	}); err != nil {
		return err
	}
	return s.follow()
}

// patience is how long Open waits for a cluster that has no leader, or not enough servers yet.
const patience = 2 * time.Minute

// patiently repeats a step as long as it fails because the cluster is not ready.
func (s *Store) patiently(ctx context.Context, step func() error) error {
	for began := time.Now(); ; {
		err := step()
		if !isNoAnswer(err) && !hasCode(err, errNoPeers) || time.Since(began) > patience {
			return err
		}
		s.log.Warn("the NATS cluster is not ready", "error", err)
		if !pause(ctx, time.Second) {
			return err
		}
	}
}

// connectEmbedded starts the embedded server and connects to it.
func (s *Store) connectEmbedded(ctx context.Context, options []nats.Option) (err error) {
	var secret string
	if s.embedded, secret, err = newEmbedded(&s.config); err != nil {
		return err
	}
	unlock, err := lock(s.config.Dir)
	if err != nil {
		return err
	}
	s.unlock = unlock
	if err := s.fit(); err != nil {
		return err
	}
	if err := s.embedded.start(); err != nil {
		return err
	}
	// Agents may subscribe to all of _INBOX, so the answers to this process go elsewhere.
	s.nc, err = nats.Connect("", append(options, nats.InProcessServer(s.embedded), nats.Token(secret), nats.CustomInboxPrefix("_HUB_"+secret),
		nats.ReconnectWait(50*time.Millisecond), nats.ReconnectJitter(0, 0))...)
	return err
}

// connectCluster connects to the servers of URL.
func (s *Store) connectCluster(options []nats.Option) error {
	token, err := s.config.token()
	if err != nil {
		return err
	}
	if token != "" {
		options = append(options, nats.Token(token))
	}
	if s.config.Creds != "" {
		options = append(options, nats.UserCredentials(s.config.Creds))
	}
	config, err := s.config.TLS.load()
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	if config != nil {
		options = append(options, nats.Secure(config))
	}
	options = append(options, nats.ReconnectWait(500*time.Millisecond), nats.Timeout(attempt))
	if s.nc, err = nats.Connect(s.config.URL, options...); err != nil {
		return fmt.Errorf("connect to %s: %w", Redact(s.config.URL), err)
	}
	if s.nc.MaxPayload() < maxPayload {
		s.log.Warn("the NATS server takes small messages only: larger rollups are refused: set its max_payload to 8MB", "max_payload", s.nc.MaxPayload())
	}
	if s.config.Replicas == 1 {
		s.log.Warn("streams with one replica: the loss of one disk loses data, and without sync_interval: always a power cut does")
	}
	return nil
}

// Redact removes passwords from a list of URLs.
func Redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		if at := strings.LastIndexByte(u, '@'); at >= 0 {
			scheme, _, ok := strings.Cut(u, "://")
			if !ok {
				scheme = "nats"
			}
			list[i] = scheme + "://***@" + u[at+1:]
		}
	}
	return strings.Join(list, ",")
}

// awayFor is how long reads wait for a lost connection. Those that come later fail at once.
const awayFor = 3 * time.Second

// connected returns an error if the connection has been lost for awayFor.
func (s *Store) connected() error {
	if at := s.away.Load(); at != 0 && time.Since(time.Unix(0, at)) > awayFor {
		return nats.ErrDisconnected
	}
	return nil
}

func (s *Store) disconnected(err error) {
	s.away.Store(time.Now().UnixNano())
	if err != nil && !s.closed.Load() {
		s.note(fmt.Errorf("disconnected from NATS: %w", err))
		s.log.Warn("disconnected from NATS", "error", err)
	}
}

func (s *Store) reconnected(nc *nats.Conn) {
	s.away.Store(0)
	s.groups.forget() // some changes were missed
	s.log.Info("connected to NATS again", "server", nc.ConnectedServerName())
}

// Addr returns the address on which the embedded server listens for agents, or nil.
func (s *Store) Addr() net.Addr {
	if s.embedded == nil {
		return nil
	}
	return s.embedded.addr()
}

// Close ends the store. Calls that are under way fail.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.stop()
	s.work.Wait()
	s.shut()
	return nil
}

// shut closes what is open, in reverse order.
func (s *Store) shut() {
	s.closed.Store(true)
	s.changes.close()
	if s.nc != nil {
		s.nc.FlushTimeout(time.Second) // acknowledgements may be under way
		s.nc.Close()
	}
	if s.embedded != nil {
		s.embedded.stop()
	}
	s.unlock()
}

// within bounds ctx by the longest time that a call takes.
func within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, deadline)
}
