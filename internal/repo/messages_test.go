package repo

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// messagePage explains each message.
const messagePage = "docs/messages.md"

// kindOf returns what messages of one kind have in common: the text up to a colon, as package logging has it.
func kindOf(message string) string {
	kind, _, _ := strings.Cut(message, ":")
	return strings.TrimSpace(kind)
}

// literal returns the text with which an expression begins: that of a string, or of a sum of strings.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return literal(e.X)
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value)
			return text
		}
	}
	return ""
}

// logged calls f with each message that a file logs, or warns of on standard error.
func logged(file *ast.File, f func(message string)) {
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch method.Sel.Name {
		case "Debug", "Info", "Warn", "Error":
			if text := literal(call.Args[0]); text != "" {
				f(kindOf(text))
			}
		case "Fprintf", "Fprintln":
			_, warning, found := strings.Cut(literal(call.Args[min(1, len(call.Args)-1)]), "pktvisord: warning: ")
			if found {
				f(fixedPart(warning))
			}
		}
		return true
	})
}

var verb = regexp.MustCompile(`%[^a-zA-Z]*[a-zA-Z]|[;,:]`)

// fixedPart returns the first part of a format of at least two words that no value interrupts, or "".
func fixedPart(format string) string {
	for _, part := range verb.Split(strings.TrimSpace(format), -1) {
		if part = strings.TrimSpace(part); strings.Contains(part, " ") {
			return part
		}
	}
	return ""
}

// TestMessages: docs/messages.md has each message, and no others.
func TestMessages(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, messagePage))
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for line := range strings.SplitSeq(string(page), "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[1], -1) {
				explained = append(explained, m[1])
			}
		}
	}
	var used []string
	goFiles(t, func(path string, _ *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "internal/testkit") || strings.HasPrefix(path, "packaging") {
			return
		}
		logged(file, func(message string) {
			if message == "" {
				return
			}
			longest := ""
			for _, e := range explained {
				if strings.HasPrefix(message, e) && len(e) > len(longest) {
					longest = e
				}
			}
			if longest == "" {
				t.Errorf("%s logs %q, which %s does not explain", path, message, messagePage)
			}
			used = append(used, longest)
		})
	})
	for _, e := range explained {
		if !slices.Contains(used, e) {
			t.Errorf("%s explains %q, which nothing logs", messagePage, e)
		}
	}
	if len(used) < 80 {
		t.Errorf("only %d messages were found", len(used))
	}
}

// TestFixedPart checks one example of each form.
func TestFixedPart(t *testing.T) {
	for format, want := range map[string]string{
		"no host subnets, so directions": "no host subnets", "%d of %d frames have link type %s, which": "frames have link type", "%v; the summary covers\n": "the summary covers", "%s\n": "",
	} {
		if got := fixedPart(format); got != want {
			t.Errorf("%q: got %q, want %q", format, got, want)
		}
	}
}
