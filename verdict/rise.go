package verdict

import "slices"

// What a firm rise must be at least: how many times the quiet values, how many steps must be known, and how many of them be quiet.
const (
	leastSteps = 4
	times      = 3
	leastQuiet = 2
)

// rise is a run of values that are far above the quiet ones.
type rise struct {
	at, end       int // the first step of the run, and the one after its last
	before, since float64
	open          bool // it lasts to the end
	quiet         int  // the steps before it, if these are few
}

// closed returns the step after the last one of a rise that is over, or 0.
func (r *rise) closed() int {
	if r.open {
		return 0
	}
	return r.end
}

// point is a value that is known, and its step.
type point struct {
	v float64
	i int
}

func points(values Values) (list []point) {
	for i, v := range values {
		if v >= 0 {
			list = append(list, point{v, i})
		}
	}
	return list
}

// firm finds the longest run of values that are far above the quiet ones, which are the lowest quarter. It returns nil if there is
// none, or nothing quiet to compare with. Values below floor do not count as a rise.
func firm(values Values, floor float64) *rise {
	list := points(values)
	if len(list) < leastSteps {
		return nil
	}
	sorted := make(Values, len(list))
	for k, p := range list {
		sorted[k] = p.v
	}
	slices.Sort(sorted)
	least := max(times*sorted[(len(sorted)-1)/4], floor, 1e-300)
	first, end := run(list, least)
	if end-first == 0 || len(list)-(end-first) < leastQuiet {
		return nil
	}
	r := riseOf(list, first, end)
	return &r
}

// thin finds where values began to be at least ten times all before them, however few these are. Other than [firm], it does not
// need a quarter of the steps to be quiet, so it finds the start of an attack that fills nearly all of the range. It carries a
// sentence only together with absolute evidence.
func thin(values Values, floor float64) *rise {
	const tenfold = 10
	list, before := points(values), 0.0
	for k, p := range list {
		least := max(tenfold*before, floor, 1e-300)
		if k == 0 || p.v < least {
			before = max(before, p.v)
			continue
		}
		end := k
		for end < len(list) && list[end].v >= least {
			end++
		}
		r := riseOf(list, k, end)
		r.quiet = k
		return &r
	}
	return nil
}

// run returns the longest run of values that are not below least: its first place in the list, and the one after its last.
func run(list []point, least float64) (first, end int) {
	start := 0
	for k, p := range list {
		if p.v < least {
			start = k + 1
		} else if k+1-start > end-first {
			first, end = start, k+1
		}
	}
	return first, end
}

func riseOf(list []point, first, end int) rise {
	var inside, outside Values
	for k, p := range list {
		if k >= first && k < end {
			inside = append(inside, p.v)
		} else {
			outside = append(outside, p.v)
		}
	}
	return rise{at: list[first].i, end: list[end-1].i + 1, before: median(outside), since: median(inside), open: end == len(list)}
}

func median(list Values) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// judged leaves out the last step if it has just begun: it has less than the one before it.
func judged(list Values) Values {
	n := len(list)
	if n < 2 || list[n-1] < 0 || list[n-2] < 0 || list[n-1] >= list[n-2] {
		return list
	}
	list = slices.Clone(list)
	list[n-1] = -1
	return list
}

// leastWhole is how many messages a step must have for a share of them to say something.
const leastWhole = 20

// Share returns a part of a whole, or -1 if the whole is too small to say something.
func Share(part, whole float64) float64 {
	if whole < leastWhole || part < 0 {
		return -1
	}
	return part / whole
}

func part(of, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return of / whole
}
