package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"pktvisor/hub/rollup"
)

// streamConfig returns the configuration of the stream of snapshots for level 0, or that of the level's rollups.
func (s *Store) streamConfig(l rollup.Level) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:              s.names.stream(l),
		Subjects:          []string{s.names.subjects(l)},
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		Storage:           jetstream.FileStorage,
		Replicas:          max(s.config.Replicas, 1),
		MaxMsgs:           -1,
		MaxConsumers:      -1,
		MaxMsgsPerSubject: -1,
		AllowDirect:       true,
		PersistMode:       jetstream.DefaultPersistMode,
	}
	if s.config.Replicas == 0 {
		c.Replicas = defaultReplicas
	}
	if l == 0 {
		c.Description = "snapshots of single hosts"
		c.MaxAge, c.MaxBytes, c.MaxMsgSize, c.Duplicates = s.config.RawAge, s.config.RawBytes, 1<<20, window
		c.AllowAtomicPublish = true
		return c
	}
	c.Description = "rollups of " + l.String()
	c.MaxAge, c.MaxBytes, c.MaxMsgSize, c.Duplicates = s.config.age(l), s.config.bytes(l), maxPayload, time.Second
	c.MaxMsgsPerSubject = 1
	c.RePublish = &jetstream.RePublish{Source: s.names.subjects(l), Destination: s.names.changed(l), HeadersOnly: true}
	return c
}

const defaultReplicas = 3

// ensureStreams creates the streams that are missing, checks those that exist and updates their limits.
func (s *Store) ensureStreams(ctx context.Context) error {
	for l := rollup.Level(0); l <= rollup.Day1; l++ {
		stream, err := s.ensureStream(ctx, s.streamConfig(l))
		if err != nil {
			return err
		}
		s.streams[l] = stream
		if l == 0 {
			s.atomic = stream.CachedInfo().Config.AllowAtomicPublish // not before version 2.12
		}
	}
	if err := s.ensureBuckets(ctx); err != nil {
		return err
	}
	var err error
	s.hosts.kv, err = s.js.KeyValue(ctx, s.names.base()+"_hosts")
	return err
}

// ensureBuckets creates the buckets that are missing, and checks those that exist.
func (s *Store) ensureBuckets(ctx context.Context) error {
	if _, err := s.ensureBucket(ctx, jetstream.KeyValueConfig{Bucket: s.names.base() + "_hosts", Description: "what is known of each host"}); err != nil {
		return err
	}
	_, err := s.ensureBucket(ctx, jetstream.KeyValueConfig{Bucket: s.names.base() + "_lease", Description: "which hub does which part of the work",
		TTL: s.lease.ttl, Storage: jetstream.MemoryStorage})
	return err
}

func (s *Store) ensureStream(ctx context.Context, want jetstream.StreamConfig) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt) // a stream without a leader does not answer
	defer cancel()
	stream, err := s.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		stream, err = s.js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by another hub, just now
			return s.ensureStream(ctx, want)
		}
		return stream, s.explain("create stream "+want.Name, err)
	}
	if err != nil {
		return nil, s.explain("look up stream "+want.Name, err)
	}
	have := stream.CachedInfo().Config
	if differs := differences(have, want); len(differs) > 0 {
		return nil, fmt.Errorf("stream %s is not as the hub needs it: %s: edit it with `nats stream edit`, or give another prefix", want.Name, strings.Join(differs, "; "))
	}
	if want.Name == s.names.stream(0) && have.MaxBytes > 0 && have.MaxBytes <= s.keepUpTo {
		want.MaxBytes = have.MaxBytes // do not follow each change of the free space
	}
	next := have
	next.MaxAge, next.MaxBytes, next.MaxMsgSize, next.Duplicates = want.MaxAge, want.MaxBytes, want.MaxMsgSize, want.Duplicates
	next.AllowDirect, next.RePublish, next.AllowAtomicPublish = want.AllowDirect, want.RePublish, want.AllowAtomicPublish
	if sameLimits(have, next) {
		return stream, nil
	}
	s.log.Info("updating the limits of a stream", "stream", want.Name, "max_age", next.MaxAge, "max_bytes", next.MaxBytes)
	stream, err = s.js.UpdateStream(ctx, next)
	return stream, s.explain("update stream "+want.Name, err)
}

func sameLimits(a, b jetstream.StreamConfig) bool {
	same := a.RePublish == b.RePublish
	if a.RePublish != nil && b.RePublish != nil {
		same = *a.RePublish == *b.RePublish
	}
	return same && a.MaxAge == b.MaxAge && a.MaxBytes == b.MaxBytes && a.MaxMsgSize == b.MaxMsgSize && a.Duplicates == b.Duplicates && a.AllowDirect == b.AllowDirect &&
		a.AllowAtomicPublish == b.AllowAtomicPublish
}

// differences says how an existing stream differs from what the hub needs, apart from its limits.
func differences(have, want jetstream.StreamConfig) (all []string) {
	differ := func(what string, have, want any) {
		all = append(all, fmt.Sprintf("%s is %v, not %v", what, have, want))
	}
	if !slices.Equal(have.Subjects, want.Subjects) {
		differ("subjects", have.Subjects, want.Subjects)
	}
	if have.Storage != want.Storage {
		differ("storage", have.Storage, want.Storage)
	}
	if have.Replicas < want.Replicas {
		differ("replicas", have.Replicas, fmt.Sprintf("%d (with 1, the loss of a disk loses data: accept it with --nats-replicas 1)", want.Replicas))
	}
	if have.PersistMode != want.PersistMode {
		differ("persist_mode", have.PersistMode, "default: an asynchronous one loses acknowledged messages")
	}
	if have.Retention != want.Retention {
		differ("retention", have.Retention, want.Retention)
	}
	if have.Discard != want.Discard {
		differ("discard", have.Discard, want.Discard)
	}
	if have.MaxMsgsPerSubject != want.MaxMsgsPerSubject {
		differ("messages per subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	}
	if have.MaxMsgs > 0 {
		differ("max messages", have.MaxMsgs, "unlimited")
	}
	if have.NoAck || have.Sealed || have.DenyPurge {
		differ("no_ack, sealed or deny_purge", true, false)
	}
	if have.Mirror != nil || have.SubjectTransform != nil {
		differ("mirror or subject transform", "set", "unset")
	}
	return all
}

// ensureBucket creates a KV bucket or updates its limits.
func (s *Store) ensureBucket(ctx context.Context, c jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	c.Replicas, c.History = s.config.Replicas, 1
	if c.Replicas == 0 {
		c.Replicas = defaultReplicas
	}
	kv, err := s.js.KeyValue(ctx, c.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = s.js.CreateKeyValue(ctx, c)
		if errors.Is(err, jetstream.ErrBucketExists) {
			return s.ensureBucket(ctx, c)
		}
		return kv, s.explain("create bucket "+c.Bucket, err)
	}
	if err != nil {
		return nil, s.explain("look up bucket "+c.Bucket, err)
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, s.explain("look up bucket "+c.Bucket, err)
	}
	have := status.Config()
	if have.TTL != c.TTL || have.Storage != c.Storage || have.History != c.History || have.Replicas < c.Replicas {
		return nil, fmt.Errorf("bucket %s is not as the hub needs it: TTL %v, %v, history %d, %d replicas, not TTL %v, %v, history %d, %d replicas: delete it, or give another prefix",
			c.Bucket, have.TTL, have.Storage, have.History, have.Replicas, c.TTL, c.Storage, c.History, c.Replicas)
	}
	return kv, nil
}

// explain adds what can be done to an error of JetStream.
func (s *Store) explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	switch {
	case hasCode(err, errReplicasNotSupported):
		hint = ": this NATS is a single server: give --nats-replicas 1 to accept that the loss of its disk loses data"
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		hint = ": enable JetStream on the server and for the account"
	}
	return fmt.Errorf("%s: %w%s", doing, err, hint)
}
