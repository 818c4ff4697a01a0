// Package repo holds the rules of this repository, as tests.
package repo

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// mayImport is the import table: what each package of this module may import of it, tests aside. A
// package that is not listed may import anything; one with a slash at its end stands for all
// packages below.
var mayImport = map[string][]string{
	"capture":         {},
	"decode":          {},
	"dnswire":         {},
	"sketch":          {"internal/memory"},
	"bpf":             {},
	"geo":             {},
	"api":             {},
	"web":             {},
	"docs":            {},
	"reassemble":      {"decode", "internal/memory", "internal/seedhash"},
	"minute":          {},
	"metric":          {"minute", "sketch"},
	"window":          {"metric", "minute"},
	"analyze":         {"decode", "internal/memory", "metric", "window"},
	"analyze/packets": {"analyze", "decode", "internal/memory", "internal/seedhash", "metric", "sketch", "window", "geo"},
	"analyze/dns":     {"analyze", "decode", "dnswire", "internal/memory", "internal/seedhash", "reassemble", "metric", "minute", "sketch", "window", "geo"},
	"policy":          {"analyze", "minute"},

	"internal/memory":   {},
	"internal/seedhash": {"decode"},
	"state":             {"metric", "minute"},
	"server":            {"api", "docs", "metric", "minute", "sketch", "window", "web"},
	"ui":                {"api"},
}

// plain are the packages of the packet path that do without these parts of the library.
var (
	plain     = []string{"decode", "dnswire", "sketch"}
	forbidden = []string{"fmt", "log", "log/slog", "net", "reflect", "sync", "time"}
)

type pkg struct {
	ImportPath, Name, Doc string
	Imports               []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Doc,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, "pktvisor/")
		all = append(all, p)
	}
	return all
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		allowed, listed := mayImport[p.ImportPath]
		for _, imp := range p.Imports {
			own, isOwn := strings.CutPrefix(imp, "pktvisor/")
			if listed && isOwn && !slices.Contains(allowed, own) {
				t.Errorf("package %s imports %s: it may import %v of this module", p.ImportPath, own, allowed)
			}
			if slices.Contains(plain, p.ImportPath) && slices.Contains(forbidden, imp) {
				t.Errorf("package %s imports %s, which the packet path does without", p.ImportPath, imp)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && p.Name != "repo" {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
		switch p.Name {
		case "util", "utils", "common", "helpers", "types", "core", "manager", "base", "shared":
			t.Errorf("package %s: a name that says nothing", p.ImportPath)
		}
	}
}

// goFiles calls f with the path below the root and the syntax of every Go file.
func goFiles(t *testing.T, f func(path string, file *ast.File)) {
	t.Helper()
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		f(rel, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnsafeAndInit(t *testing.T) {
	goFiles(t, func(path string, file *ast.File) {
		for _, imp := range file.Imports {
			if imp.Path.Value == `"unsafe"` && !strings.HasSuffix(path, "_unsafe.go") {
				t.Errorf("%s imports unsafe: only files named *_unsafe.go may", path)
			}
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: wire it where it is used", path)
			}
		}
	})
}

func TestExportedNamesHaveComments(t *testing.T) {
	goFiles(t, func(path string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Doc != nil || slices.Contains([]string{"Error", "String", "Unwrap"}, f.Name.Name) {
				continue // those that everybody knows need no comment
			}
			if f.Recv != nil && !ast.IsExported(receiver(f)) {
				continue
			}
			t.Errorf("%s: %s has no comment", path, f.Name.Name)
		}
	})
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// TestReadme holds the README to its length.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines: keep it under 150, and put the rest into docs/", n)
	}
}

// link is a link to another file of the repository.
var link = regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)

// TestLinks wants the files to be there that README.md and docs/ link to.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "decisions", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(append(pages, more...), filepath.Join(root, "README.md")) {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(b), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}
