package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// scenario is one kind of harm.
type scenario struct {
	name  string
	needs func() (missing string) // nil if it needs nothing
	play  func(ctx context.Context, p *play) error
}

var scenarios = []scenario{
	{"hub", nil, killHub},
	{"leader", nil, killLeader},
	{"split", nil, split},
	{"power", needRoot, cutPower},
	{"disk", needRoot, fillDisk},
}

func needRoot() string {
	if os.Getuid() != 0 {
		return "it mounts a file system, so it needs root"
	}
	if command("unshare", "-m", "losetup", "-f") != nil {
		return "it mounts a file system, which is not allowed here"
	}
	return ""
}

// play is one run of a scenario.
type play struct {
	*chaos
	dir      string
	cluster  *cluster
	hubs     []*hubProcess
	sim      *process
	mounts   []string
	hits     int
	compared int
}

// hubProcess is a hub, and how to start it again.
type hubProcess struct {
	args []string
	proc *process
	url  string
}

// stop ends everything that the scenario has started.
func (p *play) stop() {
	p.sim.kill()
	for _, h := range p.hubs {
		h.proc.kill()
	}
	if p.cluster != nil {
		p.cluster.stop()
	}
	for _, m := range p.mounts {
		if out, err := exec.Command("umount", m).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "chaos: umount %s: %v: %s\n", m, err, out)
		}
	}
}

// startHub starts a hub with the given store, on a port that stays the same when it is started again.
func (p *play) startHub(args ...string) (*hubProcess, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	h := &hubProcess{args: append([]string{"-p", strconv.Itoa(ports[0]), "-l", "127.0.0.1", "--keep", "raw=24h"}, args...)}
	h.url = fmt.Sprintf("http://127.0.0.1:%d/", ports[0])
	p.hubs = append(p.hubs, h)
	return h, p.startAgain(h)
}

var serving = regexp.MustCompile(`msg=serving url=(\S+)`)

func (p *play) startAgain(h *hubProcess) (err error) {
	if h.proc, err = startProcess(filepath.Join(p.dir, fmt.Sprintf("hub-%d.log", hubIndex(p.hubs, h))), exec.Command(p.hub, h.args...)); err != nil {
		return err
	}
	_, err = h.proc.logged(serving, 3*time.Minute)
	return err
}

func hubIndex(hubs []*hubProcess, h *hubProcess) int {
	for i := range hubs {
		if hubs[i] == h {
			return i
		}
	}
	return len(hubs)
}

// startFleet lets a fleet push minutes that lie in the past, all at once.
func (p *play) startFleet(nats string) error {
	out, err := os.Create(filepath.Join(p.dir, "sums.json"))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.hub, "simulate", "--push", nats, "--hosts", strconv.Itoa(p.hosts), "--pops", "4", "--countries", "2",
		"--minutes", strconv.Itoa(p.minutes), "--speed", strconv.Itoa(60*p.minutes/p.spread+1), "--duplicate", "0.1", "--late", "0.1", "--restart", "0.05", "--skew", "1h",
		"--seed", strconv.FormatUint(p.rng.Uint64()>>1, 10))
	cmd.Stdout = out
	p.sim, err = startProcess(filepath.Join(p.dir, "fleet.log"), cmd)
	return err
}

// harm calls do again and again, with random pauses, until all agents have delivered everything.
func (p *play) harm(ctx context.Context, least int, do func() error) error {
	for n := 0; ; n++ {
		select {
		case <-p.sim.done:
			if n >= least {
				return p.sim.wait(0)
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(500+p.rng.IntN(4000)) * time.Millisecond):
		}
		if n >= p.most {
			return p.sim.wait(10 * time.Minute)
		}
		p.hits++
		if err := do(); err != nil {
			return err
		}
	}
}

// compare waits until a hub says the exact sums.
func (p *play) compare(h *hubProcess) error {
	sums, err := readSums(filepath.Join(p.dir, "sums.json"))
	if err != nil {
		return err
	}
	c := &checker{hub: h.url}
	err = eventually(4*time.Minute, func() error { return c.check(sums) })
	p.compared += c.compared
	if err != nil {
		return fmt.Errorf("the hub at %s does not agree:\n%s", h.url, firstLines(err, 20))
	}
	return nil
}

// killHub kills a hub with an embedded store again and again.
func killHub(ctx context.Context, p *play) error {
	h, err := p.startBoth(filepath.Join(p.dir, "data"))
	if err != nil {
		return err
	}
	err = p.harm(ctx, 1, func() error {
		h.proc.kill()
		return p.startAgain(h)
	})
	if err != nil {
		return err
	}
	return p.compare(h)
}

// startBoth starts a hub that keeps everything in a directory, and a fleet that delivers to it.
func (p *play) startBoth(dir string) (*hubProcess, error) {
	nats, args, err := p.embedded(dir)
	if err != nil {
		return nil, err
	}
	h, err := p.startHub(args...)
	if err != nil {
		return nil, err
	}
	return h, p.startFleet(nats)
}

// embedded returns the URL and the options of a hub that keeps everything in a directory.
func (p *play) embedded(dir string) (nats string, args []string, err error) {
	ports, err := freePorts(1)
	if err != nil {
		return "", nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	return "nats://" + address, []string{"--data", dir, "--nats-listen", address, "--raw-size", "256MiB"}, nil
}

// onCluster starts a cluster and two hubs that share it.
func (p *play) onCluster() (err error) {
	if p.cluster, err = startCluster(p.dir); err != nil {
		return err
	}
	for range 2 {
		if _, err := p.startHub("--nats", p.cluster.url(), "--raw-size", "256MiB"); err != nil {
			return err
		}
	}
	return p.startFleet(p.cluster.url())
}

// killLeader kills the leader of one of the streams, or one of two hubs.
func killLeader(ctx context.Context, p *play) error {
	if err := p.onCluster(); err != nil {
		return err
	}
	streams := []string{"PV_RAW", "PV_ROLL_1M", "PV_ROLL_5M"}
	err := p.harm(ctx, 1, func() error {
		if p.rng.IntN(3) == 0 {
			h := p.hubs[p.rng.IntN(len(p.hubs))]
			h.proc.kill()
			return p.startAgain(h)
		}
		n, err := p.cluster.leader(streams[p.rng.IntN(len(streams))])
		if err != nil {
			n = p.cluster.nodes[p.rng.IntN(len(p.cluster.nodes))] // between two leaders
		}
		n.proc.kill()
		time.Sleep(time.Duration(p.rng.IntN(3000)) * time.Millisecond)
		return n.start(p.cluster.dir)
	})
	if err != nil {
		return err
	}
	return p.compareBoth()
}

// compareBoth compares what each of the hubs says.
func (p *play) compareBoth() error {
	var errs []error
	for _, h := range p.hubs {
		errs = append(errs, p.compare(h))
	}
	return errors.Join(errs...)
}

// split cuts the network between one node of the cluster and the other two.
func split(ctx context.Context, p *play) error {
	if err := p.onCluster(); err != nil {
		return err
	}
	err := p.harm(ctx, 1, func() error {
		alone := p.rng.IntN(len(p.cluster.nodes))
		p.cluster.isolate(alone, true)
		time.Sleep(time.Duration(2000+p.rng.IntN(8000)) * time.Millisecond)
		p.cluster.isolate(alone, false)
		return nil
	})
	if err != nil {
		return err
	}
	return p.compareBoth()
}
