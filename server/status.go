package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pktvisor/metric"
	"pktvisor/sandbox"
	"pktvisor/window"
)

// Status describes the state of the capture.
type Status struct {
	// Tags are the agent's tags.
	Tags metric.Tags
	// Target is what is captured, in the words of the command line.
	Target string
	// Filter is the filter expression, or empty if there is none.
	Filter string
	// Sources are the opened sources, one for each shard that has its own source.
	Sources []Source
	Shards  int
	// Devices are the devices that a capture on "any" has received frames from, most frames first.
	Devices []Device
	// Hosts are the host subnets, in CIDR form.
	Hosts []string
	// LastPacket is the time of the newest packet, or zero before the first.
	LastPacket time.Time
	// Anonymity says how everything that the agent publishes is anonymised.
	Anonymity metric.Anonymity
	// Fault says why nothing, or only a part, is captured. It is empty if there is no fault.
	Fault string
	// Taps are the taps with their own faults. If one has a fault, the agent is not ready.
	Taps []Tap
	// State describes the state directory. It is nil if there is none.
	State *State
	// Push describes the pushing to a hub. It is nil if there is none.
	Push *Push
	// OTLP describes the pushing by OTLP. It is nil if there is none.
	OTLP *OTLP
	// Kernel describes the counting in the kernel. It is nil if that cannot be, as with a file.
	Kernel *Kernel
	// Memory describes the limit of memory. It is nil if there is none.
	Memory *Memory
	// Sample is the deep sample of a live capture that lowers it under load. It is nil if the sample stays as it is.
	Sample *Sample
}

// Tap is the state of a tap.
type Tap struct {
	Name string
	// Fault says why nothing, or only a part, is captured. It is empty if there is no fault.
	Fault string
}

// MarshalJSON implements [json.Marshaler].
func (t Tap) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name      string `json:"name"`
		Capturing bool   `json:"capturing"`
		Fault     string `json:"fault,omitempty"`
	}{t.Name, t.Fault == "", t.Fault})
}

// faults returns what is wrong with the capture, or with one tap, in one line. It is empty if nothing is.
func (st *Status) faults(tap string) string {
	var all []string
	if st.Fault != "" && tap == "" {
		all = append(all, st.Fault)
	}
	for _, t := range st.Taps {
		if t.Fault != "" && (tap == "" || tap == t.Name) && t.Fault != st.Fault {
			all = append(all, "tap "+t.Name+": "+t.Fault)
		}
	}
	return strings.Join(all, "; ")
}

// Memory describes what is done to stay below a limit of memory.
type Memory struct {
	// Limit is the limit, and Needed the memory that is not garbage, in bytes.
	Limit  int64 `json:"limit_bytes"`
	Needed int64 `json:"needed_bytes"`
	// Shed lists what is shed now, in the order in which it was. Sheds counts the times since the start.
	Shed  []string `json:"shed"`
	Sheds uint64   `json:"sheds"`
	// Periods is the number of minutes that the window of an agent keeps.
	Periods int `json:"periods,omitempty"`
}

// Sample describes a deep sample that is lowered under load.
type Sample struct {
	// Percent is the share of address pairs that are analysed in depth now, from Min to Max.
	Percent float64 `json:"percent"`
	Min     float64 `json:"min_percent"`
	Max     float64 `json:"max_percent"`
	// Lowered and Raised count the changes. Reason says why it is lower than Max: "behind" or "cpu".
	Lowered uint64 `json:"lowered"`
	Raised  uint64 `json:"raised"`
	Reason  string `json:"reason,omitempty"`
	// CPUPercent is what the agent took of one core in the last second, and MaxCPUPercent its budget.
	CPUPercent    float64 `json:"cpu_percent"`
	MaxCPUPercent float64 `json:"max_cpu_percent,omitempty"`
}

// Kernel says whether packets are counted in the kernel.
type Kernel struct {
	Counting bool `json:"counting"`
	// Reason is why they are not.
	Reason string `json:"reason,omitempty"`
}

// Push describes how finished minutes are pushed to a hub over NATS.
type Push struct {
	// URL is where they are pushed, without secrets.
	URL       string `json:"url"`
	Connected bool   `json:"connected"`
	// Pending counts minutes that are not acknowledged yet. Acknowledged counts those that are. Failed counts failed
	// attempts. Dropped counts minutes that were given up because the window no longer has them.
	Pending      int    `json:"pending"`
	Acknowledged uint64 `json:"acknowledged"`
	Failed       uint64 `json:"failed"`
	Dropped      uint64 `json:"dropped"`
	// Error is why there is no connection, or the error of the last attempt. It is empty if the last attempt succeeded.
	Error string `json:"error,omitempty"`
}

// State describes how finished minutes are written to the state directory.
type State struct {
	// Waiting counts minutes that are not written yet, including those whose write failed and is retried. Failed counts
	// failed attempts. Dropped counts minutes that were given up because the window no longer has them.
	Waiting int    `json:"waiting"`
	Failed  uint64 `json:"failed"`
	Dropped uint64 `json:"dropped"`
	// Error is the error of the last attempt, or empty if it succeeded.
	Error string `json:"error,omitempty"`
	// SyncedTS is the Unix time of the unfinished minute that is written, or 0 if none is.
	SyncedTS int64 `json:"synced_ts,omitempty"`
	// Crashed says that the last run did not end by itself. LostFromTS is the Unix time from which on its counts are lost, or 0 if
	// that is not known.
	Crashed    bool  `json:"crashed"`
	LostFromTS int64 `json:"lost_from_ts,omitempty"`
}

// Source is an opened source with its counts since it was opened.
type Source struct {
	// Name is the interface or file. Kind is "interface" or "replay". Link is the link type of its frames, or empty
	// before the first.
	Name string `json:"name"`
	Kind string `json:"kind"`
	Link string `json:"link,omitempty"`
	// Tap is the tap that reads it. It is empty for the tap "default".
	Tap string `json:"tap,omitempty"`
	// Shard is the shard that reads it, from 0.
	Shard int `json:"shard"`
	// Error says what ended the source.
	Error string `json:"error,omitempty"`
	// Counts is a section of [Config.Sources]. Its metrics follow the other members in JSON. Lost counts frames that
	// were dropped before they reached the source.
	Counts *metric.Section `json:"-"`
	Lost   uint64          `json:"-"`
}

// MarshalJSON implements [json.Marshaler].
func (s *Source) MarshalJSON() ([]byte, error) {
	type plain Source
	return withMembers((*plain)(s), s.Counts)
}

// withMembers returns the JSON of v, which must be an object, with the metrics of s after its members. s may be nil.
func withMembers(v any, s *metric.Section) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil || s == nil {
		return b, err
	}
	return append(s.AppendMembers(b[:len(b)-1]), '}'), nil
}

// Device is a network device that a capture on "any" has received frames from, with its counts since the capture was
// opened.
type Device struct {
	Name string `json:"name"`
	// Frames counts the frames that count. Copies counts those that count on another device.
	Frames uint64 `json:"frames"`
	Copies uint64 `json:"copies"`
}

// maxDevices bounds the listed devices. Devices with fewer frames are summed up.
const maxDevices = 16

// firstDevices returns the first devices, and one more with the sum of the others.
func firstDevices(all []Device) []Device {
	if len(all) <= maxDevices {
		return all
	}
	rest := Device{Name: fmt.Sprintf("%d others", len(all)-maxDevices)}
	for _, d := range all[maxDevices:] {
		rest.Frames += d.Frames
		rest.Copies += d.Copies
	}
	return append(slices.Clone(all[:maxDevices]), rest)
}

// appAnswer is the answer of /api/v1/metrics/app: the original's fields, followed by ours.
type appAnswer struct {
	App struct {
		Version           string  `json:"version"`
		UpTimeMin         float64 `json:"up_time_min"`
		Periods           int     `json:"periods"`
		SingleSummary     bool    `json:"single_summary"`
		DeepSampleRatePct int     `json:"deep_sample_rate_pct"`

		Anonymized     []metric.AnonymizedAs `json:"anonymized,omitempty"`
		UptimeS        int64                 `json:"uptime_s"`
		StartTS        int64                 `json:"start_ts"`
		Build          build                 `json:"build"`
		Host           string                `json:"host,omitempty"`
		Tags           []string              `json:"tags,omitempty"`
		Target         string                `json:"target"`
		Filter         string                `json:"filter,omitempty"`
		Hosts          []string              `json:"hosts"`
		Shards         int                   `json:"shards"`
		Capturing      bool                  `json:"capturing"`
		Fault          string                `json:"fault,omitempty"`
		SealedPeriods  int                   `json:"sealed_periods"`
		LastPacketTS   float64               `json:"last_packet_ts,omitempty"`
		LastPacketAgeS *float64              `json:"last_packet_age_s,omitempty"`
		Sources        []*Source             `json:"sources"`
		Devices        []Device              `json:"devices,omitempty"`
		Drops          drops                 `json:"drops"`
		State          *State                `json:"state,omitempty"`
		Push           *Push                 `json:"push,omitempty"`
		OTLP           *OTLP                 `json:"otlp,omitempty"`
		Kernel         *Kernel               `json:"kernel,omitempty"`
		Sample         *Sample               `json:"sample,omitempty"`
		Sandbox        *sandbox.State        `json:"sandbox,omitempty"`
		Fleet          any                   `json:"fleet,omitempty"`
		Taps           []Tap                 `json:"taps,omitempty"`
		Policies       []policyState         `json:"policies,omitempty"`
		Memory         memory                `json:"memory"`
		Goroutines     int                   `json:"goroutines"`
		ViewsRendered  uint64                `json:"views_rendered"`
	} `json:"app"`
	totals *metric.Bucket // of the window; their gauges are the state of the sections
}

// MarshalJSON implements [json.Marshaler].
func (a *appAnswer) MarshalJSON() ([]byte, error) {
	type plain appAnswer
	b, err := json.Marshal((*plain)(a))
	if err != nil {
		return nil, err
	}
	return append(a.totals.AppendState(b[:len(b)-1]), '}'), nil
}

// policyState is a policy in the answer of /api/v1/metrics/app.
type policyState struct {
	Name        string        `json:"name"`
	MemoryBytes int64         `json:"memory_bytes,omitempty"`
	Windows     []windowState `json:"windows"`
	ForEach     *ForEach      `json:"for_each,omitempty"`
	Keys        []keyState    `json:"keys,omitempty"`
}

// keyState is a key of a table that has a summary of its own.
type keyState struct {
	Key           string `json:"key"`
	Tap           string `json:"tap,omitempty"`
	SinceTS       int64  `json:"since_ts"`
	SealedPeriods int    `json:"sealed_periods"`
}

// windowState is a window of a policy.
type windowState struct {
	Tap           string         `json:"tap,omitempty"`
	Periods       int            `json:"periods"`
	SealedPeriods int            `json:"sealed_periods"`
	Handlers      []handlerState `json:"handlers"`
}

// handlerState is a handler of a window.
type handlerState struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Version string `json:"version"`
}

// policyStates returns the policies of an agent.
func (s *Server) policyStates() (list []policyState) {
	if s.hub() {
		return nil
	}
	for _, p := range s.lives.now() {
		state := policyState{Name: p.Name, MemoryBytes: p.Memory, Windows: []windowState{}, ForEach: p.ForEach}
		for i := range p.Windows {
			w := &p.Windows[i]
			out := windowState{Tap: w.Tap, Periods: w.Periods(), SealedPeriods: len(w.Minutes()), Handlers: []handlerState{}}
			for _, h := range w.Handlers {
				out.Handlers = append(out.Handlers, handlerState{h.Name, h.Type, h.Version})
			}
			state.Windows = append(state.Windows, out)
			for k := range w.Keys {
				key := &w.Keys[k]
				state.Keys = append(state.Keys, keyState{key.Key, key.Tap, key.Started.Unix(), len(key.Minutes())})
			}
		}
		list = append(list, state)
	}
	return list
}

type build struct {
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
}

// drops counts the frames of all sources that were lost or rejected.
type drops struct {
	Total  uint64 `json:"total"`
	counts *metric.Section
}

// MarshalJSON implements [json.Marshaler].
func (d *drops) MarshalJSON() ([]byte, error) {
	type plain drops
	return withMembers((*plain)(d), d.counts)
}

type memory struct {
	HeapBytes     uint64 `json:"heap_bytes"`
	TotalBytes    uint64 `json:"total_bytes"`
	ResidentBytes uint64 `json:"resident_bytes,omitempty"`
	CacheBytes    uint64 `json:"cache_bytes"`
	*Memory              // nil without a limit
}

// appSelection is selection for the state of the agent, which is also there without a policy.
func (s *Server) appSelection(r *http.Request) (*Selection, error) {
	q := r.URL.Query()
	if s.hub() || q.Has("policy") || q.Has("tap") || q.Has("handler") || q.Has("key") || len(s.lives.now()) > 0 {
		return s.selection(r)
	}
	return &Selection{Views: noViews{s.empty}}, agentOnly(q)
}

// noViews are the views of an agent without policies: there is nothing.
type noViews struct{ empty *metric.Bucket }

func (noViews) Periods() int                                { return 0 }
func (noViews) Bucket(int) *metric.Bucket                   { return nil }
func (noViews) Minutes() []window.Minute                    { return nil }
func (noViews) Merged(int) *metric.Bucket                   { return nil }
func (noViews) Second(_ int64, read func(b *metric.Bucket)) { read(nil) }
func (v noViews) Totals() *metric.Bucket                    { return v.empty }

// app answers with the agent's state.
func (s *Server) app(w http.ResponseWriter, r *http.Request) {
	sel, err := s.appSelection(r)
	if err != nil {
		Fail(w, r, err)
		return
	}
	st, now := s.cfg.Status(), time.Now()
	var v appAnswer
	a := &v.App
	a.Version, a.Build = s.cfg.Version, buildInfo()
	up := max(now.Sub(s.cfg.Started), 0) // a caller's Started can lie ahead
	a.UpTimeMin, a.UptimeS, a.StartTS = up.Minutes(), int64(up.Seconds()), s.cfg.Started.Unix()
	a.Periods, a.SealedPeriods = sel.Periods(), len(sel.Minutes())
	a.DeepSampleRatePct = s.deepSample(sel)
	a.Host, a.Target, a.Filter, a.Shards = s.cfg.Host, st.Target, st.Filter, st.Shards
	a.Tags = st.Tags.List()
	a.Anonymized = st.Anonymity.List()
	a.Hosts = append([]string{}, st.Hosts...)
	a.Fault = st.faults("")
	a.Capturing = a.Fault == ""
	a.Taps, a.Policies = st.Taps, s.policyStates()
	if !st.LastPacket.IsZero() {
		age := max(now.Sub(st.LastPacket).Seconds(), 0)
		a.LastPacketTS, a.LastPacketAgeS = float64(st.LastPacket.UnixMilli())/1000, &age
	}
	a.Sources = []*Source{}
	all := metric.NewBucket([]*metric.Table{s.cfg.Sources})
	a.Drops.counts = all.Sections[0]
	for i := range st.Sources {
		src := &st.Sources[i]
		a.Sources = append(a.Sources, src)
		a.Drops.Total += src.Lost
		all.Merge(&metric.Bucket{Sections: []*metric.Section{src.Counts}})
	}
	a.Devices = firstDevices(st.Devices)
	a.State, a.Push, a.Sample, a.Kernel, a.Sandbox = st.State, st.Push, st.Sample, st.Kernel, s.cfg.Sandbox
	a.OTLP = st.OTLP
	mem := memoryNow()
	mem.Memory = st.Memory
	a.Memory, a.Goroutines, a.ViewsRendered = mem, runtime.NumGoroutine(), s.rendered()
	a.Memory.CacheBytes = s.cacheBytes()
	v.totals = sel.Totals()
	if sel.Fleet != nil {
		a.Fleet = sel.Fleet()
	}
	if err := sel.failed(); err != nil {
		Fail(w, r, err)
		return
	}
	answer(w, http.StatusOK, &v)
}

func (s *Server) cacheBytes() (sum uint64) {
	for _, c := range s.caches() {
		sum += uint64(c.size())
	}
	return sum
}

// buildInfo describes the running program. It is cached, because it never changes and takes a while to find out.
var buildInfo = sync.OnceValue(func() build {
	b := build{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Revision = s.Value
			case "vcs.time":
				b.Time = s.Value
			}
		}
	}
	return b
})

func memoryNow() memory {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	m := memory{HeapBytes: samples[0].Value.Uint64(), TotalBytes: samples[1].Value.Uint64()}
	// The second field is the resident set in pages. The file exists only on Linux.
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			pages, _ := strconv.ParseUint(f[1], 10, 64)
			m.ResidentBytes = pages * uint64(os.Getpagesize())
		}
	}
	return m
}

// healthz answers that the process is alive.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "alive"})
}

// readyz reports whether every requested source is captured, or those of the tap that the request names, or whether the hub can do
// its work.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready := "capturing"
	if s.hub() {
		ready = "ready"
	}
	st, tap := s.cfg.Status(), r.URL.Query().Get("tap")
	if tap != "" && !slices.ContainsFunc(st.Taps, func(t Tap) bool { return t.Name == tap }) {
		var names []string
		for _, t := range st.Taps {
			names = append(names, t.Name)
		}
		fail(w, http.StatusNotFound, "tap does not exist: there is no %.100q, but %s", tap, listOf(names))
		return
	}
	if fault := st.faults(tap); fault != "" {
		fail(w, http.StatusServiceUnavailable, "not %s: %s", ready, fault)
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": ready})
}
