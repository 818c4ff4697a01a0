package main

import (
	"sync"

	"pktvisor/anon"
	"pktvisor/policy"
	"pktvisor/psl"
)

// runKey is a random key for this run, which is used without a key file. Both captures of a report have it.
var runKey = sync.OnceValue(anon.RandomKey)

// anonymizerOf returns what anonymises the buckets, of a policy, or nil. Validate has checked the configuration.
func anonymizerOf(o *policy.Policy, suffixes *psl.Source) (*anon.Anonymizer, error) {
	cfg := anon.Config{Suffixes: suffixes}
	cfg.Names, _ = anon.ParseNames(o.AnonymizeNames)
	if o.Anonymize && o.AnonymizeKeyFile != "" {
		var err error
		if cfg.Key, err = anon.ReadKey(o.AnonymizeKeyFile, o.AnonymizeSalt); err != nil {
			return nil, err
		}
	} else if o.Anonymize {
		cfg.Key = runKey()
	}
	return anon.New(cfg), nil
}

// anonymizeFlags defines the flags of what is anonymised.
func (o *options) anonymizeFlags() {
	f := o.flags
	f.BoolVar(&o.Anonymize, "anonymize", o.Anonymize, "show pseudonyms instead of addresses (Crypto-PAn)")
	f.StringVar(&o.AnonymizeKeyFile, "anonymize-key-file", o.AnonymizeKeyFile, "`FILE` with the secret of the pseudonyms, the same on all hosts of a\nfleet (default: a new one at each start)")
	f.StringVar(&o.AnonymizeSalt, "anonymize-salt", o.AnonymizeSalt, "salt with which the key is derived from the secret, as by DNS TAPIR")
	f.StringVar(&o.AnonymizeNames, "anonymize-names", o.AnonymizeNames, "show only a part of domain names: `labels:N|domain`, the last N\nlabels or the registered domain")
}
