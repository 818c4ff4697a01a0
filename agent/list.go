package agent

import (
	"slices"
	"sync/atomic"
)

// list is a list that any goroutine may read while one goroutine at a time changes it. The zero value is empty.
type list[T comparable] struct{ now atomic.Pointer[[]T] }

// all returns the list as it is now. Callers must not change it.
func (l *list[T]) all() []T {
	if p := l.now.Load(); p != nil {
		return *p
	}
	return nil
}

// find returns the first entry for which is returns true, or the zero value.
func (l *list[T]) find(is func(T) bool) (found T) {
	all := l.all()
	if i := slices.IndexFunc(all, is); i >= 0 {
		found = all[i]
	}
	return found
}

func (l *list[T]) add(x T) {
	all := append(slices.Clip(l.all()), x)
	l.now.Store(&all)
}

func (l *list[T]) remove(x T) {
	all := slices.DeleteFunc(slices.Clone(l.all()), func(y T) bool { return y == x })
	l.now.Store(&all)
}
