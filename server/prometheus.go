package server

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"pktvisor/exposition"
	"pktvisor/successor"
)

// scrape is the cache key of an answer of /metrics for a selection: the format in which it is made. A request can choose one of a
// few formats.
type scrape struct{ format exposition.Format }

// maxScrapeBytes bounds the cached answers of /metrics, in bytes.
const maxScrapeBytes = 4 << 20

// prometheus answers with all metrics. An answer is made at most once a second for each format and selection, in its turn,
// and then sent, so that a slow client does not delay the others. Only answers to requests with name[] are made for each
// request.
func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	targets, sel, err := s.targets(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	format := exposition.Negotiate(r.Header.Values("Accept"), weightOf)
	if s.cfg.SuccessorNames {
		format = exposition.Text
	}
	var p *page
	if names := r.URL.Query()["name[]"]; len(names) > 0 {
		only := func(name string) bool { return slices.Contains(names, name) }
		var failed error
		err = cmp.Or(s.turns.do(r.Context(), false, func() { p, failed = s.metrics.page(targets, sel, format, only) }), failed)
	} else {
		p, err = s.scrapes.getPage(r.Context(), slotKey{sel.Key, scrape{format}}, s.lastSecond(), false, func() (*page, error) {
			return s.metrics.page(targets, sel, format, nil)
		})
	}
	if err != nil {
		Fail(w, r, err)
		return
	}
	s.send(w, r, p)
}

// scraper makes the answers of /metrics. It keeps what changes once a minute from one second to the next.
type scraper struct {
	server   *Server
	own      []OwnMetric
	families []*exposition.Family // of own
	made     atomic.Uint64        // answers
	size     atomic.Int64         // of what changes every second in the last answer, in bytes

	mu      sync.Mutex
	catalog *catalog
	minutes map[string]*minuteBlock // by selection
}

// maxSelections bounds the selections of a hub of which a scraper keeps something.
const maxSelections = 32

func newScraper(s *Server) *scraper {
	m := &scraper{server: s, minutes: make(map[string]*minuteBlock)}
	for _, o := range ownMetrics(s.cfg.Sources) {
		if !o.capture || !s.hub() {
			m.own = append(m.own, o)
		}
	}
	m.own = append(m.own, s.cfg.Metrics...)
	for _, o := range m.own {
		m.families = append(m.families, exposition.NewFamily(o.Name, o.Help, exposedType(o.Type)))
	}
	return m
}

// page makes an answer. If only is not nil, it reports which families are in it.
func (m *scraper) page(targets []target, sel *Selection, format exposition.Format, only func(name string) bool) (*page, error) {
	catalog, block := m.keep(sel.Key, targets)
	gathered := make([]*gathered, len(targets))
	for i := range targets {
		gathered[i] = catalog.gather(&targets[i], m.server.lastSecond())
	}
	if err := sel.failed(); err != nil {
		return nil, err
	}
	// The series of the program itself and of the policies' counters are known before it is decided which rows fit.
	e := exposition.NewEncoder(make([]byte, 0, m.size.Load()), format, only)
	exposition.AppendProcess(e, m.server.cfg.Started)
	n := &now{Status: m.server.cfg.Status(), server: m.server}
	m.appendOwn(e, n, targets, gathered)
	text := m.successor(targets)

	block.mu.Lock()
	defer block.mu.Unlock()
	block.read(catalog, targets, gathered, m.server.cfg.TopN)
	plan := block.plan(targets, gathered, m.server.cfg.Series, e.Series()+samplesIn(text)+len(budgetMetrics))
	catalog.encode(e, targets[:plan.targets], gathered)
	plan.encode(e, m.server.cfg.Series)

	if only != nil {
		block.encode(e)
		return newPage(sel.Key, format.ContentType(), append(append(e.Bytes(), text...), format.End()...)), nil
	}
	m.size.Store(int64(len(e.Bytes()) * 5 / 4))
	head := block.encoded(format)
	body := slices.Concat(head.plain, e.Bytes(), text, []byte(format.End()))
	// Each answer has a tag of its own, because a hash would cost more than the answer, and two are hardly ever equal.
	tag := fmt.Sprintf(`W/"p%x-%x"`, m.server.nonce, m.made.Add(1))
	return &page{contentType: format.ContentType(), body: body, head: head, etag: tag}, nil
}

// keep returns the catalog of the targets and the block of a selection. It makes them if there are none.
func (m *scraper) keep(selection string, targets []target) (*catalog, *minuteBlock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.catalog == nil || !m.catalog.of(targets) {
		m.catalog = newCatalog(targets, m.server.cfg.DisableGroups)
	}
	b := m.minutes[selection]
	if b == nil {
		for other := range m.minutes {
			if len(m.minutes) < maxSelections {
				break
			}
			delete(m.minutes, other)
		}
		b = newMinuteBlock()
		m.minutes[selection] = b
	}
	return m.catalog, b
}

// release drops what is kept of windows that are gone.
func (m *scraper) release(keys []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range keys {
		delete(m.minutes, key)
	}
	for _, b := range m.minutes {
		b.forget()
	}
	m.catalog = nil
}

// successorHandlers are the handlers of a policy that was configured without any: by the command line.
var successorHandlers = []Handler{{Name: "default_net", Type: "net"}, {Name: "default_dns", Type: "dns"}, {Name: "default_pcap", Type: "pcap"}}

// successor returns the newest finished minutes under the names of the original's successor, if these are wanted.
func (m *scraper) successor(targets []target) []byte {
	if !m.server.cfg.SuccessorNames {
		return nil
	}
	var all successor.Exposition
	for i := range targets {
		t := &targets[i]
		b := t.views.Bucket(1)
		if b == nil || t.window == nil {
			continue
		}
		handlers := t.window.Handlers
		if len(handlers) == 0 {
			handlers = successorHandlers
		}
		for _, h := range handlers {
			all.Add(b, successor.Handler(h), successor.Labels{Policy: t.policy, Tap: t.window.Tap, Handler: h.Name, Instance: m.server.cfg.SuccessorInstance})
		}
	}
	return all.AppendTo(nil)
}

// samplesIn returns the number of samples in a text.
func samplesIn(text []byte) (n int) {
	for line := range strings.Lines(string(text)) {
		if line != "\n" && !strings.HasPrefix(line, "#") {
			n++
		}
	}
	return n
}
