package hub

import (
	"cmp"
	"math"
	"net/http"
	"slices"

	"pktvisor/hub/query"
	"pktvisor/hub/rollup"
	"pktvisor/metric"
)

// overlapAnswer is the answer of /api/v1/overlap.
type overlapAnswer struct {
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	From   int64  `json:"from_ts"`
	To     int64  `json:"to_ts"`
	Policy string `json:"policy"`
	// Groups are the sets, largest first. Union is that of all of them, also of those that are not shown.
	Groups groupNote  `json:"groups"`
	Union  distinct   `json:"union"`
	Sets   []distinct `json:"sets"`
	// Pairs have the largest overlap first.
	Pairs []pair `json:"pairs"`
}

// distinct is the size of a set.
type distinct struct {
	Group    string  `json:"group,omitempty"`
	Estimate float64 `json:"estimate"`
	// Error is half the width of the 95% interval.
	Error float64 `json:"error"`
}

// pair is how much two sets have in common.
type pair struct {
	A       string  `json:"a"`
	B       string  `json:"b"`
	Overlap float64 `json:"overlap"`
	// Error is half the width of the 95% interval, Lower and Upper its bounds within what is possible.
	Error float64 `json:"error"`
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
	// Jaccard is the overlap as a share of the union.
	Jaccard float64 `json:"jaccard"`
}

// set is the distinct set of a group.
type set struct {
	distinct
	sketch *metric.Cardinality
}

// overlap answers with how much the distinct sets of the groups of a key have in common.
func (h *Hub) overlap(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := selectionOf(q)
	if err != nil {
		return nil, err
	}
	name, err := one(q, "metric")
	if err != nil {
		return nil, err
	}
	by, err := one(q, "by")
	if err != nil {
		return nil, err
	}
	if name == "" || by == "" {
		return nil, bad("give metric= and by=, for example metric=packets.cardinality.src_ips_in and by=pop")
	}
	metrics, tables, err := h.metricsOf([]string{name})
	if err != nil {
		return nil, err
	}
	if metrics[0].desc.Kind != metric.KindCardinality {
		return nil, bad("metric %s does not count distinct things: give one of the kind cardinality", name)
	}
	a := &overlapAnswer{Metric: name, Unit: metrics[0].desc.Unit.Name, Sets: []distinct{}, Pairs: []pair{}}
	if a.From, a.To, err = h.rangeOf(q, "from", "to"); err != nil {
		return nil, err
	}
	if a.Policy, err = h.reader.Policy(r.Context(), sel.Policy); err != nil {
		return nil, failure(err)
	}
	groups, err := h.groupsBy(r.Context(), sel, by)
	if err != nil {
		return nil, err
	}
	var sets []set
	var union metric.Cardinality
	for _, g := range groups {
		b, _, err := h.reader.RangeOf(r.Context(), query.Selection{Policy: a.Policy, Tags: []string{g}}, tables, a.From, a.To, rollup.Day1)
		if err != nil {
			return nil, failure(err)
		}
		c := b.Sections[0].Cardinality(0)
		union.Merge(c)
		sets = append(sets, set{sizeOf(g, c), c})
	}
	slices.SortStableFunc(sets, func(a, b set) int { return cmp.Compare(b.Estimate, a.Estimate) })
	a.Groups = groupNote{By: by, Count: len(sets), Shown: min(len(sets), maxGroups)}
	a.Union = sizeOf("", &union)
	sets = sets[:a.Groups.Shown]
	for i := range sets {
		a.Sets = append(a.Sets, sets[i].distinct)
		for k := range sets[:i] {
			a.Pairs = append(a.Pairs, common(&sets[k], &sets[i]))
		}
	}
	slices.SortStableFunc(a.Pairs, func(a, b pair) int { return cmp.Compare(b.Overlap, a.Overlap) })
	return jsonOf(a)
}

func sizeOf(group string, c *metric.Cardinality) distinct {
	e := c.Estimate()
	return distinct{group, math.Round(e), math.Ceil(e * c.RelativeError())}
}

// common returns what two sets have in common: |A| + |B| − |A ∪ B|. Its error is taken to be that of a sum of three
// independent estimates. Their errors are partly the same, which makes the true error smaller.
func common(a, b *set) pair {
	var both metric.Cardinality
	both.Merge(a.sketch)
	both.Merge(b.sketch)
	union := sizeOf("", &both)
	most := min(a.Estimate, b.Estimate)
	p := pair{A: a.Group, B: b.Group, Error: math.Ceil(math.Sqrt(a.Error*a.Error + b.Error*b.Error + union.Error*union.Error))}
	exact := a.Estimate + b.Estimate - union.Estimate
	p.Overlap = min(max(exact, 0), most)
	p.Lower, p.Upper = min(max(exact-p.Error, 0), most), min(max(exact+p.Error, 0), most)
	if union.Estimate > 0 {
		p.Jaccard = p.Overlap / union.Estimate
	}
	return p
}
