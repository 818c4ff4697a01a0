package manual

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// man returns the manual page in the man macros of roff. It has no date, so that it is the same whenever it is written.
func (p *Program) man() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %d \"\" pktvisor \"System Manager's Manual\"\n", strings.ToUpper(p.Name), p.Section)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.nf\n", roff(p.Name), roff(p.Summary))
	head, _, _ := strings.Cut(strings.TrimPrefix(p.Usage, "Usage:"), "Options:")
	synopsis, text, _ := strings.Cut(strings.Trim(head, "\n "), "\n\n")
	for line := range strings.SplitSeq(synopsis, "\n") {
		b.WriteString(roffLine(strings.TrimPrefix(line, "  ")) + "\n")
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		for line := range strings.SplitSeq(paragraph, "\n") {
			b.WriteString(roffLine(line) + "\n")
		}
	}
	b.WriteString(".SH OPTIONS\n")
	manFlags(&b, p.Flags)
	for _, c := range p.Commands {
		if c.Flags == nil {
			continue
		}
		fmt.Fprintf(&b, ".SS Options that only %s has\n", roff(c.Name))
		own := pflag.NewFlagSet(c.Name, pflag.ContinueOnError)
		own.SortFlags = false
		c.Flags.VisitAll(func(f *pflag.Flag) {
			if p.Flags.Lookup(f.Name) == nil {
				own.AddFlag(f)
			}
		})
		manFlags(&b, own)
	}
	b.WriteString(".SH SEE ALSO\n.BR pktvisor (1),\n.BR pktvisord (8),\n.BR pktvisor\\-hub (8)\n")
	return b.String()
}

func manFlags(b *strings.Builder, flags *pflag.FlagSet) {
	each(flags, func(f *pflag.Flag, value, does string) {
		b.WriteString(".TP\n")
		names := `\fB` + roff("--"+f.Name) + `\fR`
		if f.Shorthand != "" {
			names = `\fB` + roff("-"+f.Shorthand) + `\fR, ` + names
		}
		if value != "" {
			names += ` \fI` + roff(value) + `\fR`
		}
		if zero := f.DefValue == "" || f.DefValue == "false" || f.DefValue == "0" || f.DefValue == "[]" || f.DefValue == "0s"; !zero {
			does += " (default: " + strings.Trim(f.DefValue, "[]") + ")"
		}
		b.WriteString(names + "\n" + roffLine(does) + "\n")
	})
}

// roff escapes text for roff.
func roff(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
}

// roffLine is roff for a line of text, which must not look like a request.
func roffLine(text string) string {
	text = roff(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
