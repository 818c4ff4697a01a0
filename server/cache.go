package server

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// page is the body of an answer that many readers get.
type page struct {
	contentType string
	body        []byte
	etag        string
	gzipped     func() []byte // nil where it is not worth it
}

// minGzip is the length from which a body is worth compressing: less fits into one packet anyway.
const minGzip = 1200

func newPage(contentType string, body []byte) *page {
	sum := sha256.Sum256(body)
	// Weak, because it is the same for the compressed body.
	p := &page{contentType: contentType, body: body, etag: fmt.Sprintf(`W/"%x"`, sum[:12])}
	if len(body) >= minGzip && contentType != typeSnapshot { // which is compressed already
		p.gzipped = sync.OnceValue(func() []byte {
			var b bytes.Buffer
			z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // the level is a valid one
			z.Write(body)                                   // a buffer takes everything
			z.Close()
			return b.Bytes()
		})
	}
	return p
}

// serve answers with the page, or with 304 where the reader has it already.
func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("ETag", p.etag)
	h.Set("Cache-Control", "no-cache") // keep it, but ask each time whether it is still right
	h.Set("Vary", "Accept-Encoding, Accept")
	if matches(r.Header.Values("If-None-Match"), p.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	body := p.body
	if p.gzipped != nil && acceptsGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		body = p.gzipped()
	}
	h.Set("Content-Type", p.contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write(body) // a reader that is gone needs no answer
	}
}

// matches tells whether an If-None-Match header has the tag, by weak comparison (RFC 9110, 13.1.2).
func matches(header []string, etag string) bool {
	for part := range strings.SplitSeq(strings.Join(header, ","), ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3).
func acceptsGzip(header []string) bool {
	wildcard := false
	for part := range strings.SplitSeq(strings.Join(header, ","), ",") {
		coding, parameters, _ := strings.Cut(part, ";")
		accepted := true
		if _, q, ok := strings.Cut(parameters, "q="); ok {
			weight, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			accepted = err == nil && weight > 0
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip":
			return accepted
		case "*":
			wildcard = accepted
		}
	}
	return wildcard
}

// maxSlots bounds the pages that are kept, of up to 16 kB each.
const maxSlots = 64

// cache keeps the pages of views. The zero value is an empty one.
type cache struct {
	mu    sync.Mutex
	slots map[string]*slot

	rendered atomic.Uint64 // how many pages were made
}

// slot is the newest page of one view. Its lock is held while the page is made, so that it is made
// once however many readers wait for it.
type slot struct {
	mu      sync.Mutex
	version any
	page    *page
}

// get returns the page that has been made of this version of the view, or makes it. Versions are
// comparable.
func (c *cache) get(view string, version any, contentType string, render func() []byte) *page {
	s := c.slot(view)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page == nil || s.version != version {
		c.rendered.Add(1)
		s.version, s.page = version, newPage(contentType, render())
	}
	return s.page
}

func (c *cache) slot(view string) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.slots[view]; ok {
		return s
	}
	if c.slots == nil {
		c.slots = make(map[string]*slot)
	}
	for other := range c.slots {
		if len(c.slots) < maxSlots {
			break
		}
		delete(c.slots, other) // any: who reads so many views does not come again soon
	}
	s := new(slot)
	c.slots[view] = s
	return s
}
