// Package chain tests the programs that collect summaries: Telegraf, VictoriaMetrics and the
// OpenTelemetry Collector. The real programs read a real agent or hub, or get its pushes, and what they store is compared with what the API says.
//
// Each program is built from its Go module, pinned in a go.mod of its own in a folder below this one, so that the go.mod of the
// project does not grow. These go.mod files list only the modules of the packages that are built. "go mod tidy" would add hundreds.
// scripts/chain.sh builds the programs into out/chain ("make chain"). A test skips if its program is not there.
package chain

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pktvisor/internal/testkit"
)

// Peer returns the path of a program that scripts/chain.sh builds. It skips the test if the program was not built, unless the
// environment variable CHAIN lists it: then the test fails.
func Peer(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(testkit.RepoRoot(tb), "out", "chain", name)
	if _, err := os.Stat(path); err != nil {
		if slices.Contains(strings.Fields(os.Getenv("CHAIN")), name) {
			tb.Fatal(err)
		}
		tb.Skipf("this test needs %s: scripts/chain.sh %s builds it", path, name)
	}
	return path
}

// Recorder passes requests on to a handler and keeps the answers with status 200, by path. It may be used by any number of goroutines.
type Recorder struct {
	Handler http.Handler

	mu      sync.Mutex
	answers []Answer
}

// Answer is an answer that a program has received.
type Answer struct {
	Path string
	// Type is its media type.
	Type string
	Body []byte
}

// Answers returns the answers so far.
func (r *Recorder) Answers() []Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.answers)
}

// ServeHTTP implements [http.Handler].
func (r *Recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	q.Header.Del("Accept-Encoding") // so that the kept answers are plain
	kept := &keeping{ResponseWriter: w, status: http.StatusOK}
	r.Handler.ServeHTTP(kept, q)
	if kept.status == http.StatusOK {
		r.mu.Lock()
		r.answers = append(r.answers, Answer{q.URL.Path, w.Header().Get("Content-Type"), kept.body})
		r.mu.Unlock()
	}
}

// keeping is a response whose body is kept.
type keeping struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (k *keeping) WriteHeader(status int) {
	k.status = status
	k.ResponseWriter.WriteHeader(status)
}

func (k *keeping) Write(b []byte) (int, error) {
	k.body = append(k.body, b...)
	return k.ResponseWriter.Write(b)
}
