package exposition

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// AppendProcess writes the metrics about the Go runtime and the process: the names and values of the collectors that programs
// in Go usually have, so that their dashboards work. started is when the process began; its counters count from there.
func AppendProcess(e *Encoder, started time.Time) {
	appendRuntime(e, started)
	appendProcess(e, started)
}

// memory is a family that is the sum of metrics of the runtime.
type memory struct {
	*Family
	of []string
}

// memoryFamilies are the numbers of [runtime.MemStats] under the names that they had when these were read. The runtime's metrics
// give the same without stopping the program.
var memoryFamilies = []memory{
	memoryGauge("alloc_bytes", "Bytes of heap objects, alive or not yet collected.", heapObjects),
	{newUnknown("go_memstats_alloc_bytes_total", "Bytes of all heap objects that were ever allocated."), []string{"/gc/heap/allocs:bytes"}},
	memoryGauge("sys_bytes", "Bytes of all memory that the Go runtime has got from the system.", "/memory/classes/total:bytes"),
	memoryCounter("mallocs_total", "Heap objects that were allocated.", "/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"),
	memoryCounter("frees_total", "Heap objects that were freed.", "/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"),
	memoryGauge("heap_alloc_bytes", "Bytes of heap objects, like go_memstats_alloc_bytes.", heapObjects),
	memoryGauge("heap_sys_bytes", "Bytes of heap memory from the system.", heapObjects, heapUnused, heapReleased, heapFree),
	memoryGauge("heap_idle_bytes", "Bytes of heap memory without objects.", heapReleased, heapFree),
	memoryGauge("heap_inuse_bytes", "Bytes of heap memory in pages that have objects.", heapObjects, heapUnused),
	memoryGauge("heap_released_bytes", "Bytes of heap memory that were given back to the system.", heapReleased),
	memoryGauge("heap_objects", "Heap objects, alive or not yet collected.", "/gc/heap/objects:objects"),
	memoryGauge("stack_inuse_bytes", "Bytes of the stacks of goroutines.", heapStacks),
	memoryGauge("stack_sys_bytes", "Bytes of all stacks.", heapStacks, "/memory/classes/os-stacks:bytes"),
	memoryGauge("mspan_inuse_bytes", "Bytes of mspan structures in use.", mspanInuse),
	memoryGauge("mspan_sys_bytes", "Bytes of memory for mspan structures.", mspanInuse, "/memory/classes/metadata/mspan/free:bytes"),
	memoryGauge("mcache_inuse_bytes", "Bytes of mcache structures in use.", mcacheInuse),
	memoryGauge("mcache_sys_bytes", "Bytes of memory for mcache structures.", mcacheInuse, "/memory/classes/metadata/mcache/free:bytes"),
	memoryGauge("buck_hash_sys_bytes", "Bytes of the hash table of profiles.", "/memory/classes/profiling/buckets:bytes"),
	memoryGauge("gc_sys_bytes", "Bytes of what the garbage collector notes.", "/memory/classes/metadata/other:bytes"),
	memoryGauge("other_sys_bytes", "Bytes of other memory of the runtime.", "/memory/classes/other:bytes"),
	memoryGauge("next_gc_bytes", "Bytes of heap at which the next garbage collection ends.", "/gc/heap/goal:bytes"),
	{NewFamily("go_gc_gogc_percent", "Growth of the heap until the next collection (GOGC).", Gauge), []string{"/gc/gogc:percent"}},
	{NewFamily("go_gc_gomemlimit_bytes", "Limit of memory of the Go runtime (GOMEMLIMIT), or the greatest integer.", Gauge), []string{"/gc/gomemlimit:bytes"}},
	{NewFamily("go_sched_gomaxprocs_threads", "Threads that may run Go code at once (GOMAXPROCS).", Gauge), []string{"/sched/gomaxprocs:threads"}},
}

const (
	heapObjects  = "/memory/classes/heap/objects:bytes"
	heapUnused   = "/memory/classes/heap/unused:bytes"
	heapReleased = "/memory/classes/heap/released:bytes"
	heapFree     = "/memory/classes/heap/free:bytes"
	heapStacks   = "/memory/classes/heap/stacks:bytes"
	mspanInuse   = "/memory/classes/metadata/mspan/inuse:bytes"
	mcacheInuse  = "/memory/classes/metadata/mcache/inuse:bytes"
)

func memoryGauge(name, help string, of ...string) memory {
	return memory{NewFamily("go_memstats_"+name, help, Gauge), of}
}

func memoryCounter(name, help string, of ...string) memory {
	return memory{NewFamily("go_memstats_"+name, help, Counter), of}
}

var (
	goroutines = NewFamily("go_goroutines", "Goroutines that exist.", Gauge)
	threads    = NewFamily("go_threads", "Threads of the system that were created.", Gauge)
	goInfo     = NewFamily("go_info", "Always 1. The label is the version of Go.", Gauge)
	pauses     = NewFamily("go_gc_duration_seconds", "Pauses of the program in garbage collections.", Summary)
	lastGC     = NewFamily("go_memstats_last_gc_time_seconds", "End of the last garbage collection, in Unix time.", Gauge)
)

func appendRuntime(e *Encoder, started time.Time) {
	value := func(f *Family, v float64, labels ...Label) {
		e.Family(f)
		e.Value(v, started, labels...)
	}
	value(goroutines, float64(runtime.NumGoroutine()))
	n, _ := runtime.ThreadCreateProfile(nil)
	value(threads, float64(n))
	value(goInfo, 1, Label{"version", runtime.Version()})

	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	quantiles := make([]Quantile, len(stats.PauseQuantiles))
	for i, p := range stats.PauseQuantiles {
		quantiles[i] = Quantile{float64(i) / float64(len(quantiles)-1), p.Seconds()}
	}
	e.Family(pauses)
	e.Summary(uint64(stats.NumGC), stats.PauseTotal.Seconds(), quantiles, started)
	value(lastGC, float64(stats.LastGC.UnixNano())/1e9)

	var samples []metrics.Sample
	for _, m := range memoryFamilies {
		for _, name := range m.of {
			samples = append(samples, metrics.Sample{Name: name})
		}
	}
	metrics.Read(samples)
	for _, m := range memoryFamilies {
		sum, known := uint64(0), true
		for range m.of {
			if known = known && samples[0].Value.Kind() == metrics.KindUint64; known {
				sum += samples[0].Value.Uint64()
			}
			samples = samples[1:]
		}
		if known { // a later version of Go may not have it
			value(m.Family, float64(sum))
		}
	}
}
