#!/usr/bin/env bash
# go-gitignore (sabhiram, Go) ignores the opposite of "[!a].log", and drops "c++/" without an error.
#
# By gitignore(5), "[!a]" is any character but a, "?" is any one character, "+" is an ordinary one, and a pattern with a slash in its middle is
# relative to the folder of the file. The package turns a pattern into a regular expression without escaping "[", "+" and "$", and takes
# "?" for itself. "c++" is then no valid expression: the pattern is dropped, and the error with it. git itself decides in the last column.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"os/exec"

	ignore "github.com/sabhiram/go-gitignore"
)

func git(pattern, path string) bool {
	if err := os.WriteFile("repo/.gitignore", []byte(pattern+"\n"), 0o600); err != nil {
		panic(err)
	}
	cmd := exec.Command("git", "check-ignore", "--no-index", "--quiet", path)
	cmd.Dir = "repo"
	err := cmd.Run()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		panic(err)
	}
	return err == nil
}

func main() {
	for _, c := range [][2]string{
		{"[!a].log", "a.log"}, {"[!a].log", "b.log"}, {"*.py?", "x.pyc"}, {"c++/", "c++/x.o"}, {"$tmp", "$tmp"}, {"build/out", "doc/build/out"},
		{"*.o", "x.o"}, {"!*.o", "x.o"},
	} {
		fmt.Printf("%-10s %-14s go-gitignore %-5v git %v\n", c[0], c[1], ignore.CompileIgnoreLines(c[0]).MatchesPath(c[1]), git(c[0], c[1]))
	}
}
GO
git init --quiet repo
export GOFLAGS=-mod=mod
go get github.com/sabhiram/go-gitignore@v0.0.0-20210923224102-525f6e181f06 2>/dev/null
echo "go-gitignore 525f6e181f06 (2021-09-23)"
go run . | tee out.txt
diff out.txt - <<'OUT'
[!a].log   a.log          go-gitignore true  git false
[!a].log   b.log          go-gitignore false git true
*.py?      x.pyc          go-gitignore false git true
c++/       c++/x.o        go-gitignore false git true
$tmp       $tmp           go-gitignore false git true
build/out  doc/build/out  go-gitignore true  git false
*.o        x.o            go-gitignore true  git true
!*.o       x.o            go-gitignore false git false
OUT
echo "as found"
