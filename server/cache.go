package server

import (
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"pktvisor/metric"
)

// page is the body of an answer that is sent to many clients.
type page struct {
	contentType string
	body        []byte
	etag        string

	// head is the beginning of the body if other pages share it, or nil.
	head *deflated

	// best says that the body is compressed as well as possible, because it stays the same.
	best     bool
	compress sync.Once
	gzipped  atomic.Pointer[[]byte]
}

// minGzip is the length in bytes from which a body is worth compressing. A shorter body fits into one packet anyway.
const minGzip = 1200

// newPage makes a page. Its tag depends on the selection that it is about, too: two policies, and a policy that was removed and
// one of the same name, have different tags, even if they have the same content.
func newPage(selection, contentType string, body []byte) *page {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n", selection)
	sum.Write(body)
	// The tag is weak because it is the same for the compressed body.
	return &page{contentType: contentType, body: body, etag: fmt.Sprintf(`W/"%x"`, sum.Sum(nil)[:12])}
}

// newStatic makes a page that does not change while the program runs.
func newStatic(contentType string, body []byte) *page {
	p := newPage("", contentType, body)
	p.best = true
	return p
}

// size returns roughly how many bytes a page occupies. It includes a compressed body if there may be one.
func (p *page) size() int {
	if p.contentType == typeSnapshot {
		return len(p.body)
	}
	return len(p.body) + len(p.body)/2
}

// gzip returns the compressed body, which it makes only once.
func (p *page) gzip(ctx context.Context, t turns) ([]byte, error) {
	if b := p.gzipped.Load(); b != nil {
		return *b, nil
	}
	err := t.do(ctx, false, func() {
		p.compress.Do(func() { p.gzipped.Store(new(p.compressed())) })
	})
	if err != nil {
		return nil, err
	}
	return *p.gzipped.Load(), nil
}

// compressed returns the body as gzip. What it shares with others was compressed before.
func (p *page) compressed() []byte {
	if p.head != nil {
		return p.head.gzip(p.body)
	}
	var b bytes.Buffer
	level := gzip.BestSpeed
	if p.best {
		level = gzip.BestCompression
	}
	z, _ := gzip.NewWriterLevel(&b, level) // the level is valid
	z.Write(p.body)                        // writing to a buffer does not fail
	z.Close()
	return b.Bytes()
}

// deflated is the beginning of several bodies. It is compressed once for all of them.
type deflated struct {
	plain    []byte
	compress sync.Once
	small    []byte // deflate blocks that end at a whole byte, none of which is the last
}

// compressors are used again and again, because each has a megabyte of tables. Garbage collections empty the pool.
var compressors = sync.Pool{New: func() any {
	z, _ := flate.NewWriter(nil, flate.BestSpeed) // the level is valid
	return z
}}

// gzip returns a body that begins with d.plain as gzip (RFC 1952). Blocks of deflate that end at a whole byte can be followed
// by those of another compressor.
func (d *deflated) gzip(body []byte) []byte {
	z := compressors.Get().(*flate.Writer)
	defer compressors.Put(z)
	d.compress.Do(func() {
		var b bytes.Buffer
		z.Reset(&b)
		z.Write(d.plain) // writing to a buffer does not fail
		z.Flush()
		d.small = b.Bytes()
	})
	b := bytes.NewBuffer(make([]byte, 0, len(d.small)+len(body)/4))
	b.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255}) // deflate, no name and time, fastest compression, unknown system
	b.Write(d.small)
	z.Reset(b)
	z.Write(body[len(d.plain):])
	z.Close()
	out := binary.LittleEndian.AppendUint32(b.Bytes(), crc32.ChecksumIEEE(body))
	return binary.LittleEndian.AppendUint32(out, uint32(len(body)))
}

// unchanged sets the headers of an answer that may be requested again. If the client already has the answer, it sends
// 304 and returns true.
func unchanged(w http.ResponseWriter, r *http.Request, etag string) bool {
	h := w.Header()
	h.Set("ETag", etag)
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache") // keep it, but ask each time whether it is still valid
	}
	h.Add("Vary", "Accept-Encoding, Accept")
	if !matches(r.Header.Values("If-None-Match"), etag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// send answers with a page, or with 304 if the client already has it.
func (s *Server) send(w http.ResponseWriter, r *http.Request, p *page) {
	if unchanged(w, r, p.etag) {
		return
	}
	gzip, identity, preferGzip := codings(r)
	worth := len(p.body) >= minGzip && p.contentType != typeSnapshot // a snapshot is already compressed
	body := p.body
	switch {
	case !gzip && !identity:
		fail(w, http.StatusNotAcceptable, "this answer is available plain or with gzip, and Accept-Encoding refuses both")
		return
	case !identity || preferGzip && worth:
		small, err := p.gzip(r.Context(), s.turns)
		if err != nil {
			failBusy(w, r, err)
			return
		}
		body = small
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.Header().Set("Content-Type", p.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	if !s.sending.begin(p) {
		w.Header().Del("Content-Encoding")
		w.Header().Del("Content-Length")
		failBusy(w, r, errBusy)
		return
	}
	defer s.sending.end(p)
	w.Write(body) // if the client is gone, nothing needs to be done
}

// matches reports whether an If-None-Match header has the tag, by weak comparison (RFC 9110, 13.1.2).
func matches(header []string, etag string) bool {
	for part := range strings.SplitSeq(strings.Join(header, ","), ",") {
		part = strings.TrimSpace(part)
		if part == "*" || strings.TrimPrefix(part, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// minKept is what a kept page counts at least, in bytes. It bounds the number of kept pages.
const minKept = 1 << 10

// maxSlots bounds the views without a kept page that a cache remembers.
const maxSlots = 256

// slotKey is the key of a page in a cache: the key of the selection, and the name of a view of it, or a weak pointer to the bucket
// that the page shows.
type slotKey struct {
	selection string
	view      any
}

// cache keeps the newest page of each view.
type cache struct {
	// has reports whether pages of a selection may be kept. It is nil if all may.
	has func(selection string) bool

	turns   turns
	reclaim *reclaim
	most    int         // the maximum of kept bytes
	refuses atomic.Bool // make no pages

	mu    sync.Mutex
	sheds bool // keep no pages
	slots map[slotKey]*slot
	bytes int // of the kept pages

	rendered atomic.Uint64 // the number of pages made so far
}

func newCache(t turns, r *reclaim, most int) *cache {
	return &cache{turns: t, reclaim: r, most: most, slots: make(map[slotKey]*slot)}
}

// slot is the newest page of one view. It is locked while the page is made, so that the page is made once for all
// waiting clients.
type slot struct {
	lock    lock
	version any
	page    *page

	size int // the page's share of the cache's bytes; guarded by the cache's mutex
}

// get returns the page of this version of the view. If the cache does not have the page, get waits for its turn and
// makes it. Versions are comparable. It returns an error if the wait is too long, or if render does.
func (c *cache) get(ctx context.Context, view slotKey, version any, large bool, contentType string, render func() ([]byte, error)) (*page, error) {
	return c.getPage(ctx, view, version, large, func() (*page, error) {
		body, err := render()
		if err != nil {
			return nil, err
		}
		return newPage(view.selection, contentType, body), nil
	})
}

// getPage is like get, for a page that the caller makes.
func (c *cache) getPage(ctx context.Context, view slotKey, version any, large bool, render func() (*page, error)) (*page, error) {
	s := c.slot(view)
	if err := s.lock.take(ctx); err != nil {
		return nil, err
	}
	defer s.lock.release()
	if s.page != nil && s.version == version {
		return s.page, nil
	}
	if c.refuses.Load() {
		return nil, errShort
	}
	var failed error
	err := c.turns.do(ctx, large, func() {
		c.rendered.Add(1)
		var p *page
		if p, failed = render(); failed == nil {
			s.version, s.page = version, p
		}
	})
	if err := cmp.Or(err, failed); err != nil {
		return nil, err
	}
	switch {
	case large:
		c.reclaim.note(largeGarbage)
	case s.page.contentType == typeSnapshot:
		c.reclaim.note(snapshotGarbage)
	}
	c.keep(view, s, max(s.page.size(), minKept))
	return s.page, nil
}

// slot returns the slot of a view, and adds it if there is none.
func (c *cache) slot(view slotKey) *slot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.slots[view]; ok {
		return s
	}
	empty := 0
	for _, s := range c.slots {
		if s.size == 0 {
			empty++
		}
	}
	for other, s := range c.slots {
		if empty < maxSlots {
			break
		}
		if s.size == 0 {
			c.drop(other)
			empty--
		}
	}
	s := &slot{lock: make(lock, 1)}
	c.slots[view] = s
	return s
}

// keep makes room for the page of a slot. It first drops the pages of buckets that no longer exist, then pages of any
// views. Dropping the least recently used page would be worst for clients that read all buckets in turn.
func (c *cache) keep(view slotKey, s *slot, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots[view] != s {
		return
	}
	if c.has != nil && !c.has(view.selection) { // it is gone since
		c.drop(view)
		return
	}
	c.bytes += size - s.size
	s.size = size
	for other := range c.slots {
		if b, ok := other.view.(weak.Pointer[metric.Bucket]); ok && b.Value() == nil {
			c.drop(other)
		}
	}
	for other, o := range c.slots {
		if c.bytes <= c.most && !c.sheds {
			return
		}
		if o != s && o.size > 0 {
			c.drop(other)
		}
	}
	if c.bytes > c.most || c.sheds {
		c.drop(view)
	}
}

// shed drops all pages, and keeps none until it is called with false.
func (c *cache) shed(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sheds = on
	if on {
		clear(c.slots)
		c.bytes = 0
	}
}

// release drops all pages of some selections.
func (c *cache) release(selections []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for view := range c.slots {
		if slices.Contains(selections, view.selection) {
			c.drop(view)
		}
	}
}

// drop removes a view.
func (c *cache) drop(view slotKey) {
	c.bytes -= c.slots[view].size
	delete(c.slots, view)
}

// size returns the number of bytes of the kept pages.
func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
