package store

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// HostTable holds a few bytes for each host. All hubs share it.
type HostTable struct {
	store *Store
	kv    jetstream.KeyValue
}

// Host is what the table holds for a host.
type Host struct {
	Name string
	// Value is nil if the host was deleted.
	Value []byte
	// Revision grows with each change of any host.
	Revision uint64
}

// Hosts returns the table of hosts.
func (s *Store) Hosts() *HostTable { return &s.hosts }

// Put replaces what is known of a host. Each call writes to disk: call it for changes.
func (h *HostTable) Put(ctx context.Context, host string, value []byte) error {
	ctx, cancel := within(ctx)
	defer cancel()
	_, err := h.kv.Put(ctx, keyOf(host), value)
	h.store.beat(hostsStream, err)
	return h.store.failed("put host "+host, err)
}

// Get returns what is known of a host, or [ErrNotFound].
func (h *HostTable) Get(ctx context.Context, host string) (Host, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	e, err := h.kv.Get(ctx, keyOf(host))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Host{}, ErrNotFound
	}
	if err != nil {
		return Host{}, h.store.failed("get host "+host, err)
	}
	return Host{host, e.Value(), e.Revision()}, nil
}

// Delete forgets a host.
func (h *HostTable) Delete(ctx context.Context, host string) error {
	ctx, cancel := within(ctx)
	defer cancel()
	err := h.kv.Purge(ctx, keyOf(host))
	h.store.beat(hostsStream, err)
	return h.store.failed("delete host "+host, err)
}

// All returns all hosts by name.
func (h *HostTable) All(ctx context.Context) (map[string]Host, error) {
	ctx, cancel := within(ctx)
	defer cancel()
	w, err := h.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, h.store.failed("list the hosts", err)
	}
	defer w.Stop()
	all := map[string]Host{}
	for {
		select {
		case e, ok := <-w.Updates():
			if !ok {
				return nil, h.store.failed("list the hosts", context.DeadlineExceeded)
			}
			if e == nil { // all that there are
				return all, nil
			}
			if name, ok := nameOf(e.Key()); ok {
				all[name] = Host{name, e.Value(), e.Revision()}
			}
		case <-ctx.Done():
			return nil, h.store.failed("list the hosts", ctx.Err())
		}
	}
}

// Watch sends all hosts, and then each change, until ctx ends. Then it closes the channel.
func (h *HostTable) Watch(ctx context.Context) (<-chan Host, error) {
	w, err := h.kv.WatchAll(ctx)
	if err != nil {
		return nil, h.store.failed("watch the hosts", err)
	}
	hosts := make(chan Host)
	go func() {
		defer close(hosts)
		defer w.Stop()
		for {
			select {
			case e, ok := <-w.Updates():
				if !ok {
					return
				}
				if e == nil {
					continue
				}
				host := Host{Revision: e.Revision()}
				if host.Name, ok = nameOf(e.Key()); !ok {
					continue
				}
				if e.Operation() == jetstream.KeyValuePut {
					host.Value = append([]byte{}, e.Value()...)
				}
				select {
				case hosts <- host:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return hosts, nil
}
