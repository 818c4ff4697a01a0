package timeline

import (
	"cmp"
	"math"
	"net/http"
	"slices"

	"pktvisor/api"
	"pktvisor/metric"
)

// set is the distinct set of a group.
type set struct {
	api.DistinctSet
	sketch *metric.Cardinality
}

// overlap answers with how much the distinct sets of the groups of a key have in common.
func (t *timeline) overlap(r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	sel, err := t.Source.Select(r.Context(), q)
	if err != nil {
		return nil, err
	}
	name, err := One(q, "metric")
	if err != nil {
		return nil, err
	}
	by, err := One(q, "by")
	if err != nil {
		return nil, err
	}
	if name == "" || by == "" {
		return nil, Bad("give metric= and by=, for example metric=packets.cardinality.src_ips_in and by=pop")
	}
	metrics, tables, err := t.metricsOf([]string{name})
	if err != nil {
		return nil, err
	}
	if metrics[0].desc.Kind != metric.KindCardinality {
		return nil, Bad("metric %s does not count distinct things: give one of the kind cardinality", name)
	}
	a := &api.Overlap{Metric: name, Unit: metrics[0].desc.Unit.Name, Sets: []api.DistinctSet{}, Pairs: []api.OverlapPair{}}
	if a.From, a.To, err = t.rangeOf(q); err != nil {
		return nil, err
	}
	a.Policy = sel.Policy()
	groups, err := groupsBy(r.Context(), sel, by)
	if err != nil {
		return nil, err
	}
	var sets []set
	var union metric.Cardinality
	for _, g := range groups {
		b, _, err := sel.Part([]string{g}).Merge(r.Context(), tables, a.From, a.To)
		if err != nil {
			return nil, err
		}
		c := b.Sections[0].Cardinality(0)
		union.Merge(c)
		sets = append(sets, set{sizeOf(g, c), c})
	}
	slices.SortStableFunc(sets, func(a, b set) int { return cmp.Compare(b.Estimate, a.Estimate) })
	a.Groups = api.Groups{By: by, Count: len(sets), Shown: min(len(sets), maxGroups)}
	a.Union = sizeOf("", &union)
	sets = sets[:a.Groups.Shown]
	for i := range sets {
		a.Sets = append(a.Sets, sets[i].DistinctSet)
		for k := range sets[:i] {
			a.Pairs = append(a.Pairs, common(&sets[k], &sets[i]))
		}
	}
	slices.SortStableFunc(a.Pairs, func(a, b api.OverlapPair) int { return cmp.Compare(b.Overlap, a.Overlap) })
	return jsonOf(a)
}

func sizeOf(group string, c *metric.Cardinality) api.DistinctSet {
	e := c.Estimate()
	return api.DistinctSet{Group: group, Estimate: math.Round(e), Error: math.Ceil(e * c.RelativeError())}
}

// common returns what two sets have in common: |A| + |B| − |A ∪ B|. Its error is taken to be that of a sum of three
// independent estimates. Their errors are partly the same, which makes the true error smaller.
func common(a, b *set) api.OverlapPair {
	var both metric.Cardinality
	both.Merge(a.sketch)
	both.Merge(b.sketch)
	union := sizeOf("", &both)
	most := min(a.Estimate, b.Estimate)
	p := api.OverlapPair{A: a.Group, B: b.Group, Error: math.Ceil(math.Sqrt(a.Error*a.Error + b.Error*b.Error + union.Error*union.Error))}
	exact := a.Estimate + b.Estimate - union.Estimate
	p.Overlap = min(max(exact, 0), most)
	p.Lower, p.Upper = min(max(exact-p.Error, 0), most), min(max(exact+p.Error, 0), most)
	if union.Estimate > 0 {
		p.Jaccard = p.Overlap / union.Estimate
	}
	return p
}
