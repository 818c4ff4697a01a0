package collect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pktvisor/access"
	"pktvisor/api"
	"pktvisor/hub/store"
	"pktvisor/metric"
)

// typeSnapshot is the media type of snapshots.
const typeSnapshot = "application/vnd.pktvisor.snapshot"

// requestLimit bounds a request with its answer. What came before the end of that time counts.
const requestLimit = 30 * time.Second

// job is one request to an agent.
type job struct {
	url   *url.URL
	tags  metric.Tags
	since int64
	limit int    // the greatest number of minutes; 0 means the agent's own limit
	etag  string // of the answer to the same request before, or ""
	again bool   // store minutes that were stored before, too
}

// outcome is what came of a job.
type outcome struct {
	err      error  // no answer, or none that could be read to its end
	reason   Reason // why the rest of the answer was refused, or ""
	storeErr error  // the store failed
	clock    time.Time
	clocked  bool // clock is the agent's clock, which was read when the answer began
	news     bool // the answer is not "unchanged"
	etag     string
	more     bool  // the agent has more, from next on
	next     int64 // only with more
	stored   uint64
	bytes    int64
	refused  map[Reason]uint64
	hubs     []uint64         // whose minutes are in those of the answer
	hosts    map[string]claim // the newest stored minute of each host
	agent    string           // program and version
}

// claim says that a target has delivered a minute of a host.
type claim struct {
	boot   uint64
	minute int64
}

// add adds what an earlier request of the same job has stored.
func (o *outcome) add(before *outcome) {
	o.stored += before.stored
	o.bytes += before.bytes
	o.agent = cmp.Or(o.agent, before.agent)
	for host, c := range before.hosts {
		if o.hosts == nil {
			o.hosts = map[string]claim{}
		}
		if now, has := o.hosts[host]; !has || c.minute > now.minute {
			o.hosts[host] = c
		}
	}
}

func (o *outcome) refuse(r Reason) {
	if o.refused == nil {
		o.refused = map[Reason]uint64{}
	}
	o.refused[r]++
}

// puller sends jobs. Any number of goroutines may use it.
type puller struct {
	self   uint64
	client *http.Client
	sink   committer
	auth   *access.Auth
	header http.Header
	bufs   sync.Pool // of *bytes.Buffer
}

// run sends a request and stores the snapshots in its answer, one by one.
func (p *puller) run(ctx context.Context, j job, known *progress) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	asked := time.Now()
	res, err := p.send(ctx, &j)
	if err != nil {
		o.fail(err)
		return o
	}
	defer res.Body.Close()
	o.readClock(res, asked)
	known.answered(o.clock)
	if o.hubs = readHubs(res.Header); p.self != 0 && slices.Contains(o.hubs, p.self) {
		o.fail(refuse(Loop, "a loop: this hub gets its own minutes back, which would count again: remove the agent here, or this hub there"))
		return o
	}
	o.etag = res.Header.Get("ETag")
	switch {
	case res.StatusCode == http.StatusNotModified && j.etag != "":
		o.etag = j.etag
	case res.StatusCode != http.StatusOK:
		o.fail(&refusal{BadStatus, fmt.Errorf("HTTP %d%s", res.StatusCode, message(res.Body))})
	case !isSnapshots(res.Header):
		o.fail(refuse(BadType, "the answer is not from an agent: it has another type, or is compressed"))
	default:
		o.news = true
		o.read(ctx, p, &j, known, res)
	}
	return o
}

// send sends the request.
func (p *puller) send(ctx context.Context, j *job) (*http.Response, error) {
	u := *j.url
	u.RawQuery = "since=" + strconv.FormatInt(j.since, 10) + "&body=zstd"
	if j.limit > 0 {
		u.RawQuery += "&limit=" + strconv.Itoa(j.limit)
	}
	header := p.header
	if j.etag != "" || p.auth != nil {
		header = header.Clone()
		if j.etag != "" {
			header.Set("If-None-Match", j.etag)
		}
		if err := p.auth.Set(header); err != nil {
			return nil, err
		}
	}
	r := &http.Request{Method: http.MethodGet, URL: &u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return p.client.Do(r.WithContext(ctx))
}

// fail notes why there is no answer, or no whole one.
func (o *outcome) fail(err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		o.reason, o.err = r.reason, r.err
		return
	}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		o.err = errors.New("no answer in time")
		return
	}
	o.err = errors.New(clean((&api.Error{Kind: api.Unreachable, Err: err}).Reason()))
}

// readClock estimates the agent's clock at the time of the answer from the Date header, which is cut to a second. Without
// one, the agent's clock is assumed to be right.
func (o *outcome) readClock(res *http.Response, asked time.Time) {
	now := time.Now()
	o.clock = now
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		// The agent has read its clock between asked and now.
		early, late := date.Sub(now), date.Add(time.Second).Sub(asked)
		o.clocked = true
		if early > 0 || late < 0 { // otherwise both clocks may agree
			o.clock = now.Add((early + late) / 2)
		}
	}
}

// isSnapshots reports whether an answer has snapshots as they are.
func isSnapshots(h http.Header) bool {
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	encoding := h.Get("Content-Encoding")
	return strings.EqualFold(strings.TrimSpace(kind), typeSnapshot) && (encoding == "" || strings.EqualFold(encoding, "identity"))
}

// message returns the text of an error's answer, as agents send it, after a colon.
func message(body io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(body, 1<<10))
	var e struct{ Error string }
	if json.Unmarshal(b, &e) != nil || e.Error == "" {
		return ""
	}
	return ": " + clean(e.Error)
}

// read stores the snapshots of an answer, and finds out whether there are more.
func (o *outcome) read(ctx context.Context, p *puller, j *job, known *progress, res *http.Response) {
	buf := p.bufs.Get().(*bytes.Buffer)
	defer p.bufs.Put(buf)
	s := newStream(res.Body, buf)
	for {
		data, start, err := s.next()
		switch {
		case errors.Is(err, io.EOF):
			o.readLink(j, res.Header)
			return
		case err != nil:
			o.fail(err)
			return
		case data == nil:
			o.refuse(store.ReasonSize)
			known.stored(series{}, start+1, o.clock)
			continue
		}
		if err := o.store(ctx, p, j, known, data); err != nil {
			o.storeErr = err
			return
		}
	}
}

// store stores one snapshot, or counts why it is refused. It returns an error only if the store failed.
func (o *outcome) store(ctx context.Context, p *puller, j *job, known *progress, data []byte) error {
	info, err := metric.ReadSnapshotInfo(data)
	if err != nil { // its times are not to be trusted: it is asked for again
		o.refuse(store.ReasonDamaged)
		return nil
	}
	of := series{info.Identity.Host, info.Identity.Policy}
	id := identityOf(&info)
	reason := Reason("")
	switch {
	case !known.admit(of, time.Now()):
		reason = TooMany
	case !j.again && known.has(id):
	default:
		err := p.sink.put(ctx, store.Put{Data: data, Extra: j.tags, Again: j.again})
		if refused, ok := errors.AsType[*store.RefusedError](err); ok {
			reason = refused.Reason
		} else if err != nil {
			return err
		} else {
			o.count(&info, len(data))
			known.remember(id)
			known.hub = known.hub || info.Identity.Revision > 0 || info.Covered > uint64(info.End-info.Start)
		}
	}
	if reason != "" {
		o.refuse(reason)
		of = series{}
	}
	if !j.again {
		known.stored(of, info.End, o.clock)
	}
	return nil
}

// count notes a stored minute.
func (o *outcome) count(info *metric.SnapshotInfo, size int) {
	o.stored++
	o.bytes += int64(size)
	o.agent = info.Agent
	if o.hosts == nil {
		o.hosts = map[string]claim{}
	}
	if old, has := o.hosts[info.Identity.Host]; !has || info.Start >= old.minute {
		o.hosts[info.Identity.Host] = claim{info.Identity.Boot, info.Start}
	}
}

// readLink finds the time from which the next answer begins in the Link header (RFC 8288). It uses only that time, so a
// link leads to no other place.
func (o *outcome) readLink(j *job, h http.Header) {
	for _, link := range h.Values("Link") {
		target, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		u, err := url.Parse(target)
		if err != nil {
			o.fail(refuse(BadLink, "the link to more minutes cannot be read"))
			return
		}
		next, err := strconv.ParseInt(u.Query().Get("since"), 10, 64)
		if err != nil || next <= j.since {
			o.fail(refuse(BadLink, "the link to more minutes does not lead forward"))
			return
		}
		o.more, o.next = true, next
		return
	}
}
