// Package veth sends the frames of a capture at a steady pace, on one end of a veth pair in a network namespace of its own, or
// anywhere else. Only programs that test and measure use it.
package veth

import (
	"encoding/binary"
	"time"
)

// HeaderLen is the length of a pcap file's header, and RecordLen that of a frame's header, in bytes.
const HeaderLen, RecordLen = 24, 16

// maxLag is how far a pace may fall behind. Catching up with more would be an overload.
const maxLag = 100 * time.Millisecond

// Pace hands over the records of a capture in bursts at a rate. The capture is a little-endian pcap file in memory. The rate is in
// packets a second; 0 is as fast as possible. A burst has the given number of frames, and is followed by a pause that keeps the
// pace. If send takes too long, later bursts follow without a pause until the pace is reached again, but at most 100 ms are
// made up for.
func Pace(capture []byte, rate float64, burst int, send func(records []byte, frames int)) {
	start, done := time.Now(), 0
	for rest := capture[HeaderLen:]; len(rest) > RecordLen; {
		if ahead := time.Duration(float64(done)/rate*1e9) - time.Since(start); rate > 0 && ahead > 0 {
			time.Sleep(ahead)
		} else if rate > 0 && ahead < -maxLag {
			start = start.Add(-ahead)
		}
		records, frames := rest, 0
		for ; frames < burst && len(rest) > RecordLen; frames++ {
			rest = rest[RecordLen+int(binary.LittleEndian.Uint32(rest[8:])):]
		}
		send(records[:len(records)-len(rest)], frames)
		done += frames
	}
}

// SendAll sends the frames of records, as [Pace] hands them over.
func (l *Link) SendAll(records []byte) {
	for len(records) > RecordLen {
		end := RecordLen + int(binary.LittleEndian.Uint32(records[8:]))
		l.Send(records[RecordLen:end])
		records = records[end:]
	}
}
