package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"pktvisor/config"
	"pktvisor/server"
)

// control lets the server change a running agent. It implements [server.Control].
type control struct{ l *live }

var _ server.Control = (*control)(nil)

// kindOf names the part of a document that has a kind of object.
func kindOf(what server.Object) string {
	if what == server.ATap {
		return config.Taps
	}
	return config.Policies
}

// Add implements [server.Control].
func (c *control) Add(ctx context.Context, document []byte, what server.Object, name string, replace bool) (string, error) {
	l := c.l
	l.changing.Lock()
	defer l.changing.Unlock()
	now, err := l.wanted.set()
	if err != nil {
		return "", answerTo(err)
	}
	_, added, err := now.Add("document", document, kindOf(what), replace)
	if err != nil {
		return "", answerTo(err)
	}
	if name != "" && added != name {
		return "", &server.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("the document is about %s %q, and the address about %q: give both the same name", what, added, name)}
	}
	next := l.wanted.with(addition{kindOf(what), added, slices.Clone(document)})
	if next.bytes() > maxAdded {
		return "", &server.Error{Status: http.StatusUnprocessableEntity, Text: fmt.Sprintf("the documents that were added have more than %d MiB together: put them into the configuration file", maxAdded>>20)}
	}
	made, err := l.want(ctx, next)
	if err != nil {
		return "", answerTo(err)
	}
	l.log.Info("changed over the API", append([]any{"what", what.String(), "name", added}, made.names()...)...)
	return added, nil
}

// Remove implements [server.Control].
func (c *control) Remove(ctx context.Context, what server.Object, name string) error {
	l := c.l
	l.changing.Lock()
	defer l.changing.Unlock()
	now, err := l.wanted.set()
	if err != nil {
		return answerTo(err)
	}
	kind := kindOf(what)
	exists := slices.ContainsFunc(now.Policies, func(p config.Policy) bool { return p.Name == name })
	if kind == config.Taps {
		exists = slices.ContainsFunc(now.Taps, func(t config.Tap) bool { return t.Name == name })
	}
	if !exists {
		return &server.Error{Status: http.StatusNotFound, Text: fmt.Sprintf("%s does not exists", what)}
	}
	if users := now.Users(name); kind == config.Taps && len(users) > 0 {
		return &server.Error{Status: http.StatusConflict, Text: fmt.Sprintf("tap '%s' is used by policies %s: remove these first", name, hostList(users))}
	}
	made, err := l.want(ctx, l.wanted.without(kind, name))
	if err != nil {
		return answerTo(err)
	}
	l.log.Info("removed over the API", append([]any{"what", what.String(), "name", name}, made.names()...)...)
	return nil
}

// Reload implements [server.Control].
func (c *control) Reload(ctx context.Context) error {
	if c.l.o.document == nil {
		return &server.Error{Status: http.StatusConflict, Text: "the agent was started without a configuration file: start it with --config"}
	}
	if err := c.l.reloadConfig(ctx); err != nil {
		return answerTo(err)
	}
	return nil
}

// Stop implements [server.Control].
func (c *control) Stop() { c.l.stop() }

// answerTo returns the answer to a request that failed: 409 for what exists already, 422 for what cannot be here, 400 for a document
// with mistakes.
func answerTo(err error) error {
	var known *server.Error
	var fault *config.Fault
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case !errors.As(err, &fault):
		return &server.Error{Status: http.StatusUnprocessableEntity, Text: err.Error()}
	}
	status := http.StatusBadRequest
	for _, f := range faultsOf(err) {
		switch f.Kind {
		case config.Duplicate:
			status = http.StatusConflict
		case config.Unmatched:
			status = max(status, http.StatusUnprocessableEntity)
		}
	}
	return &server.Error{Status: status, Text: strings.TrimPrefix(err.Error(), "document: ")}
}

// faultsOf returns the mistakes that an error joins.
func faultsOf(err error) (all []*config.Fault) {
	switch e := err.(type) {
	case *config.Fault:
		return []*config.Fault{e}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			all = append(all, faultsOf(inner)...)
		}
	case interface{ Unwrap() error }:
		return faultsOf(e.Unwrap())
	}
	return all
}
