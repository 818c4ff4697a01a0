package agent

import "pktvisor/minute"

// TimeStep is a place in a file where a frame's time is far from that of the frames before it.
type TimeStep struct {
	Frame    int64 // its number among the frames that were read, from 1 on
	From, To int64 // Unix times: the latest before it, and its own
}

// maxTimeSteps is the number of time steps that are kept.
const maxTimeSteps = 4

// farAhead is by how many seconds a frame's time must be ahead for the summary of a whole file to mention it: a day.
const farAhead = 24 * 60 * 60

// timeSteps are the time steps of a file.
type timeSteps struct {
	first []TimeStep
	n     int
}

// noteStep records a step of a file's clock if it is a far one: back to before the previous minute, or forward over
// all that the window keeps.
func (a *Agent) noteStep(frame, from, to int64) {
	far := int64(a.cfg.Periods) * minute.Seconds
	if a.cfg.Single {
		far = farAhead
	}
	if to > from && to-from < far {
		return
	}
	a.steps.n++
	if len(a.steps.first) < maxTimeSteps {
		a.steps.first = append(a.steps.first, TimeStep{frame, from, to})
	}
}

// TimeSteps returns the first of the places where the time of a file's frames went back by more than a minute, or far ahead,
// and how many there are in all. Call it after [Agent.RunFile].
func (a *Agent) TimeSteps() (first []TimeStep, n int) { return a.steps.first, a.steps.n }
