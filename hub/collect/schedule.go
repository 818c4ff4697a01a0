package collect

import (
	"container/heap"
	"time"
)

// The two kinds of requests that run at once. Slow ones are those to agents that failed, or that have taken a while
// without an answer.
const (
	fast = 0
	slow = 1
)

// schedule says which agent is asked next. An agent is in the heap, or due and in one of two lines, or its request runs.
type schedule struct {
	waiting byDue
	lines   [2][]*agent
}

// add puts an agent into the heap.
func (s *schedule) add(a *agent, due time.Time) {
	a.due = due
	heap.Push(&s.waiting, a)
}

// remove takes an agent out of the heap. Those in a line are skipped when their turn comes.
func (s *schedule) remove(a *agent) {
	if a.at >= 0 {
		heap.Remove(&s.waiting, a.at)
	}
}

// reschedule makes an agent that waits due at the given time, if that is earlier.
func (s *schedule) reschedule(a *agent, due time.Time) {
	if a.at >= 0 && due.Before(a.due) && a.failures == 0 {
		a.due = due
		heap.Fix(&s.waiting, a.at)
	}
}

// lineUp moves the agents that are due into the lines.
func (s *schedule) lineUp(now time.Time) {
	for len(s.waiting) > 0 && !s.waiting[0].due.After(now) {
		a := heap.Pop(&s.waiting).(*agent)
		a.slot = fast
		if a.failures > 0 {
			a.slot = slow
		}
		s.lines[a.slot] = append(s.lines[a.slot], a)
	}
}

// next takes the first agent out of a line, or returns nil.
func (s *schedule) next(line int) *agent {
	for len(s.lines[line]) > 0 {
		a := s.lines[line][0]
		s.lines[line][0] = nil
		if s.lines[line] = s.lines[line][1:]; !a.gone {
			return a
		}
	}
	return nil
}

// wake returns when the next agent is due.
func (s *schedule) wake(now time.Time) time.Time {
	if len(s.waiting) == 0 {
		return now.Add(time.Hour)
	}
	return s.waiting[0].due
}

// byDue is a heap of agents, the one that is due first at the top.
type byDue []*agent

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, k int) bool { return h[i].due.Before(h[k].due) }
func (h byDue) Swap(i, k int)      { h[i], h[k] = h[k], h[i]; h[i].at, h[k].at = i, k }
func (h *byDue) Push(x any)        { x.(*agent).at = len(*h); *h = append(*h, x.(*agent)) }

func (h *byDue) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.at = -1
	return a
}
