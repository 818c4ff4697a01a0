// Package regular reads files that a user or another program has put where a regular file is expected. It does not wait for
// the other end of a named pipe, and reads no more than a limit. Its errors are of type [*fs.PathError].
package regular

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Open opens a regular file for reading. It rejects all other files without waiting.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|NonBlocking, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = fail(path, errors.New("is a directory, not a regular file"))
	case !info.Mode().IsRegular():
		err = fail(path, errors.New("not a regular file"))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func fail(path string, err error) error { return &fs.PathError{Op: "read", Path: path, Err: err} }

// Read returns the content of a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fail(path, fmt.Errorf("it has more than %d bytes", limit))
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// maxSecret bounds the file of a secret, in bytes.
const maxSecret = 8 << 10

// Secret returns the token or password in a regular file of at most 8 KiB, without the white space around it. A file without
// one is an error.
func Secret(path string) (string, error) {
	data, err := Read(path, maxSecret)
	secret := strings.TrimSpace(string(data))
	if err == nil && secret == "" {
		err = fail(path, errors.New("it is empty"))
	}
	return secret, err
}

// Same reports whether both describe the same version of a file. nil is no version.
func Same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
