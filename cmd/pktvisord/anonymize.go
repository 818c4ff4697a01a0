package main

import (
	"sync"

	"pktvisor/anon"
	"pktvisor/psl"
)

// runKey is the key of this run if there is no file: the same for both captures of a report.
var runKey = sync.OnceValue(anon.RandomKey)

// anonymizer returns what anonymises the buckets, or nil. Validate has checked the configuration.
func (o *options) anonymizer(suffixes *psl.Source) (*anon.Anonymizer, error) {
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
