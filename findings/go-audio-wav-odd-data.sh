#!/usr/bin/env bash
# go-audio/wav (Go): a recording of five samples has six, the last at full scale, and its own file loses title and artist.
#
# A chunk of RIFF with an odd size is followed by a byte of padding, and "The ckSize value does not include the pad byte" (Microsoft and IBM,
# "Multimedia Programming Interface and Data Specifications 1.0", chapter 2, "RIFF chunk"). The decoder adds one to the size before it reads, so the
# padding becomes a sample. Samples of 8 bits are unsigned, with silence at 128: the zero of the padding is the loudest possible click at the end.
# Of 24 bits in mono, FullPCMBuffer returns one sample more than PCMBuffer does. The encoder writes no padding at all: after an odd number of
# samples, the title and the artist that it puts behind them stand one byte too early, and the decoder of the same package does not find them, without an error.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"

	"github.com/go-audio/audio"
	"github.com/go-audio/wav"
)

var le = binary.LittleEndian

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// file is a mono file of the samples, with a byte of padding where the standard wants one.
func file(bits uint16, samples []byte) []byte {
	head := append([]byte("WAVEfmt "), 16, 0, 0, 0, 1, 0, 1, 0)
	head = le.AppendUint32(head, 8000)
	head = le.AppendUint32(head, 8000*uint32(bits)/8)
	head = le.AppendUint16(le.AppendUint16(head, bits/8), bits)
	head = append(append(le.AppendUint32(append(head, "data"...), uint32(len(samples))), samples...), make([]byte, len(samples)%2)...)
	return append(le.AppendUint32([]byte("RIFF"), uint32(len(head))), head...)
}

func main() {
	for _, c := range []struct {
		bits    uint16
		samples []byte
	}{{8, []byte{128, 130, 132, 130, 128}}, {24, []byte{1, 0, 0, 2, 0, 0, 3, 0, 0}}} {
		all, err := wav.NewDecoder(bytes.NewReader(file(c.bits, c.samples))).FullPCMBuffer()
		check(err)
		part := &audio.IntBuffer{Data: make([]int, 100)}
		n, err := wav.NewDecoder(bytes.NewReader(file(c.bits, c.samples))).PCMBuffer(part)
		check(err)
		fmt.Printf("%d bits, samples % x: FullPCMBuffer %v, PCMBuffer %v\n", c.bits, c.samples, all.Data, part.Data[:n])
	}
	for _, samples := range [][]int{{128, 130, 132, 130}, {128, 130, 132, 130, 128}} {
		f, err := os.Create("x.wav")
		check(err)
		e := wav.NewEncoder(f, 8000, 8, 1, 1)
		e.Metadata = &wav.Metadata{Artist: "An artist", Title: "A title"}
		check(e.Write(&audio.IntBuffer{Format: &audio.Format{NumChannels: 1, SampleRate: 8000}, Data: samples}))
		check(e.Close())
		check(f.Close())
		b, err := os.ReadFile("x.wav")
		check(err)
		d := wav.NewDecoder(bytes.NewReader(b))
		d.ReadMetadata()
		fmt.Printf("%d samples written with title and artist: ", len(samples))
		if d.Metadata == nil {
			fmt.Printf("none read, error %v\n", d.Err())
			continue
		}
		fmt.Printf("%q by %q read\n", d.Metadata.Title, d.Metadata.Artist)
	}
}
GO
export GOFLAGS=-mod=mod
go get github.com/go-audio/wav@v1.1.0 github.com/go-audio/audio@v1.0.0 2>/dev/null
echo "go-audio/wav v1.1.0"
go run . | tee out.txt
diff out.txt - <<'OUT'
8 bits, samples 80 82 84 82 80: FullPCMBuffer [128 130 132 130 128 0], PCMBuffer [128 130 132 130 128 0]
24 bits, samples 01 00 00 02 00 00 03 00 00: FullPCMBuffer [1 2 3 0], PCMBuffer [1 2 3]
4 samples written with title and artist: "A title" by "An artist" read
5 samples written with title and artist: none read, error <nil>
OUT
echo "as found"
