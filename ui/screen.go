package ui

import (
	"strings"
)

// screen is a grid of cells. All drawing goes into it and is clipped at its edges, so that no text can break the
// layout. put accepts only runes that clean lets through, so that no text can carry an escape sequence to the terminal.
type screen struct {
	w, h  int
	cells []cell
}

// cell is one position. A rune that takes two cells is followed by a cell with rune 0.
type cell struct {
	r     rune
	style style
}

// style is the look of a cell, described by meaning. A theme maps it to colours.
type style struct {
	fg   tone
	bg   tone // plain, bar or chosen
	bold bool
}

// tone is a colour, named by its meaning.
type tone uint8

const (
	plain  tone = iota // the terminal's own colour
	dim                // labels, units
	faint              // rules, separators
	accent             // titles, keys, graphs
	good
	warn
	bad
	fresh  // new or risen since the last minute
	graph  // bars
	bar    // background of the title bar
	chosen // background of the selected row
	tones
)

// maxCells bounds a screen, whatever size a terminal claims.
const maxCells = 1 << 20

func newScreen(w, h int) *screen {
	w = min(max(w, 1), 2000)
	h = min(max(h, 1), maxCells/w)
	s := &screen{w: w, h: h, cells: make([]cell, w*h)}
	for i := range s.cells {
		s.cells[i].r = ' '
	}
	return s
}

// put writes text at x, y in at most w cells and returns the x after it.
func (s *screen) put(x, y, w int, st style, text string) int {
	if y < 0 || y >= s.h || x < 0 {
		return x
	}
	end := min(x+w, s.w)
	for _, r := range text {
		if !shows(r) {
			r = '?'
		}
		n := runeWidth(r)
		if x+n > end {
			break
		}
		s.split(x, y)
		s.split(x+n, y)
		s.set(x, y, r, st)
		if n == 2 {
			s.set(x+1, y, 0, st)
		}
		x += n
	}
	return x
}

// right writes text so that it ends just before x+w.
func (s *screen) right(x, y, w int, st style, text string) {
	s.put(x+max(0, w-textWidth(text)), y, w, st, text)
}

// split replaces a rune that takes the cells before and at x with blanks: what is left of it would still take two cells.
func (s *screen) split(x, y int) {
	if i := y*s.w + x; x < s.w && s.cells[i].r == 0 {
		s.cells[i-1].r, s.cells[i].r = ' ', ' '
	}
}

func (s *screen) set(x, y int, r rune, st style) {
	s.cells[y*s.w+x] = cell{r, st}
}

// fill writes r into w cells.
func (s *screen) fill(x, y, w int, st style, r rune) {
	s.put(x, y, w, st, strings.Repeat(string(r), max(0, min(w, s.w))))
}

// shade sets the background of w cells, and keeps their runes.
func (s *screen) shade(x, y, w int, bg tone) {
	if y < 0 || y >= s.h || x < 0 {
		return
	}
	for i := x; i < min(x+w, s.w); i++ {
		s.cells[y*s.w+i].style.bg = bg
	}
}

// text returns the screen without colours, and without blanks at the ends of lines.
func (s *screen) text() string {
	return s.render(nil)
}

// render returns the screen as lines of text with the theme's escape sequences. With a nil theme there are no escape
// sequences.
func (s *screen) render(t *theme) string {
	var b strings.Builder
	for y := range s.h {
		if y > 0 {
			b.WriteByte('\n')
		}
		line := s.cells[y*s.w : (y+1)*s.w]
		end := len(line)
		for end > 0 && line[end-1] == (cell{r: ' '}) {
			end--
		}
		var now style
		for _, c := range line[:end] {
			if t != nil && c.style != now {
				b.WriteString(t.change(c.style))
				now = c.style
			}
			if c.r != 0 {
				b.WriteRune(c.r)
			}
		}
		if now != (style{}) {
			b.WriteString(t.change(style{}))
		}
	}
	if t == nil {
		return trimLines(b.String())
	}
	return b.String()
}

// trimLines removes trailing blanks, which only carried a background.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// glyphs are the drawing characters, in UTF-8 or plain ASCII.
type glyphs struct {
	rule, ellipsis   rune
	up, down, entry  rune // rank changes
	live, away, wait rune
	none             string // an unknown value
	about            string // an estimate that may be inaccurate
	least            string // a lower bound
	plusMinus        string
	dash             string // between two times
	into             string // from a whole to a part
	bars             []rune // eighths of a cell, empty to full
	times            string
}

var utf8Glyphs = glyphs{
	rule: '─', ellipsis: '…', up: '▲', down: '▼', entry: '+', live: '●', away: '○', wait: '◐',
	none: "–", about: "~", least: "≥", plusMinus: "±", dash: "–", into: "›", bars: []rune(" ▁▂▃▄▅▆▇█"), times: "×",
}

var asciiGlyphs = glyphs{
	rule: '-', ellipsis: '~', up: '^', down: 'v', entry: '+', live: '*', away: 'o', wait: '.',
	none: "-", about: "~", least: ">=", plusMinus: "+-", dash: "-", into: ">", bars: []rune(" .:#"), times: "x",
}

// glyphsFor returns the drawing characters for a terminal.
func glyphsFor(unicodeOK bool) *glyphs {
	if unicodeOK {
		return &utf8Glyphs
	}
	return &asciiGlyphs
}
