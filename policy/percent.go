package policy

import (
	"errors"
	"strconv"
	"strings"
)

// Percent is a whole number of percent. It implements the Value interface of package pflag, which reads it with or without the
// sign: 25% or 25.
type Percent int

// String returns the number with its sign.
func (p Percent) String() string { return strconv.Itoa(int(p)) + "%" }

// Set reads a number.
func (p *Percent) Set(text string) error {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil {
		return errors.New("want a whole percentage, such as 25%")
	}
	*p = Percent(n)
	return nil
}

// Type returns the name of the type.
func (p *Percent) Type() string { return "percent" }
