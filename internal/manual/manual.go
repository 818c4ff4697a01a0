// Package manual writes the shell completions and the manual page of a program from its flags, so that they cannot differ from
// what the program takes.
//
// A flag's value is completed by its name in the help: FILE and DIR are paths, a|b|c is a choice, and any other value is left to
// the user.
package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Program describes a command line.
type Program struct {
	Name    string // of the program
	Section int    // of its manual page: 1 for a user's command, 8 for a daemon
	Summary string // what it is, in a few words
	// Usage is the head of the help: the lines after "Usage:", an empty line, and paragraphs until "Options:".
	Usage    string
	Flags    *pflag.FlagSet
	Commands []Command
	Targets  Targets
}

// Command is a word in front of the flags that changes what the program does.
type Command struct {
	Name  string
	Flags *pflag.FlagSet // all that it takes; nil for none
	Words []string       // what may follow it, if this is fixed
}

// Targets says what an argument that is not a flag may be.
type Targets struct {
	Interfaces bool     // the names of network interfaces
	Files      bool     // paths
	Words      []string // these words
}

// Completion is the command that prints what this package writes.
func Completion() Command { return Command{Name: "completion", Words: kinds} }

var kinds = []string{"bash", "zsh", "fish", "man"}

// Asked reports whether the arguments of a program ask for what this package writes: "completion KIND".
func Asked(args []string) bool { return len(args) == 2 && args[0] == "completion" }

// Write returns the completions for the shell bash, zsh or fish, or the manual page: man.
func (p *Program) Write(kind string) (string, error) {
	switch kind {
	case "bash":
		return p.bash(), nil
	case "zsh":
		return p.zsh(), nil
	case "fish":
		return p.fish(), nil
	case "man":
		return p.man(), nil
	}
	return "", fmt.Errorf("completion %.100q: give bash, zsh, fish or man", kind)
}

// each calls f for each flag in the order of the help, with the name of its value, which is empty for a switch, and what it does.
func each(flags *pflag.FlagSet, f func(flag *pflag.Flag, value, does string)) {
	if flags == nil {
		return
	}
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden {
			return
		}
		value, does := pflag.UnquoteUsage(flag)
		f(flag, value, strings.ReplaceAll(does, "\n", " "))
	})
}

// choices returns the values among which the name of a value chooses.
func choices(value string) []string {
	if !strings.Contains(value, "|") {
		return nil
	}
	return strings.Split(value, "|")
}

// flagWords returns the flags as they are typed.
func flagWords(flags *pflag.FlagSet) (words []string) {
	each(flags, func(f *pflag.Flag, _, _ string) {
		if f.Shorthand != "" {
			words = append(words, "-"+f.Shorthand)
		}
		words = append(words, "--"+f.Name)
	})
	return words
}

// all lists the flags of the program and its commands once each, under the commands that take them. The name of the program
// itself is "".
func (p *Program) all() []Command {
	return append([]Command{{Flags: p.Flags}}, p.Commands...)
}
