// Package repo holds the rules of this repository, as tests.
package repo

import (
	"encoding/json"
	"fmt"
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

// mayImport is the import table. It lists, for each package of this module, the packages of this module that it may
// import. Tests may import more. Every package is listed.
var mayImport = map[string][]string{
	"cmd/pktvisor":     {"access", "api", "internal/manual", "internal/program", "internal/version", "ui"},
	"cmd/pktvisord":    anything,
	"cmd/pktvisor-hub": anything,

	// From frames to packets and messages.
	"linktype":      {},
	"capture":       {"capture/count", "linktype"},
	"capture/count": {},
	"bpf":           {"linktype"},
	"decode":        {"linktype"},
	"dnswire":       {},
	"reassemble":    {"decode", "internal/memory", "internal/seedhash"},

	// From packets to summaries.
	"sketch":          {"internal/memory"},
	"minute":          {},
	"anon":            {"internal/regular", "metric", "psl", "sketch"},
	"psl":             {"sketch"},
	"metric":          {"internal/zstdpool", "minute", "sketch"},
	"window":          {"metric", "minute"},
	"geo":             {},
	"analyze":         {"decode", "internal/memory", "internal/seedhash", "metric", "sketch", "window"},
	"analyze/packets": {"analyze", "decode", "geo", "internal/memory", "internal/seedhash", "metric", "sketch", "window"},
	"analyze/dns":     {"analyze", "decode", "dnswire", "geo", "internal/memory", "internal/seedhash", "metric", "minute", "psl", "reassemble", "sketch", "window"},
	"policy":          {"analyze", "anon", "metric", "minute", "subject"},
	"drill":           {"policy"},
	"config":          {"anon", "bpf", "dnswire", "drill", "linktype", "policy"},
	"filter":          {"analyze", "analyze/dns", "bpf", "decode", "dnswire", "internal/seedhash", "linktype", "policy"},
	"agent/adapt":     {"metric"},
	"agent/clock":     {"minute"},
	"agent/deal":      {"agent/clock", "capture", "decode", "linktype"},
	"agent": {"agent/adapt", "agent/clock", "agent/deal", "analyze", "analyze/dns", "analyze/packets", "anon", "capture", "capture/count", "decode", "filter", "geo", "internal/memory",
		"internal/seedhash", "linktype", "metric", "minute", "policy", "psl", "window"},

	// Keeping and publishing summaries.
	"state":         {"internal/regular", "metric", "minute"},
	"subject":       {"metric"},
	"export/push":   {"internal/regular", "metric", "subject"},
	"export/otlp":   {"internal/regular", "metric", "minute", "policy", "sketch", "window"},
	"access":        {"internal/regular"},
	"sandbox":       {},
	"api":           {"access", "internal/loopback"},
	"docs":          {},
	"web":           {},
	"web/bundle":    {},
	"web/e2e":       {},
	"exposition":    {},
	"server":        {"access", "api", "docs", "exposition", "internal/loopback", "metric", "minute", "sandbox", "sketch", "successor", "web", "window"},
	"report":        {"metric", "minute"},
	"successor":     {"metric", "sketch"},
	"timeline":      {"api", "metric", "minute", "server", "sketch", "verdict", "window"},
	"verdict":       {"api"},
	"ui":            {"api"},
	"ui/screenshot": {},

	// The hub.
	"hub/rollup":   {"internal/zstdpool", "metric", "minute"},
	"hub/store":    {"hub/rollup", "internal/regular", "metric", "minute", "subject"},
	"hub/collect":  {"access", "api", "hub/store", "internal/loopback", "internal/regular", "metric", "minute"},
	"hub/ingest":   {"hub/rollup", "hub/store", "metric", "minute"},
	"hub/query":    {"hub/rollup", "hub/store", "metric", "minute", "window"},
	"hub":          {"access", "api", "hub/collect", "hub/ingest", "hub/query", "hub/rollup", "hub/store", "metric", "minute", "sandbox", "server", "timeline"},
	"hub/simulate": {"agent", "analyze/dns", "analyze/packets", "internal/regular", "metric", "minute", "sketch", "subject"},

	"internal/flags":    {"policy", "sandbox"},
	"internal/logging":  {},
	"internal/loopback": {},
	"internal/manual":   {},
	"internal/memlimit": {},
	"internal/memory":   {},
	"internal/program":  {},
	"internal/regular":  {},
	"internal/seedhash": {"decode"},
	"internal/service":  {},
	"internal/version":  {},
	"internal/zstdpool": {},

	// Packages for releases. packaging/nfpm is a module of its own.
	"packaging/release": {"internal/version"},

	// Packages for tests and measurements.
	"internal/repo":               {},
	"internal/testkit":            {"linktype"},
	"internal/testkit/apicheck":   {"internal/testkit", "metric"},
	"internal/testkit/arp":        {"analyze", "decode", "internal/seedhash", "metric"},
	"internal/testkit/chain":      {"internal/testkit"},
	"internal/testkit/cmd/attack": {"internal/testkit", "internal/testkit/veth"},
	"internal/testkit/cmd/bench":  {"agent", "analyze", "capture", "decode", "dnswire", "filter", "internal/testkit", "internal/testkit/veth", "metric", "policy"},
	"internal/testkit/cmd/chaos":  {"hub/simulate"},
	"internal/testkit/cmd/fuzz":   {},
	"internal/testkit/cmd/pktgen": {"internal/testkit"},
	"internal/testkit/cmd/soak":   {"internal/testkit", "internal/testkit/veth"},
	"internal/testkit/dashboards": {"agent", "metric"},
	"internal/testkit/faults":     {},
	"internal/testkit/fleet":      {"metric", "minute"},
	"internal/testkit/natstest":   {},
	"internal/testkit/testagent":  {"agent", "analyze", "capture", "internal/testkit"},
	"internal/testkit/testfleet":  {"hub/rollup", "hub/store", "metric"},
	"internal/testkit/veth":       {},
}

// anything is the entry of a package that may import every package except those of testkit.
var anything = []string{"*"}

// testOnly is the folder of the packages that only tests, and programs of that folder, import.
const testOnly = "internal/testkit"

// The plain packages are on the packet path. They must not import the forbidden packages of the standard library.
var (
	plain     = []string{"linktype", "decode", "dnswire", "sketch"}
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

// TestImports compares the imports of every package with the import table.
func TestImports(t *testing.T) {
	all := packages(t)
	for _, problem := range importProblems(all, mayImport) {
		t.Error(problem)
	}
	for _, p := range all {
		for _, imp := range p.Imports {
			if slices.Contains(plain, p.ImportPath) && slices.Contains(forbidden, imp) {
				t.Errorf("package %s imports %s, which the packet path does without", p.ImportPath, imp)
			}
		}
	}
}

// importProblems returns the differences between the packages and the import table: packages that are not in the table, entries for
// packages that do not exist, and imports that the table does not allow.
func importProblems(all []pkg, table map[string][]string) (problems []string) {
	exists := map[string]bool{}
	for _, p := range all {
		exists[p.ImportPath] = true
		allowed, listed := table[p.ImportPath]
		if !listed {
			problems = append(problems, fmt.Sprintf("package %s is not in the import table: list it with what it may import", p.ImportPath))
			continue
		}
		for _, imp := range p.Imports {
			own, isOwn := strings.CutPrefix(imp, "pktvisor/")
			ok := slices.Contains(allowed, own) || slices.Equal(allowed, anything) && !strings.HasPrefix(own, testOnly)
			if isOwn && !ok {
				problems = append(problems, fmt.Sprintf("package %s imports %s: it may import %v of this module", p.ImportPath, own, allowed))
			}
		}
	}
	for name, allowed := range table {
		for _, listed := range append([]string{name}, allowed...) {
			if !exists[listed] && listed != "*" {
				problems = append(problems, fmt.Sprintf("the import table lists package %s, which does not exist", listed))
			}
		}
	}
	return problems
}

// TestImportProblems checks one example of each problem.
func TestImportProblems(t *testing.T) {
	table := map[string][]string{"agent": {"capture"}, "capture": {}, "cmd/x": anything, "internal/testkit": {}, "gone": {}}
	got := importProblems([]pkg{
		{ImportPath: "agent", Imports: []string{"fmt", "pktvisor/capture"}},
		{ImportPath: "capture", Imports: []string{"pktvisor/agent"}},
		{ImportPath: "cmd/x", Imports: []string{"pktvisor/agent", "pktvisor/internal/testkit"}},
		{ImportPath: "internal/testkit"},
		{ImportPath: "new"},
	}, table)
	want := []string{
		"package capture imports agent: it may import [] of this module",
		"package cmd/x imports internal/testkit: it may import [*] of this module",
		"package new is not in the import table: list it with what it may import",
		"the import table lists package gone, which does not exist",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && p.Name != "repo" {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
		switch p.Name {
		case "util", "utils", "common", "helpers", "types", "core", "manager", "base", "shared":
			t.Errorf("package %s: the name does not say what it does", p.ImportPath)
		}
	}
}

// goFiles calls f with the path below the root, the positions and the syntax of every Go file.
func goFiles(t *testing.T, f func(path string, fset *token.FileSet, file *ast.File)) {
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
		f(rel, fset, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnsafeAndInit(t *testing.T) {
	goFiles(t, func(path string, _ *token.FileSet, file *ast.File) {
		for _, imp := range file.Imports {
			if imp.Path.Value == `"unsafe"` && !strings.Contains(filepath.Base(path), "_unsafe") {
				t.Errorf("%s imports unsafe: only files named *_unsafe*.go may", path)
			}
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function: call it explicitly where it is used", path)
			}
		}
	})
}

// longFunctions lists the functions that may have more than 80 lines, with the reason.
var longFunctions = map[string]string{
	"bpf/vm.go run": "the one switch of the interpreter: a call for each instruction would be slow",
}

// TestLengths limits files to 500 lines and functions to 80. Tests may be longer.
func TestLengths(t *testing.T) {
	long := 0
	goFiles(t, func(path string, fset *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		if n := fset.Position(file.FileEnd).Line; n > 500 {
			t.Errorf("%s has %d lines: split it", path, n)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1
			switch _, may := longFunctions[path+" "+f.Name.Name]; {
			case n > 80 && may:
				long++
			case n > 80:
				t.Errorf("%s: %s has %d lines: split it", path, f.Name.Name, n)
			}
		}
	})
	if long != len(longFunctions) {
		t.Errorf("%d of %d functions that may be long are", long, len(longFunctions))
	}
}

func TestExportedNamesHaveComments(t *testing.T) {
	goFiles(t, func(path string, _ *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Doc != nil || slices.Contains([]string{"Error", "String", "Unwrap"}, f.Name.Name) {
				continue // well-known methods need no comment
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

// TestReadme limits the length of the README.
func TestReadme(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "\n"); n >= 150 {
		t.Errorf("README.md has %d lines: keep it under 150, and put the rest into docs/", n)
	}
}

// link matches a link to another file of the repository.
var link = regexp.MustCompile(`\]\(([^)#: ]+)(#[^)]*)?\)`)

// code matches a block of code in a page. It may contain text that looks like a link.
var code = regexp.MustCompile("(?ms)^```.*?^```")

// TestLinks checks that the files to which the pages of the repository link exist.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md", "bpf/*.md", "testdata/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(more) == 0 {
			t.Fatalf("%d pages match %s: %v", len(more), pattern, err)
		}
		pages = append(pages, more...)
	}
	links := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(code.ReplaceAll(b, nil), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), string(m[1]))); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
	if links < 40 {
		t.Errorf("only %d links were found", links)
	}
}
