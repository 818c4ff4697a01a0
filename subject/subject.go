// Package subject makes the NATS subjects and the message ids of the snapshots that agents push and that a hub stores.
//
// A subject consists of tokens, separated by dots. The first tokens are the prefix, by which several fleets share one
// NATS. Names of policies, hosts and groups may contain every byte, so a token has them escaped: see [Token]. Agents and
// hubs must agree on all of it.
//
// The package does not know NATS. All functions are safe to call at once.
package subject

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"pktvisor/metric"
)

// empty is the token of the empty name. NATS allows no empty tokens.
const empty = "%"

// plain reports whether a byte of a name is the same in its token.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '=' || c == '-'
}

const hex = "0123456789ABCDEF"

// Token returns a name as a token of a subject. Every byte outside [A-Za-z0-9_=-] is escaped as % and two upper-case
// hexadecimal digits. The empty name is "%". Different names have different tokens. A token has at most three times as
// many bytes as its name.
func Token(name string) string {
	if name == "" {
		return empty
	}
	escaped := 0
	for i := range len(name) {
		if !plain(name[i]) {
			escaped++
		}
	}
	if escaped == 0 {
		return name
	}
	token := make([]byte, 0, len(name)+2*escaped)
	for i := range len(name) {
		if c := name[i]; plain(c) {
			token = append(token, c)
		} else {
			token = append(token, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(token)
}

// Name returns the name whose token it is. It returns false for a string that [Token] does not return.
func Name(token string) (name string, ok bool) {
	if token == empty {
		return "", true
	}
	b := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		if c == '%' {
			if i+2 >= len(token) {
				return "", false
			}
			high, low := strings.IndexByte(hex, token[i+1]), strings.IndexByte(hex, token[i+2])
			c, i = byte(high<<4|low), i+2
			if high < 0 || low < 0 || plain(c) {
				return "", false
			}
		} else if !plain(c) {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), len(b) > 0
}

// Raw returns the subject of a host's snapshots of a policy: PREFIX.raw.POLICY.HOST.
func Raw(prefix, policy, host string) string {
	return prefix + ".raw." + Token(policy) + "." + Token(host)
}

// Want returns the subject on which a host is asked to push snapshots again: PREFIX.want.HOST.
func Want(prefix, host string) string { return prefix + ".want." + Token(host) }

// MsgID returns the message id of a snapshot: policy/host/boot/start/seq/revision. Policy and host are tokens, and the
// numbers are decimal. The start is in Unix seconds. Snapshots with the same id are the same.
func MsgID(id metric.Identity, start int64) string {
	b := make([]byte, 0, 128)
	b = append(b, Token(id.Policy)...)
	b = append(b, '/')
	b = append(b, Token(id.Host)...)
	b = strconv.AppendUint(append(b, '/'), id.Boot, 10)
	b = strconv.AppendInt(append(b, '/'), start, 10)
	b = strconv.AppendUint(append(b, '/'), id.Seq, 10)
	b = strconv.AppendUint(append(b, '/'), id.Revision, 10)
	return string(b)
}

// maxPrefix bounds the prefix, in bytes. A subject with the longest names must fit into a line of the NATS protocol,
// which has at most 4,096 bytes.
const maxPrefix = 64

// CheckPrefix returns an error that says what is wrong with a prefix, or nil. A prefix consists of one or more tokens
// of letters, digits, '-' and '_', separated by dots.
func CheckPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return fmt.Errorf("prefix of %d bytes: give at most %d", len(prefix), maxPrefix)
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if name, ok := Name(token); !ok || name != token || strings.Contains(token, "=") {
			return errors.New("a prefix has only letters, digits, '-' and '_', and single dots between them")
		}
	}
	return nil
}
