package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"pktvisor/internal/testkit"
	"pktvisor/internal/testkit/veth"
)

// agent is the agent that is attacked.
type agent struct {
	cmd *exec.Cmd
	url string
}

func startAgent(ctx context.Context, o *options) (*agent, error) {
	const port = "10853" // nothing else is in the namespace
	a := &agent{url: "http://127.0.0.1:" + port}
	args := []string{
		"-p", port, "-H", testkit.HostSpec, "--no-auto-host", "--shards", strconv.Itoa(o.shards), "--ring-size", strconv.Itoa(o.ring),
		"--min-deep-sample", strconv.Itoa(o.least), "--max-cpu", strconv.Itoa(o.maxCPU), veth.Receiver,
	}
	a.cmd = exec.Command(o.agent, args...)
	a.cmd.Stderr = os.Stderr
	veth.DieWithParent(a.cmd)
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	ready := a.wait(ctx, 10*time.Second, func() bool {
		_, err := a.get(ctx, "/readyz")
		return err == nil
	})
	if !ready {
		a.end()
		return nil, fmt.Errorf("the agent does not get ready")
	}
	return a, nil
}

// wait waits until f returns true. It gives up after a limit.
func (a *agent) wait(ctx context.Context, limit time.Duration, f func() bool) bool {
	for end := time.Now().Add(limit); !f(); {
		if time.Now().After(end) || !sleep(ctx, 20*time.Millisecond) {
			return false
		}
	}
	return true
}

func (a *agent) end() {
	a.cmd.Process.Kill() // it may have ended already
	a.cmd.Wait()
}

// get returns the answer to a request.
func (a *agent) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d: %s", path, res.StatusCode, b)
	}
	return b, err
}

// appInfo is the part of /app that matters here.
type appInfo struct {
	Sample struct {
		Percent         float64 `json:"percent"`
		Min             float64 `json:"min_percent"`
		Max             float64 `json:"max_percent"`
		Lowered, Raised uint64
		Reason          string
	}
	Drops struct {
		OS uint64 `json:"os_drops"`
		IF uint64 `json:"if_drops"`
	}
}

func (a *agent) app(ctx context.Context) (*appInfo, error) {
	var v struct{ App appInfo }
	b, err := a.get(ctx, "/api/v1/metrics/app")
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	return &v.App, err
}

// row is a row of a table.
type row struct {
	Name             string
	Estimate, Scaled uint64
	Lower            uint64 `json:"scaled_lower"`
	Upper            uint64 `json:"scaled_upper"`
}

// summary is the part of a window that matters here.
type summary struct {
	Packets struct{ Total uint64 }
	DNS     struct {
		Wire  struct{ Total uint64 } `json:"wire_packets"`
		Top   []row                  `json:"top_qname2"`
		Names struct {
			Qname uint64 `json:"qname"`
			Lower uint64 `json:"qname_scaled_lower"`
			Upper uint64 `json:"qname_scaled_upper"`
		} `json:"cardinality"`
	}
}

// window returns the summary of everything, as long as the run takes less than five minutes.
func (a *agent) window(ctx context.Context) (*summary, error) {
	b, err := a.get(ctx, "/api/v1/metrics/window/5")
	if err != nil {
		return nil, err
	}
	var all map[string]*summary
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	for _, s := range all {
		return s, nil
	}
	return nil, fmt.Errorf("no summary: %s", b)
}

// cpu returns the CPU time that the agent has taken so far.
func (a *agent) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The fields after the name in parentheses; utime and stime are the 14th and 15th of all, in ticks of 10 ms.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond
}
