// Package verdict says in words what the numbers of DNS traffic mean: whether there is an attack, of which kind, on whom, by whom
// and since when. Dashboard, report and terminal show the same verdict.
//
//	a := verdict.Judge(&verdict.Data{From: from, Step: 60, …})
//
// There are two kinds of evidence. A rise compares steps with the quiet ones of the same range. Absolute evidence needs no past:
// a zone has many distinct names, and they are what fails. Without a quiet time, the verdict names the attack by absolute evidence
// only, and says that there is nothing to compare with.
//
// A sentence is only said if the bounds of its numbers carry it. Names in texts come from the network and may be hostile: the caller
// escapes them before it shows them.
package verdict

import (
	"slices"
	"strings"

	"pktvisor/api"
)

// The kinds of sentences.
const (
	kindNX       = "nxdomain"
	kindServFail = "servfail"
	kindTimeouts = "timeouts"
	kindQueries  = "queries"
	kindZone     = "zone"
	kindData     = "data"
	kindAmp      = "amplification"
	kindClients  = "clients"
	kindPast     = "past"
	kindCalm     = "calm"
)

// How much of a past there is to compare with: enough, a little, or none.
const (
	Enough = "enough"
	Little = "little"
	None   = "none"
)

// Values are the values of the steps. A value below 0 is not known.
type Values []float64

// Row is a row of a table: the least and the most that it has.
type Row struct {
	Name         string
	Lower, Upper float64
	// Ratio is the least that the bytes of its responses are of those of its queries, which are QueryBytes in Queries messages. It is
	// 0 if it is not known.
	Ratio, QueryBytes, Queries float64
	// Hints say what its queries have in common that speaks for forged senders.
	Hints []string
	// Failed are the least messages of each kind whose names are below it, if it is a zone.
	Failed Failed
}

// Failed are messages that speak for names that do not exist, or for servers that do not answer.
type Failed struct{ NX, ServFail, Timeouts float64 }

// History is what a row has in each step.
type History struct{ Lower, Upper Values }

// Table has the first rows of a table, greatest first, the whole of which they are parts, and what some rows have in each step.
type Table struct {
	Rows    []Row
	Total   float64
	History map[string]History
}

// Data is what is judged. All counts are of the host's own counters, and all tables are of the same time.
type Data struct {
	From, Step int64 // Unix seconds, seconds
	// Seconds is how long the data is. It is 0 if that is not known, and then long enough.
	Seconds float64
	// NX and ServFail are shares of the responses of each step, [Share] without enough of them. Queries and Timeouts are a second.
	NX, ServFail, Queries, Timeouts Values
	// Counts are of the whole range.
	Replies, Asked float64
	Failed         Failed
	// Zones are by distinct names, Bits by information in names. FailedNames are the totals of the tables of which [Row.Failed] is
	// a part.
	Zones, Bits Table
	FailedNames Failed

	Amplified, AmplifiedTypes, AmplifiedNames Table
	// ClientsNX and ClientsLate are the clients whose queries get NXDOMAIN, and no response. The prefixes have all their rows, also
	// those that may have nothing.
	ClientsNX, ClientsLate, PrefixesNX, PrefixesLate Table
}

// judge collects the sentences.
type judge struct {
	*Data
	out                               []sentence
	nx, servfail, timeouts, queries   *rise
	failing                           bool // a share of failures has risen
	thin                              int  // the fewest quiet steps of a rise that is not a firm one, or 0
	nxShare, servfailShare, lateShare float64
}

// sentence is one finding.
type sentence struct {
	kind, text, subject, headline string
	at                            int // the step in which it began, or -1
	end                           int // the step after its last one, or 0 if it lasts or that is not known
	strong                        bool
}

// leastSeconds is how long the data must be. In the first seconds, a few large responses are most of all, and any network may be ahead.
const leastSeconds = 20

// Judge returns the verdict.
func Judge(d *Data) *api.Attack {
	j := &judge{Data: d}
	j.nxShare, j.servfailShare, j.lateShare = part(d.Failed.NX, d.Replies), part(d.Failed.ServFail, d.Replies), part(d.Failed.Timeouts, d.Asked)
	if d.Seconds > 0 && d.Seconds < leastSeconds {
		j.say(sentence{kind: kindCalm, at: -1, text: "There is too little data to judge: " + exact(d.Seconds) + " seconds of the " + exact(leastSeconds) + " that it takes."})
		a := j.answer()
		a.Baseline = None
		return a
	}
	j.counters()
	j.zone()
	j.data()
	j.amplification()
	j.clients()
	return j.answer()
}

// What a rise of a counter must reach: shares of the responses, and messages a second.
const (
	leastShare    = 0.1
	leastTimeouts = 1
	leastQueries  = 10
)

// counters says which counters rise.
func (j *judge) counters() {
	j.nx, j.servfail = firm(j.NX, leastShare), firm(j.ServFail, leastShare)
	j.timeouts, j.queries = firm(judged(j.Timeouts), leastTimeouts), firm(j.Queries, leastQueries)
	j.failing = j.nx != nil || j.servfail != nil || j.timeouts != nil
	if r := j.nx; r != nil {
		j.say(sentence{kind: kindNX, at: r.at, end: r.closed(), strong: true, headline: "Many names that do not exist",
			text: "NXDOMAIN was " + percent(r.before) + " of the responses, and " + percent(r.since) + j.time(r) + "."})
	}
	if r := j.servfail; r != nil {
		j.say(sentence{kind: kindServFail, at: r.at, end: r.closed(), strong: true, headline: "Many failures of servers",
			text: "SERVFAIL was " + percent(r.before) + " of the responses, and " + percent(r.since) + j.time(r) + "."})
	}
	if r := j.timeouts; r != nil {
		j.say(sentence{kind: kindTimeouts, at: r.at, end: r.closed(), strong: true, headline: "Many queries without a response",
			text: "Queries without a response: " + short(r.before) + " before, " + short(r.since) + " a second" + j.time(r) + "."})
	}
	if r := j.queries; r != nil {
		j.say(sentence{kind: kindQueries, at: r.at, end: r.closed(), headline: "Many more queries",
			text: "Queries: " + short(r.before) + " a second before, " + short(r.since) + j.time(r) + "."})
	}
}

func (j *judge) say(s sentence) { j.out = append(j.out, s) }

func (j *judge) has(kind string) bool {
	return slices.ContainsFunc(j.out, func(s sentence) bool { return s.kind == kind })
}

// rank is the order in which headlines count. The first two are attacks, and both are said.
var rank = []string{kindAmp, kindZone, kindData, kindTimeouts, kindServFail, kindNX, kindQueries}

// answer sums up the sentences.
func (j *judge) answer() *api.Attack {
	a := &api.Attack{Baseline: Enough, Sentences: []api.AttackSentence{}}
	attacks := []string{}
	for _, kind := range rank {
		for i := range j.out {
			s := &j.out[i]
			if s.kind != kind || s.headline == "" {
				continue
			}
			if a.Headline == "" {
				a.Headline = s.headline
			}
			if kind == kindAmp || kind == kindZone {
				attacks = append(attacks, s.headline)
			}
			a.Strong = a.Strong || s.strong
		}
	}
	if len(attacks) > 0 {
		a.Headline = strings.Join(attacks, ", and ")
	}
	known := j.known()
	at, end := j.span(len(attacks) > 0)
	switch {
	case at >= 0:
		a.Since = j.moment(at)
		if end > 0 {
			a.Until, a.Strong = j.moment(end), false
		}
	case a.Headline != "" && len(known) > 0:
		a.Since, a.SinceEarlier = j.moment(known[0]), true
	}
	j.past(a, at, known)
	for _, s := range j.out {
		one := api.AttackSentence{Kind: s.kind, Text: s.text, Subject: s.subject, Headline: s.headline}
		if s.at >= 0 {
			one.Since = j.moment(s.at)
		}
		a.Sentences = append(a.Sentences, one)
	}
	return a
}

// span returns the step in which the headline's subject began, or -1, and the step after its last one, or 0 while it lasts. An
// attack begins with its own rise, or else with that of the failures that its names cause. Other counters may rise for other reasons,
// such as servers that give up after a while.
func (j *judge) span(attack bool) (at, end int) {
	groups := [][]string{rank}
	if attack {
		groups = [][]string{{kindAmp, kindZone}, {kindNX, kindServFail}}
	}
	for _, kinds := range groups {
		at, end = -1, 0
		lasts := false
		for i := range j.out {
			s := &j.out[i]
			if s.headline == "" || !slices.Contains(kinds, s.kind) {
				continue
			}
			lasts = lasts || s.end == 0
			end = max(end, s.end)
			if s.at >= 0 && (at < 0 || s.at < at) {
				at = s.at
			}
		}
		if lasts {
			end = 0
		}
		if at >= 0 {
			break
		}
	}
	return at, end
}

// past says if there is little or nothing to compare with.
func (j *judge) past(a *api.Attack, at int, known []int) {
	few := len(known) < leastSteps
	switch {
	case a.Headline != "" && at < 0:
		a.Baseline = None
		j.say(sentence{kind: kindPast, at: -1, text: "There is no quiet time to compare with: it is so in all of the data" + j.since(known) + ". So when it began is not known, nor whether this is usual here."})
	case a.Headline != "" && j.thin > 0:
		a.Baseline = Little
		j.say(sentence{kind: kindPast, at: -1, text: "There is little quiet time to compare with: " + steps(j.thin, j.Step) + " before it began."})
	case a.Headline == "" && few:
		a.Baseline = None
	}
	if len(j.out) == 0 || a.Headline == "" && few && !j.has(kindCalm) {
		text := "No rise of NXDOMAIN, of SERVFAIL, of queries or of those without a response, and no zone or network is far ahead of the others."
		if few {
			text = "There is too little data to compare with its past: " + steps(len(known), j.Step) + ". No zone or network is far ahead of the others."
		}
		j.say(sentence{kind: kindCalm, at: -1, text: text})
	}
}

// known returns the steps that have data.
func (j *judge) known() (list []int) {
	for i, v := range j.Queries {
		if v >= 0 {
			list = append(list, i)
		}
	}
	return list
}

func (j *judge) moment(step int) int64 { return j.From + int64(step)*j.Step }
