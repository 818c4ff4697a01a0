package store

import (
	"context"
	"fmt"
	"time"

	"pktvisor/minute"
	"pktvisor/subject"
)

// Ask sends a request to the agent of a host, if it is one that pushes: see export/push. It does not wait for an answer.
// Nothing happens if no agent listens.
func (s *Store) Ask(host string, request []byte) error {
	if err := s.nc.Publish(subject.Want(s.config.Prefix, host), request); err != nil {
		return fmt.Errorf("ask %s for minutes: %w", host, err)
	}
	return nil
}

// Newest returns the start of the newest minute of a host among the stored snapshots of all policies (Unix time in
// seconds), or 0 if there is none. It is also 0 if the store does not answer: a minute that is then stored again counts once.
func (s *Store) Newest(ctx context.Context, host string) int64 {
	ctx, cancel := within(ctx)
	defer cancel()
	newest := int64(0)
	now := s.config.Now().Add(time.Minute).Unix()
	req := directRequest{MultiLast: []string{s.config.Prefix + ".raw.*." + subject.Token(host)}}
	if _, err := s.direct(ctx, s.names.stream(0), req, func(m stored) error {
		if r, err := s.readRaw(m.subject, m.header, m.data); err == nil && r.Info.Start <= now {
			newest = max(newest, minute.Of(r.Info.Start))
		}
		return nil
	}); err != nil {
		return 0
	}
	return newest
}
