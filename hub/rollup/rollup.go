package rollup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/zstd"

	"pktvisor/internal/zstdpool"
	"pktvisor/metric"
)

// Rollup is the merge of the host-minutes of a group over the time of a level.
type Rollup struct {
	// Snapshot is the merged bucket: see docs/snapshot.md.
	Snapshot []byte
	// Members are the host-minutes in it, in the order of their keys.
	Members []Member
	// Sources are the rollups of the level below that a longer rollup was computed from, oldest first. If they are those that
	// are stored now, the rollup is up to date.
	Sources []Source
}

// Source is a stored rollup: its start and its revision in the store.
type Source struct {
	Start    int64
	Revision uint64
}

// A stored rollup is the snapshot, then the block of its members:
//
//	8 bytes  "pktvmemb"
//	1 byte   version 1
//	1 byte   compression: 0 none, 2 zstd
//	4 bytes  length of the stored content
//	4 bytes  length of the content without compression, at most 64 times the stored length and 4096 bytes more
//	         content
//	4 bytes  CRC-32C of all of the block that comes before
//
// Numbers are little endian. members.go describes the content.
const (
	blockMagic   = "pktvmemb"
	blockVersion = 1
	blockPrelude = 18
	blockSum     = 4

	stored     = 0
	compressed = 2

	// maxContent bounds a block's content, in bytes. 65,536 members with names of 32 bytes have less than 8 MiB.
	maxContent = 32 << 20
	// maxRatio and ratioFree bound the memory that a block may claim to need by the bytes that it has.
	maxRatio, ratioFree = 64, 4096
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrVersion is wrapped by the error of [Decode] if a newer program has written the rollup.
var ErrVersion = errors.New("written in a newer format")

// Decode reads a stored rollup. Snapshot is part of data. The envelope of the snapshot and all of the members are checked,
// but not the content of the snapshot, which [metric.Merger.Open] checks. Data may come from an attacker: memory grows with
// the bytes that it has, at most to 32 MiB of content and what that makes of members, never with a length that it claims.
func Decode(data []byte) (Rollup, error) {
	snapshot, block, err := metric.NextSnapshot(data)
	if errors.Is(err, metric.ErrSnapshotVersion) {
		return Rollup{}, fmt.Errorf("rollup: %w", ErrVersion)
	}
	if err != nil {
		return Rollup{}, fmt.Errorf("rollup: %w", err)
	}
	content, err := openBlock(block)
	if err != nil {
		return Rollup{}, fmt.Errorf("rollup: members: %w", err)
	}
	r := Rollup{Snapshot: snapshot}
	if err := r.readMembers(content); err != nil {
		return Rollup{}, fmt.Errorf("rollup: members: %w", err)
	}
	return r, nil
}

// openBlock checks the block's envelope and returns its content without compression.
func openBlock(block []byte) ([]byte, error) {
	if len(block) < blockPrelude+blockSum || string(block[:len(blockMagic)]) != blockMagic {
		return nil, errors.New("not there")
	}
	if block[8] != blockVersion {
		return nil, ErrVersion
	}
	inner, sum := block[:len(block)-blockSum], block[len(block)-blockSum:]
	if crc32.Checksum(inner, castagnoli) != binary.LittleEndian.Uint32(sum) {
		return nil, errors.New("damaged: the checksum does not match")
	}
	content := inner[blockPrelude:]
	size := int64(binary.LittleEndian.Uint32(block[14:]))
	if int64(binary.LittleEndian.Uint32(block[10:])) != int64(len(content)) || size > maxContent || size > ratioFree+maxRatio*int64(len(content)) {
		return nil, errors.New("the length is out of range")
	}
	switch block[9] {
	case stored:
	case compressed:
		var err error
		if content, err = decoder.DecodeAll(content, make([]byte, 0, size)); err != nil { // no more than size
			return nil, err
		}
	default:
		return nil, ErrVersion
	}
	if int64(len(content)) != size {
		return nil, errors.New("the content does not have the stated length")
	}
	return content, nil
}

// Append appends the rollup in the form that [Decode] reads. Members must be in the order of their keys.
func (r *Rollup) Append(dst []byte) []byte {
	dst = append(dst, r.Snapshot...)
	start := len(dst)
	dst = append(dst, blockMagic...)
	dst = append(dst, blockVersion, compressed)
	dst = append(dst, make([]byte, blockPrelude-len(blockMagic)-2)...)

	content := r.appendMembers(nil)
	at := len(dst)
	dst = encoders.Append(dst, content)
	if len(content) > ratioFree+maxRatio*(len(dst)-at) {
		dst = append(dst[:at], content...)
		dst[start+9] = stored
	}

	block := dst[start:]
	binary.LittleEndian.PutUint32(block[10:], uint32(len(dst)-at))
	binary.LittleEndian.PutUint32(block[14:], uint32(len(content)))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(block, castagnoli))
}

// The decoder's output is limited to the capacity of the slice that it is given.
var (
	encoders = zstdpool.NewEncoders(zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	decoder  = zstdpool.NewDecoder(zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxContent))
)

// SameSources reports whether a rollup was computed from exactly the given sources.
func (r *Rollup) SameSources(sources []Source) bool { return slices.Equal(r.Sources, sources) }
