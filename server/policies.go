package server

import (
	"context"
	"time"

	"pktvisor/metric"
	"pktvisor/window"
)

// Policy is a policy as the server publishes it. It does not change: a policy that was changed is another Policy.
type Policy struct {
	Name string
	// Windows are its windows: one for each tap, or one for all taps together, and one more for each further handler of a
	// type. The first is what a request gets that names the policy only.
	Windows []PolicyWindow
	// Description is what GET /api/v1/policies shows of the policy: a JSON object.
	Description []byte
	// Memory is the most that its windows and tables take, in bytes. 0 means that it is not known.
	Memory int64
	// ForEach says which keys have a summary of their own: see [PolicyWindow.Keys]. It is nil if none have.
	ForEach *ForEach
}

// ForEach is a table whose heaviest keys have summaries of their own.
type ForEach struct {
	// Top is the table, as section.table. Most is the greatest number of keys for each window.
	Top  string `json:"top"`
	Most int    `json:"most"`
}

// KeyWindow is the summary of what one key of a table has: see [ForEach].
type KeyWindow struct {
	Key string
	// PolicyWindow is the key's own window. It has the tap and handlers of the window to which it belongs, and no keys. Started is
	// when the key began to be followed.
	PolicyWindow
}

// PolicyWindow is a window of a policy.
type PolicyWindow struct {
	// Tap is the name of the tap, or "" if the window has the events of several.
	Tap string
	window.Views
	Tables []*metric.Table
	// Started is when the window began to count. Zero means [Config.Started].
	Started time.Time
	// Handlers are the analyzers whose sections the window has, in the order of the configuration.
	Handlers []Handler
	// DeepSamplePercent is the greatest percentage of address pairs that is analysed in depth.
	DeepSamplePercent int
	// Keys are the keys that are followed now, in the order in which they began.
	Keys []KeyWindow
}

// Handler is an analyzer of a policy as it was configured.
type Handler struct {
	Name string
	// Type is dns, net or pcap. Version is that of the form of its answers: "1.0" or "2.0".
	Type, Version string
	// Enable and Disable are groups of metrics by the successor's names. Disable applies first.
	Enable, Disable []string
	// Rows is the number of rows of its top tables. Percentile hides the rows below that percentile.
	Rows, Percentile int
}

// Control changes what an agent observes while it runs. Its methods may be called from any goroutine; they take turns. An error
// may be an [*Error]. A call that fails has changed nothing.
type Control interface {
	// Add adds the one tap or policy of a document. If name is not empty, the document must have that name. With replace, one
	// of that name is replaced; if it is the same as before, it keeps its window and counters. It returns the name.
	Add(ctx context.Context, document []byte, what Object, name string, replace bool) (added string, err error)
	// Remove removes a tap or a policy and releases all that it has.
	Remove(ctx context.Context, what Object, name string) error
	// Reload reads the configuration file again.
	Reload(ctx context.Context) error
	// Stop ends the program. It need not wait for the end.
	Stop()
}

// Object is a kind of thing that can be configured.
type Object int

// The kinds.
const (
	ATap Object = iota
	APolicy
)

// String returns the name of the kind.
func (o Object) String() string {
	if o == ATap {
		return "tap"
	}
	return "policy"
}
