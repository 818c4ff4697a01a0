// Command screenshot turns a recorded terminal screen into an SVG picture. Its input is text with SGR sequences, such
// as a golden screen or the output of `tmux capture-pane -e`:
//
//	go run ./ui/screenshot ui/testdata/busy-160x50-truecolor.golden > docs/screen.svg
//
// It supports colours, bold, faint and reverse, but no cursor movement.
package main

import (
	"fmt"
	"html"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "screenshot:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: screenshot FILE > SVG")
	}
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, picture(string(b)))
	return err
}

// The size of a cell in pixels, and the colours that stand for the terminal's default ones.
const (
	cellWidth, cellHeight  = 8.4, 17
	margin                 = 12
	background, foreground = "#161b22", "#d7dde6"
)

// pen is the style of the following text. Empty colours are the terminal's defaults.
type pen struct {
	fg, bg               string
	bold, faint, reverse bool
}

// picture draws the lines of screen as one SVG.
func picture(screen string) string {
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	width := 0
	var body strings.Builder
	var p pen // the style continues on the next line, as in tmux
	for y, line := range lines {
		width = max(width, drawLine(&body, y, line, &p))
	}
	w, h := float64(width)*cellWidth+2*margin, float64(len(lines)*cellHeight+2*margin)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">
<rect width="100%%" height="100%%" rx="8" fill="%s"/>
<g fill="%s" xml:space="preserve">
%s</g>
</svg>
`, w, h, background, foreground, body.String())
}

// drawLine writes one line and returns its width in cells. Every run of text with one style gets its position and
// length, so that columns stay aligned in any font.
func drawLine(b *strings.Builder, y int, line string, p *pen) int {
	x := 0
	for line != "" {
		if rest, ok := strings.CutPrefix(line, "\x1b["); ok {
			params, after, _ := strings.Cut(rest, "m")
			*p, line = p.change(params), after
			continue
		}
		end := strings.IndexByte(line, '\x1b')
		if end < 0 {
			end = len(line)
		} else if end == 0 { // an unknown sequence
			line = line[1:]
			continue
		}
		text := strings.Map(printable, line[:end])
		line = line[end:]
		n := ansi.StringWidth(text)
		p.draw(b, x, y, n, text)
		x += n
	}
	return x
}

// printable replaces characters that are not allowed in XML.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

func (p pen) draw(b *strings.Builder, x, y, n int, text string) {
	fg, bg := p.fg, p.bg
	if p.reverse {
		fg, bg = or(bg, background), or(fg, foreground)
	}
	left, top := margin+float64(x)*cellWidth, margin+y*cellHeight
	if bg != "" {
		fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", left, top, float64(n)*cellWidth, cellHeight, bg)
	}
	style := ""
	if fg != "" {
		style += ` fill="` + fg + `"`
	}
	if p.bold {
		style += ` font-weight="bold"`
	}
	if p.faint {
		style += ` opacity="0.6"`
	}
	// SVG readers collapse blanks, so every word gets its own position.
	for text != "" {
		word := strings.TrimLeft(text, " ")
		left += float64(len(text)-len(word)) * cellWidth
		word, text, _ = strings.Cut(word, "  ")
		word = strings.TrimRight(word, " ")
		if word == "" {
			break
		}
		n := float64(ansi.StringWidth(word)) * cellWidth
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" textLength="%.1f"%s>%s</text>`+"\n",
			left, float64(top)+0.76*cellHeight, n, style, html.EscapeString(word))
		left += n + 2*cellWidth
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// change returns the pen after an SGR sequence with these parameters.
func (p pen) change(params string) pen {
	codes := strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ':' })
	if len(codes) == 0 {
		return pen{}
	}
	for i := 0; i < len(codes); i++ {
		n, err := strconv.Atoi(codes[i])
		if err != nil {
			continue
		}
		switch {
		case n == 0:
			p = pen{}
		case n == 1:
			p.bold = true
		case n == 2:
			p.faint = true
		case n == 22:
			p.bold, p.faint = false, false
		case n == 7, n == 27:
			p.reverse = n == 7
		case n == 39:
			p.fg = ""
		case n == 49:
			p.bg = ""
		case n >= 30 && n <= 37, n >= 90 && n <= 97:
			p.fg = indexed(n%10 + n/90*8)
		case n >= 40 && n <= 47, n >= 100 && n <= 107:
			p.bg = indexed(n%10 + n/100*8)
		case n == 38 || n == 48:
			colour, used := extended(codes[i+1:])
			i += used
			if n == 38 {
				p.fg = colour
			} else {
				p.bg = colour
			}
		}
	}
	return p
}

// extended reads the colour after a 38 or 48, and returns how many codes it used.
func extended(codes []string) (colour string, used int) {
	n := make([]int, min(len(codes), 4))
	for i := range n {
		n[i], _ = strconv.Atoi(codes[i]) // 0 if it is not a number
	}
	switch {
	case len(n) >= 2 && n[0] == 5:
		return indexed(n[1]), 2
	case len(n) == 4 && n[0] == 2:
		return fmt.Sprintf("#%02x%02x%02x", n[1]&255, n[2]&255, n[3]&255), 4
	}
	return "", len(n)
}

// indexed returns a colour of the 256-colour palette.
func indexed(n int) string {
	r, g, b, _ := ansi.IndexedColor(n & 255).RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}
