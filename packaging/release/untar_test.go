package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"testing"
)

// untar returns the files of an archive, compressed or not.
func untar(t *testing.T, path string) (list []entry) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return untarBytes(t, body)
}

func untarBytes(t *testing.T, body []byte) (list []entry) {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	if z, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
		r = z
	}
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry{h.Name, h.Mode, content})
	}
}
