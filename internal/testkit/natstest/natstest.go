// Package natstest runs NATS servers with JetStream for tests: a single one, or a cluster on loopback whose servers can
// be killed and started again. The servers sync every message to disk.
package natstest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server starts a single server that ends with the test. It returns its URL.
func Server(t testing.TB) string {
	t.Helper()
	s, _ := Start(t, func(*server.Options) {})
	return s.ClientURL()
}

// Start starts a single server with changed options. end stops it; otherwise it ends with the test.
func Start(t testing.TB, change func(o *server.Options)) (s *server.Server, end func()) {
	t.Helper()
	o := options("single", t.TempDir())
	change(o)
	s = start(t, o)
	end = sync.OnceFunc(func() { stop(s) })
	t.Cleanup(end)
	return s, end
}

func options(name, dir string) *server.Options {
	return &server.Options{ServerName: name, Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: dir,
		SyncAlways: true, MaxPayload: 8 << 20, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: 1 << 40, DisableJetStreamBanner: true}
}

func start(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	return s
}

func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Cluster is a cluster of NATS servers.
type Cluster struct {
	t       testing.TB
	options []*server.Options
	servers []*server.Server // nil for one that is stopped
}

// NewCluster starts a cluster of n servers that ends with the test.
func NewCluster(t testing.TB, n int) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	ports := freePorts(t, n)
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i := range n {
		o := options(fmt.Sprintf("n%d", i), t.TempDir())
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}
		o.Routes = routes
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		c.options, c.servers = append(c.options, o), append(c.servers, s)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.Stop(i)
		}
	})
	for i, s := range c.servers {
		if !s.ReadyForConnections(30 * time.Second) {
			t.Fatal("a server of the cluster does not start")
		}
		c.options[i].Port = s.Addr().(*net.TCPAddr).Port
	}
	c.wait()
	return c
}

// freePorts returns ports that are free now.
func freePorts(t testing.TB, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// wait waits until there is a leader that knows all servers.
func (c *Cluster) wait() {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		for _, s := range c.servers {
			if s != nil && s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(c.servers) {
				return
			}
		}
		if time.Now().After(end) {
			c.t.Fatal("the cluster has no leader")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// URL returns the URLs of all servers.
func (c *Cluster) URL() string {
	var all []string
	for _, o := range c.options {
		all = append(all, fmt.Sprintf("nats://127.0.0.1:%d", o.Port))
	}
	return strings.Join(all, ",")
}

// Stop ends a server. It does not wait for a leader to be elected.
func (c *Cluster) Stop(i int) {
	if s := c.servers[i]; s != nil {
		c.servers[i] = nil
		stop(s)
	}
}

// Start starts a server again, with the data that it had. It does not wait for a leader.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i])
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.servers[i] = s
}

// Leader returns the server that leads a stream, or -1.
func (c *Cluster) Leader(stream string) int {
	for i, s := range c.servers {
		if s != nil && s.JetStreamIsStreamLeader("$G", stream) {
			return i
		}
	}
	return -1
}
