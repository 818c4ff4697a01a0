package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// node is one server of a JetStream cluster on loopback. It is a process of its own, so that it can be killed.
type node struct {
	Name    string
	Dir     string
	Client  int   // port for clients
	Cluster int   // port for the other nodes
	Routes  []int // ports of the proxies that lead to the other nodes

	proc *process
}

// serveNode runs a node until the process is killed. The argument is a node as JSON.
func serveNode(arg string) error {
	var n node
	if err := json.Unmarshal([]byte(arg), &n); err != nil {
		return err
	}
	var routes []string
	for _, port := range n.Routes {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	opts := &server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Client, JetStream: true, StoreDir: n.Dir, SyncAlways: true, NoSigs: true,
		// Without advertisement, the nodes know each other only by the proxies.
		Cluster:           server.ClusterOpts{Name: "chaos", Host: "127.0.0.1", Port: n.Cluster, NoAdvertise: true, PoolSize: -1},
		Routes:            server.RoutesFromStr(strings.Join(routes, ",")),
		JetStreamMaxStore: 4 << 30, JetStreamMaxMemory: 64 << 20, MaxPayload: 8 << 20,
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.SetLoggerV2(logger{}, false, false, false)
	s.Start()
	s.WaitForShutdown()
	return nil
}

// logger writes what a node reports to standard error, which is a file.
type logger struct{}

func (logger) Noticef(format string, v ...any) { fmt.Fprintf(os.Stderr, format+"\n", v...) }
func (logger) Warnf(format string, v ...any)   { fmt.Fprintf(os.Stderr, "warning: "+format+"\n", v...) }
func (logger) Errorf(format string, v ...any)  { fmt.Fprintf(os.Stderr, "error: "+format+"\n", v...) }
func (logger) Fatalf(format string, v ...any)  { fmt.Fprintf(os.Stderr, "fatal: "+format+"\n", v...) }
func (logger) Debugf(string, ...any)           {}
func (logger) Tracef(string, ...any)           {}

// start starts the node, or starts it again on what it has stored.
func (n *node) start(dir string) error {
	arg, err := json.Marshal(n)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.proc, err = startProcess(filepath.Join(dir, n.Name+".log"), exec.Command(self, "node", string(arg)))
	return err
}

// cluster is three nodes whose connections to each other can be cut.
type cluster struct {
	dir     string
	nodes   []*node
	proxies [][]*proxy // from node i to node k; nil for i == k
}

// startCluster starts three nodes that store under dir.
func startCluster(dir string) (*cluster, error) {
	c := &cluster{dir: dir}
	const size = 3
	for i := range size {
		ports, err := freePorts(2)
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, &node{Name: "n" + strconv.Itoa(i), Dir: filepath.Join(dir, "n"+strconv.Itoa(i)), Client: ports[0], Cluster: ports[1]})
	}
	for i, n := range c.nodes {
		c.proxies = append(c.proxies, make([]*proxy, size))
		for k, to := range c.nodes {
			if i == k {
				continue
			}
			p, err := newProxy(to.Cluster)
			if err != nil {
				return nil, err
			}
			c.proxies[i][k] = p
			n.Routes = append(n.Routes, p.port())
		}
	}
	for _, n := range c.nodes {
		if err := n.start(dir); err != nil {
			return nil, err
		}
	}
	return c, c.ready(60 * time.Second)
}

// url lists all nodes for clients.
func (c *cluster) url() string {
	var urls []string
	for _, n := range c.nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", n.Client))
	}
	return strings.Join(urls, ",")
}

// ready waits until the cluster can make a stream with three copies.
func (c *cluster) ready(wait time.Duration) error {
	return eventually(wait, func() error {
		nc, err := nats.Connect(c.url(), nats.Timeout(time.Second))
		if err != nil {
			return err
		}
		defer nc.Close()
		js, err := nc.JetStream(nats.MaxWait(5 * time.Second))
		if err != nil {
			return err
		}
		if _, err := js.AddStream(&nats.StreamConfig{Name: "CHAOS_READY", Subjects: []string{"chaos.ready"}, Replicas: 3}); err != nil {
			return err
		}
		return js.DeleteStream("CHAOS_READY")
	})
}

// leader returns the node that leads a stream.
func (c *cluster) leader(stream string) (*node, error) {
	nc, err := nats.Connect(c.url(), nats.Timeout(2*time.Second))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := nc.JetStream(nats.MaxWait(5 * time.Second))
	if err != nil {
		return nil, err
	}
	info, err := js.StreamInfo(stream)
	if err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if info.Cluster != nil && n.Name == info.Cluster.Leader {
			return n, nil
		}
	}
	return nil, fmt.Errorf("stream %s has no leader", stream)
}

// isolate cuts the connections of a node to the others, or restores them.
func (c *cluster) isolate(alone int, cut bool) {
	for i := range c.nodes {
		if i != alone {
			c.proxies[i][alone].cut(cut)
			c.proxies[alone][i].cut(cut)
		}
	}
}

// stop kills all nodes.
func (c *cluster) stop() {
	for _, n := range c.nodes {
		n.proc.kill()
	}
	for _, row := range c.proxies {
		for _, p := range row {
			if p != nil {
				p.close()
			}
		}
	}
}

// freePorts returns ports that nothing listened on a moment ago.
func freePorts(n int) ([]int, error) {
	var ports []int
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
