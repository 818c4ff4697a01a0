package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"pktvisor/internal/testkit"
)

// example is a program with a flag of each kind, and text that shells and roff must not interpret.
func example() *Program {
	flags := func(name string) *pflag.FlagSet {
		f := pflag.NewFlagSet(name, pflag.ContinueOnError)
		f.SortFlags = false
		f.StringP("output", "o", "", "write to this `FILE`,\nor \"-\"")
		f.String("state", "/var/lib", "keep it in this `DIR`: don't [share] it; $(touch injected) `x`")
		f.String("format", "text", "print as `text|json`")
		f.Int("count", 5, "this many `times`")
		f.BoolP("verbose", "v", false, ".say more with \\n")
		f.String("secret", "", "not shown")
		f.MarkHidden("secret")
		return f
	}
	run := flags("run")
	run.Bool("fast", false, "only of run")
	return &Program{
		Name: "ex-ample", Section: 8, Summary: "an example", Usage: "Usage:\n  ex-ample [options] TARGET\n  ex-ample run\n\nFirst line.\n.second line\n\nMore - text…\n\nOptions:\n",
		Flags: flags("example"), Commands: []Command{{Name: "run", Flags: run}, Completion()}, Targets: Targets{Interfaces: true, Files: true, Words: []string{"any", "auto"}},
	}
}

func write(t *testing.T, kind string) string {
	t.Helper()
	text, err := example().Write(kind)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWrite(t *testing.T) {
	for _, kind := range kinds {
		testkit.Golden(t, "testdata/example."+kind+".golden", []byte(write(t, kind)))
	}
	if _, err := example().Write("tcsh"); err == nil || err.Error() != `completion "tcsh": give bash, zsh, fish or man` {
		t.Errorf("tcsh: %v", err)
	}
}

// shell runs a script after the completion is read, in a directory with one file.
func shell(t *testing.T, name, script string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("there is no %s", name)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "injected")); found != nil {
		t.Error("the help was executed")
	}
	return string(out)
}

// TestBash completes command lines in a real bash.
func TestBash(t *testing.T) {
	script := write(t, "bash") + `
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ex_ample; echo "${COMPREPLY[*]}"; }
try ex-ample --o; try ex-ample --format ''; try ex-ample run --fa; try ex-ample --fa; try ex-ample completion z; try ex-ample run a; try ex-ample -o a; try ex-ample --count ''
try ex-ample an; try ex-ample ru; try ex-ample -v ru
`
	want := []string{"--output", "text json", "--fast", "", "zsh", "a file", "a file", "", "any", "run", ""}
	if got := strings.Split(strings.TrimSuffix(shell(t, "bash", script), "\n"), "\n"); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFish completes command lines in a real fish.
func TestFish(t *testing.T) {
	got := shell(t, "fish", write(t, "fish")+`
complete -C "ex-ample --out"; complete -C "ex-ample --format "; complete -C "ex-ample run --fa"; complete -C "ex-ample --fa"; complete -C "ex-ample completion z"
`)
	want := "--output\twrite to this FILE, or \"-\"\njson\tprint as text|json\ntext\tprint as text|json\n--fast\tonly of run\nzsh\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestZsh: zsh can parse the completion.
func TestZsh(t *testing.T) {
	if got := shell(t, "zsh", "compdef() { print \"$@\" }\n"+write(t, "zsh")); got != "_ex_ample ex-ample\n" {
		t.Errorf("got %q", got)
	}
}

// TestMan: groff has no complaint about the page.
func TestMan(t *testing.T) {
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("there is no groff")
	}
	cmd := exec.Command("groff", "-man", "-ww", "-Tascii", "-z")
	cmd.Stdin = strings.NewReader(write(t, "man"))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
