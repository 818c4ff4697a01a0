// Package anon makes pseudonyms of the addresses in the tables of a bucket, and cuts the names, so that what leaves the process
// says nothing of a single client.
//
// An address becomes its pseudonym by Crypto-PAn over AES-128, which RFC 8932 names: the same address has the same pseudonym
// on all hosts that share a [Key], so their tables merge, and addresses of one network stay in one network. A prefix becomes
// the prefix of the pseudonyms. Addresses in names (reverse DNS, block lists, names like ip-192-0-2-1.example) become
// pseudonyms too. Names can be cut to their last labels or to the registered domain.
//
// Counters, locations and networks stay: they come from the real address. Cardinalities count the real addresses and names too,
// by hashes that nobody can compute without the key: see [sketch.Blind].
//
// It does not hide that a certain client exists from somebody who can send packets: they can send many from addresses that they
// know, and look for these counts. Crypto-PAn is as weak against that as every pseudonym that keeps prefixes.
package anon

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"pktvisor/metric"
	"pktvisor/psl"
	"pktvisor/sketch"
)

// Names says what is left of a name. The zero value leaves all of it.
type Names struct {
	labels int // the last labels that are left
	domain bool
}

// maxLabels is the most labels of a name.
const maxLabels = 127

// ParseNames reads "labels:N", "domain" or "".
func ParseNames(text string) (Names, error) {
	bad := errors.New("give labels:N with a number of labels from 1 to 127, or domain")
	switch number, ok := strings.CutPrefix(text, "labels:"); {
	case text == "":
		return Names{}, nil
	case text == "domain":
		return Names{domain: true}, nil
	case ok:
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil || n < 1 || n > maxLabels {
			return Names{}, bad
		}
		return Names{labels: int(n)}, nil
	}
	return Names{}, bad
}

// String returns the text that ParseNames reads.
func (n Names) String() string {
	switch {
	case n.domain:
		return "domain"
	case n.labels > 0:
		return "labels:" + strconv.Itoa(n.labels)
	}
	return ""
}

// Config says what is anonymised.
type Config struct {
	// Key is that of the pseudonyms. If it is nil, addresses stay as they are.
	Key   *Key
	Names Names
	// Suffixes has the public suffix list. Nil stands for the embedded list.
	Suffixes *psl.Source
}

// Anonymizer anonymises buckets. Its methods may be called from any goroutine.
type Anonymizer struct {
	cfg       Config
	anonymity metric.Anonymity
	blind     *[sketch.BlindKeyLen]byte

	mu    sync.Mutex
	pan   *pan
	known map[string]string // the pseudonyms of addresses and prefixes as text
}

// maxKnown bounds the pseudonyms that are remembered: those of a table of addresses, which take about 1 MB.
const maxKnown = 8192

// New makes an anonymiser, or returns nil if nothing is to be anonymised.
func New(cfg Config) *Anonymizer {
	if cfg.Key == nil && cfg.Names == (Names{}) {
		return nil
	}
	a := &Anonymizer{cfg: cfg}
	name := ""
	if cfg.Key != nil {
		a.pan, a.known = newPan(&cfg.Key.pan), make(map[string]string)
		a.blind, name = cfg.Key.blind(), cfg.Key.Name()
	}
	a.anonymity = metric.AnonymityOf(name, cfg.Names.String())
	return a
}

// Anonymity says what is anonymised. That of a nil Anonymizer is "".
func (a *Anonymizer) Anonymity() metric.Anonymity {
	if a == nil {
		return ""
	}
	return a.anonymity
}

// BlindKey returns the key of the hashes of items, or nil if they are not to be blind.
func (a *Anonymizer) BlindKey() *[sketch.BlindKeyLen]byte {
	if a == nil {
		return nil
	}
	return a.blind
}

// Bucket anonymises the tables of a bucket, which must not be anonymised yet.
func (a *Anonymizer) Bucket(b *metric.Bucket) {
	b.Rename(func(h metric.Holds) sketch.Renaming {
		switch {
		case h == metric.HoldsAddress && a.pan != nil:
			return sketch.Renaming{Name: a.appendAddr}
		case h == metric.HoldsName:
			return sketch.Renaming{Name: a.appendName, Joins: a.cfg.Names != Names{}}
		}
		return sketch.Renaming{}
	})
}

// appendAddr appends the pseudonym of an address or a prefix.
func (a *Anonymizer) appendAddr(dst, key []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	name, ok := a.known[string(key)]
	if !ok {
		name = a.pseudonym(string(key))
		if len(a.known) == maxKnown {
			clear(a.known)
		}
		a.known[string(key)] = name
	}
	return append(dst, name...)
}

// hidden stands for an address that cannot be read. No analyzer makes one.
const hidden = "anonymized"

// pseudonym returns that of an address or a prefix as text. Bits behind a prefix are zero in both.
func (a *Anonymizer) pseudonym(text string) string {
	addr, bits, isPrefix := strings.Cut(text, "/")
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return hidden
	}
	p := a.pan.addr(ip.WithZone(""))
	if !isPrefix {
		return p.String()
	}
	n, err := strconv.Atoi(bits)
	if err != nil {
		return hidden
	}
	prefix, err := p.Prefix(n)
	if err != nil {
		return hidden
	}
	return prefix.String()
}
