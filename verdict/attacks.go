package verdict

import "strings"

// The least that is worth a sentence: distinct names below a zone, bytes of responses, and what share of the whole a row is.
const (
	leastNames = 500
	leastBytes = 1e6
	mostly     = 0.5
	notable    = 0.25
	amplified  = 5
	// farAhead is how many times as many distinct names as any other zone an attacked one has.
	farAhead = 5
	// leastFailing is the share of all messages that must fail, so that failures below one zone are evidence without a past.
	leastFailing = 0.2
)

// peak is what a row has in the step in which it has most, and what the other rows have at most in it. A table of one step is
// closer than one of many: what is unknown of each step adds up.
type peak struct {
	at                   int // -1 for the whole range
	lower, upper, others float64
}

// peakOf returns the peak of a row, and whether its history is known.
func peakOf(t *Table, name string) (p peak, ok bool) {
	own, ok := t.History[name]
	if !ok || len(own.Lower) == 0 {
		return p, false
	}
	for i, v := range own.Lower {
		if v > own.Lower[p.at] {
			p.at = i
		}
	}
	p.lower, p.upper = max(own.Lower[p.at], 0), max(own.Upper[p.at], 0)
	for other, h := range t.History {
		if other != name {
			p.others = max(p.others, h.Upper[p.at])
		}
	}
	return p, true
}

// attacked is a zone that has far more names than all others.
type attacked struct {
	row  *Row
	peak peak
	rise *rise
	fail string // the failure that its names cause without a past to compare with, or ""
}

// zones returns the rows that are certainly far ahead of all others, in the whole range or in one step.
func (j *judge) zones() (list []attacked) {
	for i := range j.Zones.Rows {
		row := &j.Zones.Rows[i]
		p := peak{at: -1, lower: row.Lower, upper: row.Upper}
		if len(j.Zones.Rows) > 1 {
			p.others = j.Zones.Rows[1].Upper
		}
		ahead := func() bool { return p.lower >= leastNames && p.lower >= farAhead*max(p.others, 1) }
		if i > 0 || !ahead() {
			var ok bool
			if p, ok = peakOf(&j.Zones, row.Name); !ok || !ahead() {
				continue
			}
		}
		list = append(list, attacked{row, p, firm(judged(j.Zones.History[row.Name].Lower), leastNames/10), j.fails(row)})
	}
	return list
}

// fails returns which failure the names of a zone cause: most messages of that failure are below it, and these are many of all.
func (j *judge) fails(row *Row) string {
	switch {
	case j.nxShare >= leastFailing && part(row.Failed.NX, j.FailedNames.NX) >= mostly:
		return percent(j.nxShare) + " of the responses are NXDOMAIN"
	case j.servfailShare >= leastFailing && part(row.Failed.ServFail, j.FailedNames.ServFail) >= mostly:
		return percent(j.servfailShare) + " of the responses are SERVFAIL"
	case j.lateShare >= leastFailing && part(row.Failed.Timeouts, j.FailedNames.Timeouts) >= mostly:
		return percent(j.lateShare) + " of the queries get no response"
	}
	return ""
}

// zone says which zone gets random names. A zone that grew comes first, then one whose names fail, then the first one if failures rise.
func (j *judge) zone() {
	list, best := j.zones(), (*attacked)(nil)
	for _, fits := range []func(a *attacked) bool{
		func(a *attacked) bool { return a.rise != nil },
		func(a *attacked) bool { return a.fail != "" },
		func(a *attacked) bool { return j.failing && a.peak.at < 0 },
	} {
		for i := range list {
			if best == nil && fits(&list[i]) {
				best = &list[i]
			}
		}
	}
	if best == nil { // no zone, or one that always has many names
		return
	}
	p, zone, random := &best.peak, best.row.Name, j.failing || best.fail != ""
	s := sentence{kind: kindZone, at: -1, subject: zone, strong: true}
	r := best.rise
	if r == nil && best.fail != "" && !j.failing {
		if r = thin(judged(j.Zones.History[zone].Lower), leastNames/10); r != nil {
			j.thin = r.quiet
		}
		s.strong = r != nil
	}
	if r != nil && r.before >= leastNames && r.since < 2*farAhead*r.before { // the quiet steps were not quiet
		r = nil
	}
	if r != nil {
		s.at, s.end = r.at, r.closed()
	}
	s.text = "Many new names below "
	if random {
		s.text = "Random names below "
	}
	s.headline = s.text + zone
	if random {
		s.headline = "Random-subdomain attack on " + zone
	}
	s.text += zone + ": at least " + exact(p.lower) + " distinct ones"
	if p.at >= 0 {
		s.text += " in one step, from " + j.clock(p.at) + " UTC"
	}
	if p.others > 0 {
		s.text += ", " + short(float64(int64(p.lower/p.others))) + " times as many as below any other zone"
	} else {
		s.text += ", and no other zone has any"
	}
	if best.fail != "" && !j.failing {
		s.text += "; " + best.fail + ", and most of these are below it"
	}
	if s.end > 0 {
		s.text += "; it ended at " + j.clock(s.end) + " UTC"
	}
	s.text += "."
	j.say(s)
}

// A zone whose names carry data, in the step in which they carry most: so many bits, in so many names, each with so many of them,
// and several times as many bits as any other zone. A name of random letters has 40 to 80 bits, and one of a tunnel several hundred.
const (
	leastBits     = 10_000
	leastCarriers = 50
	bitsOfName    = 100
	aheadInBits   = 3
)

func (j *judge) data() {
	if len(j.Bits.Rows) == 0 {
		return
	}
	zone := j.Bits.Rows[0].Name
	p, ok := peakOf(&j.Bits, zone)
	names, known := j.Zones.History[zone]
	if !ok || !known || p.lower < leastBits || p.lower < aheadInBits*p.others || names.Lower[p.at] < leastCarriers || p.lower < bitsOfName*names.Upper[p.at] {
		return
	}
	for i := range j.out {
		if s := &j.out[i]; s.kind == kindZone && s.subject == zone {
			return
		}
	}
	s := sentence{kind: kindData, at: -1, subject: zone,
		text: "Names below " + zone + " carry data: at least " + exact(float64(int64(p.lower/names.Upper[p.at]))) + " bits in each of " + exact(names.Lower[p.at]) +
			" names or more. It is a tunnel, or a service that puts data into names, such as a virus scanner."}
	if r := firm(judged(j.Bits.History[zone].Lower), leastBits/10); r != nil {
		s.at, s.end, s.headline = r.at, r.closed(), "Data in names below "+zone
	}
	j.say(s)
}

// leastForged is how many queries must have something in common, so that forged senders are a better reason for it than chance or
// one resolver. An ordinary resolver retries over TCP a while after the first response that was cut off.
const leastForged = 200

var hintTexts = map[string]string{"one_port": "all from one port", "one_ttl": "all with one TTL", "no_tcp_retry": "none came again over TCP"}

func (j *judge) amplification() {
	if len(j.Amplified.Rows) == 0 || j.Amplified.Total <= 0 {
		return
	}
	row := &j.Amplified.Rows[0]
	share := row.Lower / j.Amplified.Total
	if row.Lower < leastBytes || row.Ratio < amplified || share < notable {
		return
	}
	var hints []string
	for _, h := range row.Hints {
		if text := hintTexts[h]; text != "" && row.Queries >= leastForged {
			hints = append(hints, text)
		}
	}
	s := sentence{kind: kindAmp, at: -1, subject: row.Name}
	course := judged(j.Amplified.History[row.Name].Lower)
	r := firm(course, leastBytes/100)
	if r == nil && len(hints) > 0 {
		if r = thin(course, leastBytes/100); r != nil {
			j.thin = r.quiet
		}
	}
	if r != nil {
		s.at, s.end, s.strong = r.at, r.closed(), len(hints) > 0
	}
	s.text = row.Name + " gets " + bytesText(row.Lower) + " of responses, " + percent(share) + " of all, for " + bytesText(row.QueryBytes) + " of queries: at least " + short(row.Ratio) + " times as much"
	var what []string
	for _, t := range []*Table{&j.AmplifiedTypes, &j.AmplifiedNames} {
		if len(t.Rows) > 0 && t.Rows[0].Lower/j.Amplified.Total >= mostly {
			what = append(what, t.Rows[0].Name)
		}
	}
	if len(what) > 0 {
		s.text += ", mostly " + strings.Join(what, " of ")
	}
	s.text += "."
	switch {
	case len(hints) > 0:
		s.text += " Its queries look forged: " + strings.Join(hints, ", ") + ". Then it is the victim, and not the attacker."
		s.headline = "Amplification attack on " + row.Name
	case r != nil:
		s.headline = "Amplified responses to " + row.Name
	}
	j.say(s)
}

// leastAnswers is how many messages the tables of clients must have.
const leastAnswers = 1000

// clients says who asks, if failures are a sign of an attack: who gets the NXDOMAIN responses, or gets no responses.
func (j *judge) clients() {
	zone := j.has(kindZone)
	switch {
	case j.nx != nil || zone && j.nxShare >= leastFailing:
		j.askers(&j.ClientsNX, &j.PrefixesNX, " gets ", "NXDOMAIN responses")
	case j.PrefixesLate.Total >= leastAnswers && (j.timeouts != nil || zone && j.lateShare >= leastFailing):
		j.askers(&j.ClientsLate, &j.PrefixesLate, " sends ", "queries without a response")
	}
}

// wider is how many times as much a wider prefix must have to be named instead of a client or a network in it.
const wider = 1.5

// askers says which client, network or wider prefix has a notable part of some messages. A wider one is named if it has much more.
func (j *judge) askers(clients, prefixes *Table, does, what string) {
	subject, share, text := "", 0.0, ""
	for _, t := range []*Table{clients, prefixes} {
		if len(t.Rows) == 0 || t.Total < leastAnswers {
			continue
		}
		if s := t.Rows[0].Lower / t.Total; s >= max(notable, wider*share) {
			subject, share = t.Rows[0].Name, s
			text = subject + does + percent(s) + " of all " + what + "."
		}
	}
	if s, ok := common(prefixes); ok && prefixes.Total >= leastAnswers && s.share >= max(notable, wider*share) {
		subject = s.prefix.String()
		nets, length := exact(float64(s.nets)), "/48"
		if s.prefix.Addr().Is4() {
			length = "/24"
		}
		switch {
		case !s.ofNets:
			text = subject + does + percent(s.share) + " of all " + what + ": they are spread over " + nets + " or more of its " + length + " networks."
		case s.share >= mostly && share == 0:
			text = "The " + what + " are spread over very many networks, and most of these are in " + subject + ": " + nets + " of the " + exact(float64(len(prefixes.Rows))) + " (" + length + ") in the table."
		}
	}
	switch {
	case text != "":
		j.say(sentence{kind: kindClients, at: -1, subject: subject, text: text})
	case len(clients.Rows) > 0:
		j.say(sentence{kind: kindClients, at: -1, text: "No client or network stands out: the queries come from many."})
	}
}
