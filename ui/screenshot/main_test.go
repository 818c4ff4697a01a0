package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPicture(t *testing.T) {
	got := picture("a\x1b[0;38;2;255;0;16;1m<b>  c\x1b[m\n\x1b[48;5;196m \x1b[7;31mx\x1b[0;2mé\x1b[m\n")
	for _, want := range []string{
		`viewBox="0 0 83 58"`,
		`<text x="12.0" y="24.9" textLength="8.4">a</text>`,
		`<text x="20.4" y="24.9" textLength="25.2" fill="#ff0010" font-weight="bold">&lt;b&gt;</text>`,
		`<text x="62.4" y="24.9" textLength="8.4" fill="#ff0010" font-weight="bold">c</text>`,
		`<rect x="12.0" y="29" width="8.4" height="17" fill="#ff0000"/>`,
		`<rect x="20.4" y="29" width="8.4" height="17" fill="#800000"/>`, // reversed
		`opacity="0.6">é</text>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func FuzzPicture(f *testing.F) {
	f.Add("\x1b[38;5;300mx\x1b[48;2;1mz\x1b[")
	f.Add("\x1b[38m\x1b]8;;\x07\x00")
	f.Fuzz(func(t *testing.T, screen string) {
		d := xml.NewDecoder(strings.NewReader(picture(screen)))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("not XML: %v", err)
			}
		}
	})
}
