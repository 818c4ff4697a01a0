package store

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"pktvisor/hub/rollup"
	"pktvisor/subject"
)

// Key identifies a rollup.
type Key struct {
	Level         rollup.Level
	Policy, Group string
	// Start is the Unix time in seconds at which the rollup starts. It is a multiple of the level's length.
	Start int64
}

// String returns the key for messages.
func (k Key) String() string { return fmt.Sprintf("%s/%s/%v/%d", k.Policy, k.Group, k.Level, k.Start) }

// Partitions is how many parts the work of the hubs has.
const Partitions = 16

// Partition returns the part of the work that name belongs to. It is the same in every hub.
func Partition(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() % Partitions)
}

// names makes the names of subjects and streams for a prefix.
type names struct{ prefix string }

func (n names) base() string { return strings.ReplaceAll(n.prefix, ".", "_") }

// stream returns the name of the stream of snapshots for level 0, or that of the level's rollups.
func (n names) stream(l rollup.Level) string {
	if l == 0 {
		return strings.ToUpper(n.base()) + "_RAW"
	}
	return strings.ToUpper(n.base() + "_ROLL_" + l.String())
}

// subjects returns the subjects of a stream, as a wildcard.
func (n names) subjects(l rollup.Level) string {
	if l == 0 {
		return n.prefix + ".raw.*.*"
	}
	return n.prefix + ".roll." + l.String() + ".*.*.*"
}

// changed returns the subjects on which JetStream announces the rollups of a level that are stored, as a transform from
// subjects.
func (n names) changed(l rollup.Level) string {
	return n.prefix + ".changed." + l.String() + ".{{wildcard(1)}}.{{wildcard(2)}}.{{wildcard(3)}}"
}

// series returns the subjects of all rollups of a group, without the start.
func (n names) series(l rollup.Level, policy, group string) string {
	return n.prefix + ".roll." + l.String() + "." + subject.Token(policy) + "." + subject.Token(group) + "."
}

// roll returns the subject of a rollup.
func (n names) roll(k Key) string {
	return n.series(k.Level, k.Policy, k.Group) + strconv.FormatInt(k.Start, 10)
}

// key returns the rollup of a subject, which is one of roll or changed.
func (n names) key(s string) (k Key, ok bool) {
	s, ok = strings.CutPrefix(s, n.prefix)
	t := strings.Split(s, ".") // an empty one first
	if !ok || len(t) != 6 || t[0] != "" || t[1] != "roll" && t[1] != "changed" {
		return Key{}, false
	}
	var err1, err2 error
	var ok1, ok2 bool
	k.Level, err1 = rollup.ParseLevel(t[2])
	k.Policy, ok1 = subject.Name(t[3])
	k.Group, ok2 = subject.Name(t[4])
	k.Start, err2 = strconv.ParseInt(t[5], 10, 64)
	return k, err1 == nil && err2 == nil && ok1 && ok2 && k.check() == nil && strconv.FormatInt(k.Start, 10) == t[5]
}

// check returns an error unless the key can be stored.
func (k Key) check() error {
	if !k.Level.Valid() || k.Start < -maxTime || k.Start > maxTime || k.Level.Of(k.Start) != k.Start {
		return fmt.Errorf("rollup %v: its start is out of range or not a multiple of the level's length", k)
	}
	if len(k.Policy) > maxName || len(k.Group) > maxName {
		return fmt.Errorf("rollup %v: names have at most %d bytes", k, maxName)
	}
	return nil
}

// maxName bounds the names of hosts, policies and groups, in bytes.
const maxName = 255

// keyOf returns the key of a name in a KV bucket, which may not have the % of a token. The token has no other slashes.
func keyOf(name string) string { return strings.ReplaceAll(subject.Token(name), "%", "/") }

// nameOf returns the name of a key.
func nameOf(key string) (string, bool) { return subject.Name(strings.ReplaceAll(key, "/", "%")) }
