package psl

import "sync/atomic"

// Source is the list that is in use. It may be replaced at any time. A nil Source has the embedded list.
type Source struct {
	path string
	list atomic.Pointer[List]
}

// Open reads the list in a file: see [ReadFile].
func Open(path string) (*Source, error) {
	s := &Source{path: path}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// List returns the list that is in use.
func (s *Source) List() *List {
	if s == nil {
		return Embedded()
	}
	return s.list.Load()
}

// Reload reads the file again. If that fails, the list stays as it is.
func (s *Source) Reload() error {
	l, err := ReadFile(s.path)
	if err != nil {
		return err
	}
	s.list.Store(l)
	return nil
}
