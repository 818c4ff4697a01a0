package metric

import (
	"errors"
	"slices"
	"strings"

	"pktvisor/sketch"
)

// Holds says what the keys of a table are, and so what becomes of them in a bucket that is anonymised.
type Holds uint8

// What the keys of a table are.
const (
	HoldsUnknown Holds = iota // not declared: an anonymised bucket has none of them
	HoldsAddress              // IP addresses or their prefixes, as text
	HoldsName                 // domain names as text, or their last labels with a dot before them
	HoldsValue                // values that say nothing of a single host: types, ports, networks, places
)

func parseHolds(text string) (Holds, error) {
	i := slices.Index([]string{"", "address", "name", "value"}, text)
	if i <= 0 {
		return 0, errors.New("want address, name or value")
	}
	return Holds(i), nil
}

// renamer is a value that is a table of keys.
type renamer interface {
	// rename replaces the keys by their new names.
	rename(r sketch.Renaming)
}

// Rename gives the keys of all tables that hold addresses or names other names. It empties the tables whose keys are not
// declared. of returns the renaming for the keys of a table, or one without a function if they stay as they are. The bucket
// must not be sealed yet.
func (b *Bucket) Rename(of func(h Holds) sketch.Renaming) {
	for _, s := range b.Sections {
		for i, v := range s.values {
			t, ok := v.(renamer)
			if !ok {
				continue
			}
			switch d := &s.Table.Descs[i]; d.Holds {
			case HoldsUnknown:
				v.reset()
			case HoldsAddress, HoldsName:
				if r := of(d.Holds); r.Name != nil {
					t.rename(r)
				}
			}
		}
	}
}

func (t *Top) rename(r sketch.Renaming) {
	if !t.off {
		t.Frequent = t.Frequent.Renamed(r)
		t.scaling.rename(r)
	}
}

func (t *Distinct) rename(r sketch.Renaming) {
	if !t.off {
		t.Spread = t.Spread.Renamed(r)
	}
}

func (t *Amplification) rename(r sketch.Renaming) {
	if !t.off {
		t.Amplification = t.Amplification.Renamed(r)
		t.scaling.rename(r)
	}
}

func (s *scaling) rename(r sketch.Renaming) {
	if s.whole != nil {
		s.whole = s.whole.Renamed(r)
	}
}

// Anonymity says how the content of a bucket was anonymised. Each way that occurs in it is a word like key=3f2a9c1d0b4e5f60,
// names=labels:2, or both with a comma between them: a name of the key of the pseudonyms that are in place of addresses, and how
// names were cut. Words are in ascending order, with spaces between them. "" says that nothing was anonymised.
//
// A merge has the words of all that was merged. It does not say whether some of that was not anonymised.
type Anonymity string

// The bounds of an anonymity.
const (
	maxAnonymity      = 255 // bytes
	maxAnonymityWords = 4
	// manyAnonymities is the last word of a merge of more ways than fit.
	manyAnonymities = "more"
)

// AnonymityOf returns the anonymity of a bucket. Each part may be empty.
func AnonymityOf(key, names string) Anonymity {
	var parts []string
	if key != "" {
		parts = append(parts, "key="+key)
	}
	if names != "" {
		parts = append(parts, "names="+names)
	}
	return Anonymity(strings.Join(parts, ","))
}

var errAnonymity = errors.New("the anonymity in the header is not valid")

// ParseAnonymity checks an anonymity that comes from outside.
func ParseAnonymity(text string) (Anonymity, error) {
	if text == "" {
		return "", nil
	}
	words := strings.Split(text, " ")
	if len(text) > maxAnonymity || len(words) > maxAnonymityWords || !slices.IsSorted(words) {
		return "", errAnonymity
	}
	for _, word := range words {
		if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789=,:") != "" {
			return "", errAnonymity
		}
		if key, names := partsOf(word); key == "" && names == "" && word != manyAnonymities {
			return "", errAnonymity
		}
	}
	return Anonymity(text), nil
}

// With returns the anonymity of a merge.
func (a Anonymity) With(o Anonymity) Anonymity {
	if a == o || o == "" {
		return a
	}
	if a == "" {
		return o
	}
	words := slices.Concat(strings.Split(string(a), " "), strings.Split(string(o), " "))
	slices.Sort(words)
	if words = slices.Compact(words); len(words) > maxAnonymityWords {
		words = slices.DeleteFunc(words, func(w string) bool { return w == manyAnonymities })[:maxAnonymityWords-1]
		words = append(words, manyAnonymities)
		slices.Sort(words)
	}
	return Anonymity(strings.Join(words, " "))
}

// AnonymizedAs is one way in which a part of a bucket was anonymised.
type AnonymizedAs struct {
	// Key names the key of the pseudonyms that are in place of addresses. "" means that addresses are real.
	Key string `json:"key,omitempty"`
	// Names says how names were cut: "labels:2" or "domain". "" means that they are whole.
	Names string `json:"names,omitempty"`
}

// List returns the ways. The last one is empty if there are more than could be kept.
func (a Anonymity) List() []AnonymizedAs {
	var list []AnonymizedAs
	if a == "" {
		return nil
	}
	for word := range strings.SplitSeq(string(a), " ") {
		key, names := partsOf(word)
		list = append(list, AnonymizedAs{key, names})
	}
	return list
}

func partsOf(word string) (key, names string) {
	for part := range strings.SplitSeq(word, ",") {
		if v, ok := strings.CutPrefix(part, "key="); ok {
			key = v
		}
		if v, ok := strings.CutPrefix(part, "names="); ok {
			names = v
		}
	}
	return key, names
}

// anonymity writes how the content was anonymised, if it was.
func (w *writer) anonymity(a Anonymity) {
	for i, way := range a.List() {
		if i == 0 {
			w.name("anonymized")
			w.b = append(w.b, '[')
		} else {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		if way.Key != "" {
			w.name("key")
			w.string(way.Key)
		}
		if way.Names != "" {
			w.name("names")
			w.string(way.Names)
		}
		w.close()
	}
	if a != "" {
		w.b = append(w.b, ']')
	}
}
