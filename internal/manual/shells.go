package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// interfaces lists the network interfaces in a shell.
const interfaces = "ls /sys/class/net 2>/dev/null"

// bash returns a completion for bash 3 and later, without the package bash-completion.
func (p *Program) bash() string {
	var b strings.Builder
	fn := "_" + strings.ReplaceAll(p.Name, "-", "_")
	fmt.Fprintf(&b, "# Completions of %s for bash.\n%s() {\n", p.Name, fn)
	b.WriteString("\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n\tCOMPREPLY=()\n")
	b.WriteString("\tcase $prev in\n")
	seen := map[string]bool{}
	for _, c := range p.all() {
		each(c.Flags, func(f *pflag.Flag, value, _ string) {
			if value == "" || seen[f.Name] {
				return
			}
			seen[f.Name] = true
			pattern := "--" + f.Name
			if f.Shorthand != "" {
				pattern = "-" + f.Shorthand + " | " + pattern
			}
			fmt.Fprintf(&b, "\t%s) %sreturn ;;\n", pattern, bashValue(value))
		})
	}
	b.WriteString("\tesac\n\tcase ${COMP_WORDS[1]} in\n")
	for _, c := range p.Commands {
		words := append(flagWords(c.Flags), c.Words...)
		fmt.Fprintf(&b, "\t%s)\n\t\tif [ \"$COMP_CWORD\" -gt 1 ]; then\n\t\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n", c.Name, strings.Join(words, " "))
		if c.Words == nil {
			b.WriteString("\t\t\t[[ $cur == -* ]] || COMPREPLY=($(compgen -f -- \"$cur\"))\n")
		}
		b.WriteString("\t\t\treturn\n\t\tfi ;;\n")
	}
	b.WriteString("\tesac\n")
	fmt.Fprintf(&b, "\tif [[ $cur == -* ]]; then\n\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\"))\n\t\treturn\n\tfi\n", strings.Join(flagWords(p.Flags), " "))
	words := strings.Join(p.Targets.Words, " ")
	if p.Targets.Interfaces {
		words += " $(" + interfaces + ")"
	}
	var commands []string
	for _, c := range p.Commands {
		commands = append(commands, c.Name)
	}
	fmt.Fprintf(&b, "\tlocal words=\"%s\"\n\t[ \"$COMP_CWORD\" -gt 1 ] || words=\"$words %s\"\n", strings.TrimSpace(words), strings.Join(commands, " "))
	b.WriteString("\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\")")
	if p.Targets.Files {
		b.WriteString(" $(compgen -f -- \"$cur\")")
	}
	fmt.Fprintf(&b, ")\n}\ncomplete -o filenames -F %s %s\n", fn, p.Name)
	return b.String()
}

// bashValue returns the command that completes a flag's value.
func bashValue(value string) string {
	switch words := choices(value); {
	case value == "FILE":
		return `COMPREPLY=($(compgen -f -- "$cur")); `
	case value == "DIR":
		return `COMPREPLY=($(compgen -d -- "$cur")); `
	case words != nil:
		return fmt.Sprintf(`COMPREPLY=($(compgen -W '%s' -- "$cur")); `, strings.Join(words, " "))
	}
	return ""
}

// zsh returns a completion for zsh. The flags of the commands are offered after them.
func (p *Program) zsh() string {
	var b strings.Builder
	fn := "_" + strings.ReplaceAll(p.Name, "-", "_")
	fmt.Fprintf(&b, "#compdef %s\n# Completions of %s for zsh.\n%s() {\n\tcase $words[2] in\n", p.Name, p.Name, fn)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "\t%s)\n\t\tif (( CURRENT > 2 )); then\n\t\t\tshift words; (( CURRENT-- ))\n\t\t\t_arguments", c.Name)
		zshFlags(&b, c.Flags)
		if c.Words != nil {
			fmt.Fprintf(&b, " \\\n\t\t\t\t'1:argument:(%s)'", strings.Join(c.Words, " "))
		} else {
			b.WriteString(" \\\n\t\t\t\t'*:file:_files'")
		}
		b.WriteString("\n\t\t\treturn\n\t\tfi ;;\n")
	}
	b.WriteString("\tesac\n\tlocal -a targets\n\ttargets=(")
	b.WriteString(strings.Join(p.Targets.Words, " "))
	if p.Targets.Interfaces {
		b.WriteString(" $(" + interfaces + ")")
	}
	b.WriteString(")\n\t(( CURRENT > 2 )) || targets+=(")
	for i, c := range p.Commands {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(c.Name)
	}
	b.WriteString(")\n\t_arguments")
	zshFlags(&b, p.Flags)
	target := "compadd -a targets"
	if p.Targets.Files {
		target = "_alternative \"words:target:($targets)\" \"files:file:_files\""
	}
	fmt.Fprintf(&b, " \\\n\t\t\t\t'*:target:{%s}'\n}\nif [ \"$funcstack[1]\" = %s ]; then %s \"$@\"; else compdef %s %s; fi\n", target, fn, fn, fn, p.Name)
	return b.String()
}

// zshFlags writes arguments of _arguments.
func zshFlags(b *strings.Builder, flags *pflag.FlagSet) {
	escape := strings.NewReplacer("'", `'\''`, "[", `\[`, "]", `\]`, ":", `\:`, "\\", `\\`)
	each(flags, func(f *pflag.Flag, value, does string) {
		action := ""
		switch words := choices(value); {
		case value == "":
		case value == "FILE":
			action = ":FILE:_files"
		case value == "DIR":
			action = ":DIR:_files -/"
		case words != nil:
			action = ":value:(" + strings.Join(words, " ") + ")"
		default:
			action = ":" + escape.Replace(value) + ":"
		}
		text := fmt.Sprintf("[%s]%s'", escape.Replace(does), action)
		if f.Shorthand != "" {
			fmt.Fprintf(b, " \\\n\t\t\t\t'*-%s%s", f.Shorthand, text)
		}
		fmt.Fprintf(b, " \\\n\t\t\t\t'*--%s%s", f.Name, text)
	})
}

// fish returns a completion for fish 3 and later.
func (p *Program) fish() string {
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`)
	fmt.Fprintf(&b, "# Completions of %s for fish.\ncomplete -c %s -f\n", p.Name, p.Name)
	var names []string
	for _, c := range p.Commands {
		names = append(names, c.Name)
	}
	none := "not __fish_seen_subcommand_from " + strings.Join(names, " ")
	target := strings.Join(p.Targets.Words, " ")
	if p.Targets.Interfaces {
		target += " (" + interfaces + ")"
	}
	if target = strings.TrimSpace(target); target != "" {
		fmt.Fprintf(&b, "complete -c %s -n '%s' -a '%s'\n", p.Name, none, target)
	}
	if p.Targets.Files {
		fmt.Fprintf(&b, "complete -c %s -n '%s' -F\n", p.Name, none)
	}
	fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -a '%s'\n", p.Name, strings.Join(names, " "))
	for _, c := range p.all() {
		when := none
		if c.Name != "" {
			when = "__fish_seen_subcommand_from " + c.Name
		}
		switch {
		case c.Words != nil:
			fmt.Fprintf(&b, "complete -c %s -n '%s' -a '%s'\n", p.Name, when, strings.Join(c.Words, " "))
		case c.Name != "":
			fmt.Fprintf(&b, "complete -c %s -n '%s' -F\n", p.Name, when)
		}
		each(c.Flags, func(f *pflag.Flag, value, does string) {
			fmt.Fprintf(&b, "complete -c %s -n '%s' -l %s", p.Name, when, f.Name)
			if f.Shorthand != "" {
				fmt.Fprintf(&b, " -s %s", f.Shorthand)
			}
			switch words := choices(value); {
			case value == "":
			case value == "FILE", value == "DIR":
				b.WriteString(" -r -F")
			case words != nil:
				fmt.Fprintf(&b, " -x -a '%s'", strings.Join(words, " "))
			default:
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d '%s'\n", quote.Replace(does))
		})
	}
	return b.String()
}
