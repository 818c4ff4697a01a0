package policy

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. It implements the Value interface of package pflag, which reads it as a number with a unit, such as
// 256MiB or 1G. All units are powers of 1024. "off" is [Unlimited], and "auto" is 0.
type Size int64

// Unlimited is a size without a bound.
const Unlimited Size = -1

// MinMemory is the least limit of memory that a program can live with for a while.
const MinMemory Size = 32 << 20

// units lists the units, the largest first.
var units = []struct {
	names []string
	bytes Size
}{
	{[]string{"GiB", "Gi", "G"}, 1 << 30},
	{[]string{"MiB", "Mi", "M"}, 1 << 20},
	{[]string{"KiB", "Ki", "K"}, 1 << 10},
	{[]string{"B", ""}, 1},
}

// String returns the size with the largest unit of which it is a multiple.
func (s Size) String() string {
	switch s {
	case Unlimited:
		return "off"
	case 0:
		return "auto"
	}
	for _, u := range units {
		if s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.names[0]
		}
	}
	return ""
}

// Set reads a size.
func (s *Size) Set(text string) error {
	switch text {
	case "off":
		*s = Unlimited
		return nil
	case "auto":
		*s = 0
		return nil
	}
	for _, u := range units {
		for _, name := range u.names {
			number, ok := strings.CutSuffix(text, name)
			if !ok {
				continue
			}
			n, err := strconv.ParseUint(number, 10, 63)
			if err != nil || n > uint64(math.MaxInt64/u.bytes) {
				return errors.New("want a number of bytes with a unit, such as 256MiB, or off")
			}
			*s = Size(n) * u.bytes
			return nil
		}
	}
	return nil // the last unit is empty, so a suffix of every text
}

// Type returns the name of the type.
func (s *Size) Type() string { return "size" }
