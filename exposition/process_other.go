//go:build !linux

package exposition

import "time"

var startTime = NewFamily("process_start_time_seconds", "Start of the process, in Unix time.", Gauge)

// appendProcess writes the start of the process. The other numbers come from /proc, which other systems do not have.
func appendProcess(e *Encoder, started time.Time) {
	e.Family(startTime)
	e.Value(float64(started.UnixMilli())/1000, time.Time{})
}
