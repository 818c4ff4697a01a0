package capture

import "time"

// Handing over a few frames costs more than analysing them: the reader is woken, and its tables are no longer in the CPU's
// cache. So frames gather in the ring while the reader rests. It still has the frames of a second in time for those who look
// once a second.
const (
	// restTime is how long frames gather, and restSlice how often the reader looks meanwhile whether the ring fills quickly.
	restTime = 100 * time.Millisecond
	// At 10 Gbit/s, 12 MB arrive in a slice.
	restSlice = restTime / 10

	// restBlocks is how many blocks end a rest: some thousand frames, among which the cost of a hand-over no longer shows. In a small
	// ring, it is 1/restShare of the ring.
	restBlocks = 4
	restShare  = 8

	// hurryBlocks is the number of blocks since the last rest from which a reader counts as late: it gets too little of the CPU, or
	// frames come very fast. It then does not rest for hurryTime. A reader that waits often and works for a short time is
	// preferred by the scheduler, so it loses fewer frames.
	hurryBlocks = 2 * restBlocks
	hurryTime   = time.Second

	// askEvery is how many rests there are for one question to the kernel.
	askEvery = 8

	// leastRested is the number of blocks from which a ring is large enough to rest.
	leastRested = 2 * restShare
)

// rest lets frames gather in the ring, if any came since the last rest. It reports whether there are frames to read, but not each
// time, so that the caller asks the kernel about the interface now and then. Without system calls, Go's monitor of threads that
// block stays asleep too; it would wake up many times in each rest.
func (r *ring) rest() bool {
	taken := r.taken
	r.taken = 0
	enough := min(len(r.status)/restShare, restBlocks)
	if taken == 0 || len(r.status) < leastRested || r.hurries(taken) {
		r.tight = r.tight || taken > len(r.status)/restShare
		return false
	}
	for slept := time.Duration(0); slept < restTime && !r.filled(enough); slept += restSlice {
		time.Sleep(restSlice)
	}
	r.tight = r.tight || enough < restBlocks && r.filled(enough)
	r.rests++
	return r.rests%askEvery != 0 && r.filled(1)
}

// hurries reports whether the reader must not rest, because it was late after this rest or one of the last second.
func (r *ring) hurries(taken int) bool {
	now := time.Now()
	if taken > hurryBlocks {
		r.hurry = now.Add(hurryTime)
	}
	return now.Before(r.hurry)
}
