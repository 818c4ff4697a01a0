package simulate

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"pktvisor/minute"
)

// typeSnapshot is the media type of snapshots.
const typeSnapshot = "application/vnd.pktvisor.snapshot"

// maxAnswered bounds the minutes in one answer, as that of an agent does.
const maxAnswered = 120

// Clock maps the time of the machine to that of a fleet. The fleet's time begins at Begin, and is then Speed times as
// fast. A speed of 0 means that all has happened already.
type Clock struct {
	Began time.Time // of the machine
	Begin int64     // of the fleet, Unix time in seconds
	Speed float64
}

// Now returns the time of the fleet. It is far in the future if the speed is 0.
func (c Clock) Now() time.Time {
	if c.Speed == 0 {
		return time.Unix(c.Begin, 0).AddDate(100, 0, 0)
	}
	return time.Unix(c.Begin, 0).Add(time.Duration(float64(time.Since(c.Began)) * c.Speed))
}

// When returns the time of the machine at which the fleet's time is t (Unix time in seconds).
func (c Clock) When(t float64) time.Time {
	if c.Speed == 0 {
		return c.Began
	}
	return c.Began.Add(time.Duration((t - float64(c.Begin)) / c.Speed * float64(time.Second)))
}

// Server answers as the agents of a fleet: agent 17 at /a/17/api/v1/snapshots. A late minute makes the agent unreachable
// until it is delivered.
type Server struct {
	Fleet   *Fleet
	Clock   Clock
	Minutes int // the fleet's life

	bufs sync.Pool
}

// Path returns the path of a host's agent.
func (s *Server) Path(host int) string { return fmt.Sprintf("/a/%05d", host) }

// sealed returns how many minutes a host has sealed.
func (s *Server) sealed(host int, now time.Time) int {
	first := s.Fleet.Start(host, s.Clock.Begin, 0)
	n := (now.Add(s.Fleet.Clock(host)).Unix() - minute.Grace - first) / minute.Seconds
	return int(min(max(n, 0), int64(s.Minutes)))
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/a/")
	number, route, _ := strings.Cut(rest, "/")
	host, err := strconv.Atoi(number)
	if !ok || err != nil || host < 0 || host >= s.Fleet.Hosts() || route != "api/v1/snapshots" {
		http.Error(w, `{"error":"there are agents at /a/00000/api/v1/snapshots and so on"}`, http.StatusNotFound)
		return
	}
	since, err := strconv.ParseInt(r.URL.Query().Get("since"), 10, 64)
	if err != nil && r.URL.Query().Has("since") {
		http.Error(w, `{"error":"since is not a number"}`, http.StatusBadRequest)
		return
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 {
		limit = maxAnswered
	}
	now := s.Clock.Now()
	if s.Clock.Speed == 1 { // otherwise, the fleet's time is not that of the machine
		w.Header().Set("Date", now.Add(s.Fleet.Clock(host)).UTC().Format(http.TimeFormat))
	}
	sealed := s.sealed(host, now)
	for k := max(sealed-maxLate, 0); k < sealed; k++ {
		if d := s.Fleet.Delay(host, k); d > 0 && k+d >= sealed && s.Clock.Speed > 0 {
			http.Error(w, `{"error":"late"}`, http.StatusServiceUnavailable)
			return
		}
	}
	first := s.Fleet.Start(host, s.Clock.Begin, 0)
	from := int(min(max((since-first+minute.Seconds-1)/minute.Seconds, 0), int64(sealed)))
	s.send(w, r, host, from, min(sealed, from+min(limit, maxAnswered)), sealed)
}

// send answers with the minutes from (included) to end (not included) of those that a host has sealed.
func (s *Server) send(w http.ResponseWriter, r *http.Request, host, from, end, sealed int) {
	h := w.Header()
	etag := fmt.Sprintf(`W/"%d-%d-%d-%d"`, s.Clock.Begin, host, from, end)
	h.Set("ETag", etag)
	if end < sealed {
		h.Set("Link", fmt.Sprintf(`<?since=%d>; rel="next"`, s.Fleet.Start(host, s.Clock.Begin, end)))
	}
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", typeSnapshot)
	buf, _ := s.bufs.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer s.bufs.Put(buf)
	for k := from; k < end; k++ {
		for _, snapshot := range s.Fleet.Of(host, k) {
			*buf = s.Fleet.Append((*buf)[:0], snapshot, s.Fleet.Start(host, s.Clock.Begin, k))
			for range s.copies(host, k) {
				if _, err := w.Write(*buf); err != nil {
					return
				}
			}
		}
	}
}

// copies returns how often the snapshots of a host-minute are delivered.
func (s *Server) copies(host, min int) int {
	if s.Fleet.Duplicate(host, min) {
		return 2
	}
	return 1
}
