package chain

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pktvisor/internal/testkit"
)

// document is a document of the index.
type document struct {
	Index, ID string
	Time      time.Time
	Name      string
	Tags      map[string]string
	Fields    map[string]any
	Source    map[string]any // all of it
}

// sink takes the requests of a client of Elasticsearch and keeps the documents. A document replaces one of the same index and ID,
// as in Elasticsearch.
type sink struct {
	*httptest.Server
	t testing.TB

	mu        sync.Mutex
	documents map[string]document // by index and ID
	received  int
}

func newSink(t testing.TB) *sink {
	s := &sink{t: t, documents: map[string]document{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// ServeHTTP answers the question for the version, and bulk requests (Elasticsearch, REST API, "Bulk index or delete documents").
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	switch r.Method + " " + r.URL.Path {
	case "GET /", "HEAD /":
		fmt.Fprint(w, `{"version":{"number":"8.19.0"}}`)
		return
	case "POST /_bulk":
	default:
		s.t.Errorf("the client of Elasticsearch asks %s %s", r.Method, r.URL)
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			s.t.Error(err)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []string
	for lines := json.NewDecoder(body); lines.More(); {
		var action struct {
			Index struct {
				Index string `json:"_index"`
				ID    string `json:"_id"`
			}
		}
		var source map[string]any
		if err := lines.Decode(&action); err != nil || action.Index.ID == "" {
			s.t.Errorf("an action %+v: %v", action, err)
			return
		}
		if err := lines.Decode(&source); err != nil {
			s.t.Error(err)
			return
		}
		d, err := readDocument(source)
		if err != nil {
			s.t.Error(err)
		}
		d.Index, d.ID = action.Index.Index, action.Index.ID
		s.documents[d.Index+"/"+d.ID] = d
		s.received++
		items = append(items, `{"index":{"status":200}}`)
	}
	fmt.Fprintf(w, `{"took":1,"errors":false,"items":[%s]}`, strings.Join(items, ","))
}

// readDocument reads the form of Telegraf's output for Elasticsearch.
func readDocument(source map[string]any) (d document, err error) {
	d.Source = source
	d.Name, _ = source["measurement_name"].(string)
	d.Fields, _ = source[d.Name].(map[string]any)
	d.Tags = map[string]string{}
	tags, _ := source["tag"].(map[string]any)
	for k, v := range tags {
		d.Tags[k], _ = v.(string)
	}
	at, _ := source["@timestamp"].(string)
	d.Time, err = time.Parse(time.RFC3339Nano, at)
	if len(source) != 4 || d.Fields == nil {
		err = fmt.Errorf("a document of another form: %v", source)
	}
	return d, err
}

// all returns the documents, and how many were received.
func (s *sink) all() ([]document, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.documents)), s.received
}

// telegraf runs Telegraf once with configurations, and returns what it wrote into a file.
func telegraf(t *testing.T, env []string, configs ...string) []document {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.json")
	toFile := filepath.Join(t.TempDir(), "file.conf")
	if err := os.WriteFile(toFile, fmt.Appendf(nil, "[[outputs.file]]\n  files = [%q]\n  data_format = \"json\"\n", out), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--once", "--strict-env-handling"}
	for _, c := range append(configs, toFile) {
		args = append(args, "--config", c)
	}
	cmd := exec.Command(Peer(t, "telegraf"), args...)
	cmd.Env = append(os.Environ(), env...)
	log, err := cmd.CombinedOutput()
	if err != nil || bytes.Contains(log, []byte(" E! ")) {
		t.Fatalf("telegraf: %v\n%s", err, log)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var documents []document
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Buffer(nil, 1<<20); lines.Scan(); {
		var line struct {
			Name      string
			Timestamp int64
			Tags      map[string]string
			Fields    map[string]any
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		documents = append(documents, document{Name: line.Name, Time: time.Unix(line.Timestamp, 0), Tags: line.Tags, Fields: line.Fields})
	}
	return documents
}

// example returns the path of a file of examples/.
func example(t testing.TB, name string) string {
	return filepath.Join(testkit.RepoRoot(t), "examples", name)
}

// wantDocuments are the documents of a minute, by minute and tags.
func wantDocuments(s summary, tags map[string]string) map[string]map[string]any {
	want := map[string]map[string]any{}
	numbers := map[string]any{}
	for path, v := range s.numbers {
		numbers[path] = v
	}
	want["pktvisor "+key(s.start, tags)] = numbers
	for table, rows := range s.tables {
		for i, row := range rows {
			rowTags := maps.Clone(tags)
			rowTags["table"], rowTags["rank"] = table, fmt.Sprintf("%02d", i+1)
			fields := maps.Clone(row)
			for _, bound := range []string{"lower", "upper"} {
				if fields[bound] == nil {
					fields[bound] = row["estimate"]
				}
			}
			if list, ok := fields["hints"].([]any); ok {
				words := make([]string, len(list))
				for i := range list {
					words[i] = fmt.Sprint(list[i])
				}
				fields["hints"] = strings.Join(words, ",")
			}
			want["pktvisor_top "+key(s.start, rowTags)] = fields
		}
	}
	return want
}

// compare compares documents with those that are expected.
func compare(t *testing.T, what string, got []document, want map[string]map[string]any) {
	t.Helper()
	have := map[string]map[string]any{}
	for _, d := range got {
		k := d.Name + " " + key(d.Time.Unix(), d.Tags)
		if have[k] != nil {
			t.Errorf("%s: twice: %s", what, k)
		}
		have[k] = d.Fields
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s (-API +Telegraf):\n%.4000s", what, diff)
	}
}

// TestTelegraf: with the configuration of the examples, every number of the newest finished minute arrives as the API has it, in a file and
// in what is sent to Elasticsearch. Polling the minute again replaces its documents.
func TestTelegraf(t *testing.T) {
	Peer(t, "telegraf")
	build(t, "pktvisord")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	type poll struct {
		file, sent []document
		received   int // by Elasticsearch since the start
	}
	var last int64
	var body []byte
	var polls []poll
	whileNewest(t, func(p *testkit.Program, newest int64) {
		last, body, polls = newest, get(t, "http://"+p.Addr+"/api/v1/metrics/bucket/1"), nil
		db := newSink(t)
		for range 2 {
			file := telegraf(t, []string{"PKTVISOR_AGENT=http://" + p.Addr, "ELASTICSEARCH=" + db.URL}, example(t, "telegraf/telegraf.conf"))
			sent, n := db.all()
			polls = append(polls, poll{file, sent, n})
		}
	})

	s := readSummary(t, body)
	if s.start != last || s.numbers["dns.wire_packets.total"] < 1000 || s.numbers["period.lost"] != 7 || len(s.tables) < 15 {
		t.Fatalf("bucket/1 is of %d, want %d, with %d tables and %v", s.start, last, len(s.tables), s.numbers)
	}
	for i, name := range hostileNames {
		if got := s.tables["dns.top_qname3"][i]["name"]; got != name {
			t.Fatalf("row %d is %q, want %q", i, got, name)
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(s.tables)), func(rows []map[string]any) bool { return rows[0]["upper"] != nil }) {
		t.Fatal("no row has bounds")
	}
	want := wantDocuments(s, map[string]string{"host": host})
	for i, p := range polls {
		compare(t, fmt.Sprintf("file, poll %d", i+1), p.file, want)
		compare(t, fmt.Sprintf("Elasticsearch, poll %d", i+1), p.sent, want)
		if p.received != (i+1)*len(want) {
			t.Errorf("%d documents were sent in %d polls, want %d", p.received, i+1, (i+1)*len(want))
		}
	}
	sent := polls[0].sent
	checkDocuments(t, sent)
	checkQueries(t, sent)
	bytes := 0
	for _, d := range sent {
		text, _ := json.Marshal(d.Source)
		bytes += len(text)
		if index := time.Unix(last, 0).UTC().Format("pktvisor-2006.01.02"); d.Index != index {
			t.Fatalf("index %s, want %s", d.Index, index)
		}
	}
	t.Logf("%d documents a minute, %d bytes", len(want), bytes)
}
