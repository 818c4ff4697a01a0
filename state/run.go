package state

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"pktvisor/metric"
)

// While an agent runs, its lock file has a line with the time of its start, in seconds. An agent that ends by itself empties
// the file. So a file with a line is that of an agent that was killed, or whose machine went down.
const runningLine = "running since %d\n"

// lastRun returns when the last run started, and whether it has not ended by itself. The time is zero if the file does not
// have a time that can be read.
func (s *State) lastRun() (started time.Time, crashed bool) {
	text := make([]byte, 64)
	n, err := s.lock.ReadAt(text, 0)
	if n == 0 || err != nil && err != io.EOF {
		return time.Time{}, false
	}
	_, since, _ := strings.Cut(strings.TrimSpace(string(text[:n])), "since ")
	if second, err := strconv.ParseInt(since, 10, 64); err == nil {
		started = time.Unix(second, 0)
	}
	return started, true
}

// tellLoss says what the last run has lost, if it has not ended by itself, given the buckets that it left.
func (s *State) tellLoss(left []*metric.Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.status.Lost {
		return
	}
	from := s.status.LostFrom
	if len(left) > 0 {
		if end := time.Unix(left[len(left)-1].End, 0); end.After(from) {
			from = end
		}
	}
	s.status.LostFrom = from
	at := "unknown"
	if !from.IsZero() {
		at = from.UTC().Format(time.RFC3339)
	}
	s.log.Warn("the last run did not end by itself: what it counted after its last write is lost", "last_write", at)
}

// beginRun records that an agent runs. A failure is harmless: the next run then does not recognise a crash.
func (s *State) beginRun() {
	s.lock.Truncate(0)
	if _, err := s.lock.WriteAt(fmt.Appendf(nil, runningLine, time.Now().Unix()), 0); err == nil {
		s.lock.Sync()
	}
}

// endRun records that the agent has ended by itself.
func (s *State) endRun() { s.lock.Truncate(0) }
