package metric

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Identity says whose summary a bucket is. A field is empty if it is not known, or if the bucket is the merge of
// several.
//
// Host, Policy, Boot, Seq and the bucket's start identify a sealed bucket in a fleet. Two buckets with the same ones are
// the same bucket. If their revisions differ, the one with the higher revision replaces the other.
type Identity struct {
	// Host is the name by which a hub distinguishes agents.
	Host string
	// Tap is the name of the tap that the packets came from. Policy is the name of the policy that counted them.
	Tap, Policy string
	// Tags are the agent's tags.
	Tags Tags
	// Boot is a random number that the process has chosen at its start.
	Boot uint64
	// Seq is the number of the bucket among those that the process has sealed for the policy, from 1. It is 0 for a minute
	// without a bucket of its own, because nothing happened in it.
	Seq uint64
	// Revision is how often the bucket has changed since it was first sealed. Only a hub seals a bucket again, when late
	// minutes arrive.
	Revision uint64
}

// The bounds of tags. The lengths are in bytes.
const (
	MaxTags   = 16
	maxTagKey = 32
	maxTag    = 100
)

// Tags are the tags of an agent in canonical form: key=value, separated by commas, each key once, in the order of the
// keys. A key consists of lower-case letters, digits, '-', '_' and '.'. A value consists of printable characters
// without spaces, commas and equals signs.
type Tags string

// ParseTags returns the tags in a list of key=value. The error says what is wrong with the first invalid one.
func ParseTags(list []string) (Tags, error) {
	if len(list) > MaxTags {
		return "", fmt.Errorf("%d tags: give at most %d", len(list), MaxTags)
	}
	if areTags(list) {
		return Tags(strings.Join(list, ",")), nil
	}
	seen := map[string]bool{}
	for _, tag := range list {
		key, err := checkTag(tag)
		if err != nil {
			return "", fmt.Errorf("tag %.150q: %w", tag, err)
		}
		if seen[key] {
			return "", fmt.Errorf("tag %q: the key is there twice: give each key once", tag)
		}
		seen[key] = true
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b string) int { return strings.Compare(keyOf(a), keyOf(b)) })
	return Tags(strings.Join(list, ",")), nil
}

// areTags reports whether a list of tags is valid and in the order of the keys.
func areTags(list []string) bool {
	last := ""
	for _, tag := range list {
		key, err := checkTag(tag)
		if err != nil || key <= last {
			return false
		}
		last = key
	}
	return true
}

func keyOf(tag string) string {
	key, _, _ := strings.Cut(tag, "=")
	return key
}

// checkTag returns the key of a tag, or an error that says what is wrong with the tag.
func checkTag(tag string) (key string, err error) {
	key, value, ok := strings.Cut(tag, "=")
	switch {
	case !ok || key == "" || value == "":
		return "", errors.New("give key=value, for example pop=ams1")
	case len(key) > maxTagKey || len(tag) > maxTag:
		return "", fmt.Errorf("too long: a key has at most %d bytes, and key=value at most %d", maxTagKey, maxTag)
	case strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return "", errors.New("a key has only lower-case letters, digits, '-', '_' and '.'")
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool {
		return r == ',' || r == '=' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	}):
		return "", errors.New("a value has only printable characters, without spaces, commas and equals signs")
	}
	return key, nil
}

// List returns the tags as key=value, in the order of the keys.
func (t Tags) List() []string {
	if t == "" {
		return nil
	}
	return strings.Split(string(t), ",")
}

// All yields the key and the value of each tag, in the order of the keys.
func (t Tags) All() iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		for rest := string(t); rest != ""; {
			var tag string
			tag, rest, _ = strings.Cut(rest, ",")
			if key, value, _ := strings.Cut(tag, "="); !yield(key, value) {
				return
			}
		}
	}
}

// Get returns the value of a key, or "".
func (t Tags) Get(key string) string {
	for k, v := range t.All() {
		if k == key {
			return v
		}
	}
	return ""
}

// With returns the tags with those of o added. If both have a key, the value is that of o. Keys beyond [MaxTags] are left
// out.
func (t Tags) With(o Tags) Tags {
	list := o.List()
	for _, tag := range t.List() {
		if o.Get(keyOf(tag)) == "" && len(list) < MaxTags {
			list = append(list, tag)
		}
	}
	all, _ := ParseTags(list) // valid, because both are
	return all
}
