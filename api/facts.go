package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Fact is one value of a JSON answer, with the keys that lead to it.
type Fact struct {
	Path  string // keys joined with dots, array positions as numbers
	Value string // number, true, false or text, without quotes
}

// maxFacts and maxDepth bound the size of an unknown answer.
const (
	maxFacts = 256
	maxDepth = 16
)

// flatten lists the scalar values of b in document order. It leaves out what is beyond the bounds or after a syntax
// error.
func flatten(b []byte) []Fact {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var facts []Fact
	_ = flattenValue(d, "", 0, &facts) // a partial list is fine, because it is only for people to read
	return facts
}

func flattenValue(d *json.Decoder, path string, depth int, facts *[]Fact) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	switch tok := tok.(type) {
	case json.Delim: // only an opening one; the closing ones are read below
		if depth == maxDepth || len(*facts) >= maxFacts {
			return fmt.Errorf("too much at %q", path)
		}
		for i := 0; d.More(); i++ {
			key := strconv.Itoa(i)
			if tok == '{' {
				name, err := d.Token()
				if err != nil {
					return err
				}
				key = fmt.Sprint(name)
			}
			if path != "" {
				key = path + "." + key
			}
			if err := flattenValue(d, key, depth+1, facts); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	case nil:
		return nil
	default:
		if len(*facts) >= maxFacts {
			return fmt.Errorf("too much at %q", path)
		}
		*facts = append(*facts, Fact{Path: path, Value: fmt.Sprint(tok)})
		return nil
	}
}
