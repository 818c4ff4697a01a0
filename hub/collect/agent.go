package collect

import (
	"hash/fnv"
	"maps"
	"net/url"
	"slices"
	"time"

	"pktvisor/metric"
	"pktvisor/minute"
)

// State is the state of a target.
type State string

// The states of a target.
const (
	Waiting   State = "waiting"   // it was not asked yet
	Up        State = "up"        // it answers, and what it sends is stored
	Away      State = "away"      // it does not answer
	Refused   State = "refused"   // it answers, but not with snapshots that can be stored
	Elsewhere State = "elsewhere" // another hub asks it
)

// Status describes a target.
type Status struct {
	URL string
	// Hosts are the names of the hosts whose minutes the target has delivered, and Agent the program and version.
	Hosts []string
	Agent string
	Tags  metric.Tags
	State State
	// Since is when the state began. Error says what is wrong, also with the store if the state is Up.
	Since time.Time
	Error string
	// Answered is when the last answer ended. Minute is the end of the newest minute that is stored (Unix time), and Lag the
	// time since then. They are zero if there is none.
	Answered time.Time
	Minute   int64
	Lag      time.Duration
	// Clock is by how much the agent's clock is ahead of this one, or 0 if that is less than a second.
	Clock time.Duration
	// Fetched is the number of snapshots that were stored, and Bytes their size. Refused counts the others, and the answers
	// that were refused.
	Fetched, Bytes uint64
	Refused        map[Reason]uint64
	// Conflict is the URL of another target that delivers the same host from another process at the same time, or "".
	Conflict string
}

const (
	// maxWants bounds the minutes of one agent that are to be fetched again.
	maxWants = 64
	// maxPages bounds the answers of one agent that follow each other before the next minute's end.
	maxPages = 100
	// spread is the time over which the requests to agents with the same clock are spread. ready is the shortest wait after
	// an agent has had its seconds to seal.
	spread = 1500 * time.Millisecond
	ready  = 100 * time.Millisecond
	// maxQuiet is how many rounds in a row an agent may miss its newest minute before it is asked only once in each.
	maxQuiet = 3
	// An agent that is away is asked again after backoff, twice that, and so on up to maxBackoff, each give or take a quarter.
	backoff    = time.Second
	maxBackoff = time.Minute
	// conflictTime is for how long a conflict is shown after it was last seen.
	conflictTime = 10 * time.Minute
)

// lateWaits are the times after which an agent is asked again whose newest minute is missing: 1, 2 and 5 seconds after the
// first answer.
var lateWaits = []time.Duration{time.Second, time.Second, 3 * time.Second}

// agent is a target with what is known of it. The collector's mutex guards it, except for progress, job and asked while a
// request runs: then they belong to the goroutine of the request.
type agent struct {
	Target
	base   *url.URL // of the snapshots
	jitter time.Duration
	random uint64 // for the jitter of the backoff

	progress *progress
	job      job
	asked    int64 // the since of the last request

	due     time.Time // of the next request
	regular time.Time // of the next request for new minutes
	at      int       // position in the heap; -1 if the agent is not in it
	running bool
	gone    bool // it is no longer a target
	jobs    uint64
	slot    int // slow or fast, while running

	etag      string
	etagSince int64
	clock     time.Duration // the agent's clock minus ours
	failures  int           // in a row
	late      int           // how often the newest minute was asked for again
	quiet     int           // rounds in a row without the newest minute
	pages     int           // answers that followed each other
	follow    int64         // the since of the next page, or 0
	wants     []int64       // minutes to fetch again
	mine      bool          // this hub pulls from it

	hosts         map[string]bool
	conflictUntil time.Time
	status        Status
}

func newAgent(t Target, now time.Time) (*agent, error) {
	u, err := url.Parse(t.URL + "/api/v1/snapshots")
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte(t.URL))
	random := h.Sum64()
	return &agent{
		Target: t, base: u, jitter: time.Duration(random % uint64(spread)), random: random,
		due: now, regular: now, at: -1, hosts: map[string]bool{}, status: Status{State: Waiting, Since: now},
		progress: newProgress(now.Add(-maxAge).Unix()),
	}, nil
}

// nextRound returns when the agent has its next minute, by its own clock.
func (a *agent) nextRound(now time.Time) time.Time {
	wait := minute.Grace*time.Second + ready + a.jitter
	end := minute.Next(now.Add(a.clock - wait).Unix())
	return time.Unix(end, 0).Add(wait - a.clock)
}

// pause returns the wait after failures in a row.
func (a *agent) pause() time.Duration {
	d := min(backoff<<min(a.failures-1, 10), maxBackoff)
	a.random = a.random*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
	return d*3/4 + time.Duration(a.random>>33)%(d/2)
}

// setState notes a state, and reports whether it has changed.
func (a *agent) setState(s State, err string, now time.Time) bool {
	a.status.Error = err
	if a.status.State == s {
		return false
	}
	a.status.State, a.status.Since = s, now
	return true
}

// count adds the counts of an outcome.
func (a *agent) count(o *outcome) {
	s := &a.status
	s.Fetched += o.stored
	s.Bytes += uint64(o.bytes)
	if s.Refused == nil && (len(o.refused) > 0 || o.reason != "") {
		s.Refused = map[Reason]uint64{}
	}
	for r, n := range o.refused {
		s.Refused[r] += n
	}
	if o.reason != "" {
		s.Refused[o.reason]++
	}
	if o.agent != "" {
		s.Agent = clean(o.agent)
	}
}

// describe returns the status.
func (a *agent) describe(now time.Time) Status {
	s := a.status
	s.URL, s.Tags, s.Clock = a.URL, a.Tags, a.clock
	s.Hosts = slices.Sorted(maps.Keys(a.hosts))
	s.Refused = maps.Clone(s.Refused)
	if s.Minute != 0 {
		s.Lag = now.Sub(time.Unix(s.Minute, 0))
	}
	if now.After(a.conflictUntil) {
		s.Conflict = ""
	}
	return s
}
