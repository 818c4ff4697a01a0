package timeline

import (
	"context"
	"net/url"
)

// WithBase returns w as a source whose changes are those since another window, whatever is asked. A request for changes must
// give the times of both.
func WithBase(w, base *Window) Source { return &pair{w, base} }

type pair struct {
	*Window
	base *Window
}

// Base implements [Source].
func (p *pair) Base(ctx context.Context, _ url.Values) (Selection, error) {
	return p.base.Select(ctx, nil)
}
