package api

// Timeline is what the answers of /api/v1/series and /api/v1/history have in common. Times are Unix seconds. A list of values
// has one for each step, which is nil if there is nothing in it.
type Timeline struct {
	From           int64  `json:"from_ts"`
	To             int64  `json:"to_ts"`
	StepS          int64  `json:"step_s"`
	Policy         string `json:"policy"`
	MissingMinutes int    `json:"missing_minutes"`
}

// Series is the answer of /api/v1/series.
type Series struct {
	Timeline
	Series []Line  `json:"series"`
	Bins   []Heat  `json:"bins,omitempty"`
	Groups *Groups `json:"groups,omitempty"`
}

// Groups says how many values of a tag there are, each a group, and how many are shown one by one.
type Groups struct {
	By    string `json:"by"`
	Count int    `json:"count"`
	Shown int    `json:"shown"`
}

// Line is one line of a chart.
type Line struct {
	Metric string     `json:"metric"`
	Kind   string     `json:"kind"`
	Unit   string     `json:"unit"`
	Stat   string     `json:"stat"`
	Group  string     `json:"group,omitempty"`
	Values []*float64 `json:"values"`
}

// Heat is the heat map of a histogram.
type Heat struct {
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	Group  string `json:"group,omitempty"`
	// Ratio is the upper bound of a bin by its lower bound.
	Ratio float64 `json:"ratio"`
	// Steps are the bins of each step: the upper bound and the number of values. Bins without values are left out.
	Steps [][][2]float64 `json:"steps"`
}

// History is the answer of /api/v1/history: rows of a table over time.
type History struct {
	Timeline
	Table string `json:"table"`
	Kind  string `json:"kind"`
	Unit  string `json:"unit"`
	// Total is the whole of the table in each step.
	Total []*float64   `json:"total"`
	Rows  []RowHistory `json:"rows"`
	// Groups and Parts are those of the parameter by: the same of each part of a fleet.
	Groups *Groups       `json:"groups,omitempty"`
	Parts  []HistoryPart `json:"parts,omitempty"`
}

// HistoryPart is what a group has of the rows.
type HistoryPart struct {
	Group string       `json:"group"`
	Total []*float64   `json:"total"`
	Rows  []RowHistory `json:"rows"`
}

// RowHistory is what a row had at least and at most in each step.
type RowHistory struct {
	Name  string     `json:"name"`
	Lower []*float64 `json:"lower"`
	Upper []*float64 `json:"upper"`
}

// Changes is the answer of /api/v1/changes: what is different between two summaries.
type Changes struct {
	Now      *Selected `json:"now"`
	Base     *Selected `json:"base"`
	Measure  string    `json:"measure"` // per_second or share
	Compared int       `json:"compared"`
	Changes  []Change  `json:"changes"` // greatest score first
}

// Change is how much more or less of something there is, in the measure.
type Change struct {
	Metric string `json:"metric"`
	Name   string `json:"name,omitempty"` // of a row
	Kind   string `json:"kind"`
	Unit   string `json:"unit"`
	Now    Bounds `json:"now"`
	Base   Bounds `json:"base"`
	// Change is the smallest difference that the bounds of both allow. Score is its share of all that is counted in the
	// same table or unit.
	Change float64 `json:"change"`
	Score  float64 `json:"score"`
}

// Bounds are the least and the most that a value can be.
type Bounds struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// Selected says what a summary is about: its member fleet.
type Selected struct {
	Policy string   `json:"policy"`
	Tags   []string `json:"tags,omitempty"`
	Hosts  []string `json:"host_names,omitempty"`
	// From and To are the time that was asked for.
	From           int64          `json:"from_ts"`
	To             int64          `json:"to_ts"`
	Count          int            `json:"hosts"`
	HostMinutes    uint64         `json:"host_minutes"`
	Minutes        int            `json:"minutes"`
	MissingMinutes int            `json:"missing_minutes"`
	CoveredS       uint64         `json:"covered_s"`
	Rollups        map[string]int `json:"rollups"`
	Rates          bool           `json:"rates"`
	Damaged        int            `json:"damaged"`
}

// Overlap is the answer of /api/v1/overlap: how much the distinct sets of groups have in common.
type Overlap struct {
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	From   int64  `json:"from_ts"`
	To     int64  `json:"to_ts"`
	Policy string `json:"policy"`
	// Sets are largest first. Union is that of all of them, also of those that are not shown.
	Groups Groups        `json:"groups"`
	Union  DistinctSet   `json:"union"`
	Sets   []DistinctSet `json:"sets"`
	// Pairs have the largest overlap first.
	Pairs []OverlapPair `json:"pairs"`
}

// DistinctSet is the size of a set.
type DistinctSet struct {
	Group    string  `json:"group,omitempty"`
	Estimate float64 `json:"estimate"`
	// Error is half the width of the 95% interval.
	Error float64 `json:"error"`
}

// OverlapPair is how much two sets have in common.
type OverlapPair struct {
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

// Attack is the answer of /api/v1/attack: what the numbers of DNS traffic mean in words. Names in its texts come from the network.
type Attack struct {
	Timeline
	// Headline names the attack, or is empty if nothing stands out. Strong is set if its evidence is.
	Headline string `json:"headline,omitempty"`
	Strong   bool   `json:"strong"`
	// Since is when it began, in Unix seconds. With SinceEarlier, it was there when the data begins, which is then.
	Since        int64 `json:"since_ts,omitempty"`
	SinceEarlier bool  `json:"since_earlier,omitempty"`
	// Until is when it ended, or 0 if it lasts or that is not known.
	Until int64 `json:"until_ts,omitempty"`
	// Baseline says how much quiet time there is to compare with: enough, little or none.
	Baseline  string           `json:"baseline"`
	Sentences []AttackSentence `json:"sentences"`
}

// AttackSentence is one finding.
type AttackSentence struct {
	Kind     string `json:"kind"`
	Text     string `json:"text"`
	Subject  string `json:"subject,omitempty"` // a zone, client or network
	Headline string `json:"headline,omitempty"`
	Since    int64  `json:"since_ts,omitempty"`
}
