package repo

import (
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// phrase is a wording that a native writer would not use in a comment or document.
type phrase struct {
	pattern string // a regular expression; a space matches any white space, also the end of a line
	instead string // what to write instead
	example string // a text that the pattern must match
}

var phrases = []phrase{
	{`(go(es|ing)?|went) on`, "continue", "The count goes\non."},
	{`(gives?|gave|given|giving) out`, "return, print or emit", "It gives out rows."},
	{`where there (is|are) (none|no)`, "if there is no", "It is 0 where there is none."},
	{`(what|all) there (is|are|was|were)`, "the thing itself: the rows, the available part", "It lists what there is."},
	{`[;,] else`, `"otherwise", in a separate sentence`, "It is the rate; else it is 0."},
	{`turn(s|ed|ing)? away`, "reject", "The filter turned it away or turned away others."},
	{`but for`, "except for", "All rows but for the last."},
	{`amid(st)?`, "among, or in the middle of", "It ends amid a message."},
	{`all the same`, "still, or anyway", "It counts all the same."},
	{`nothing but`, "only", "It has nothing but zeros."},
	{`(tells?|told|telling)( \w+){0,3} apart`, "distinguish", "The name tells the two apart."},
	{`whoever`, "the caller, the client or the user", "It is for whoever reads it."},
	{`lest`, "so that … not", "Lock it lest it change."},
	{`be it`, "whether it is", "It reads any file, be it a pipe."},
	{`at the (most|least)`, "at most, or at least", "It has ten rows at the most."},
	{`foreseen?`, "predict, or expect", "The number cannot be foreseen."},
	{`for good`, "permanently, or forever", "The row is gone for good."},
	{`minds? (the|its)`, "check, handle or watch", "The loop minds the clock."},
	{`(is|are|was|were) none`, "is not a …, or has no …", "Such a frame is none."},
	{`tells? whether`, "reports whether", "It tells whether the lock is held."},
	{`unless (told|said) otherwise`, "by default", "It has ten rows unless told otherwise."},
	{`on the average`, "on average", "It has 32 bytes on the average."},
}

// rightUse matches wordings that contain a phrase and are right.
var rightUse = regexp.MustCompile(`(?i)\bthere\s+(is|are|was|were)\s+none\b`)

// patterns are the compiled patterns of the phrases.
var patterns = func() (all []*regexp.Regexp) {
	for _, p := range phrases {
		pattern := strings.ReplaceAll(p.pattern, " ", `\s+`)
		if !strings.HasPrefix(pattern, "[") {
			pattern = `\b` + pattern
		}
		all = append(all, regexp.MustCompile(`(?i:`+pattern+`)\b`))
	}
	return all
}()

// findPhrases calls report for each phrase in a text, with its line in the text, counted from 0.
func findPhrases(text string, report func(line int, found string, p phrase)) {
	right := rightUse.FindAllStringIndex(text, -1)
	for i, pattern := range patterns {
		for _, at := range pattern.FindAllStringIndex(text, -1) {
			if !slices.ContainsFunc(right, func(r []int) bool { return r[0] <= at[0] && at[1] <= r[1] }) {
				found := strings.Join(strings.Fields(text[at[0]:at[1]]), " ")
				report(strings.Count(text[:at[0]], "\n"), found, phrases[i])
			}
		}
	}
}

// blank replaces everything except line breaks, so that the lines of a text keep their numbers.
func blank(r rune) rune {
	if r == '\n' {
		return r
	}
	return '_'
}

// TestPhrases finds no phrase of the list in the comments of Go files and in Markdown documents.
func TestPhrases(t *testing.T) {
	check := func(path string, firstLine int, text string) {
		findPhrases(text, func(line int, found string, p phrase) {
			t.Errorf("%s:%d: %q: write %s", path, firstLine+line, found, p.instead)
		})
	}
	comments := 0
	goFiles(t, func(path string, fset *token.FileSet, file *ast.File) {
		for _, group := range file.Comments {
			comments++
			check(path, fset.Position(group.Pos()).Line, commentText(group))
		}
	})
	documents := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || !strings.HasSuffix(path, ".md") {
			return err
		}
		b, err := os.ReadFile(path)
		documents++
		check(rel, 1, code.ReplaceAllStringFunc(string(b), func(s string) string { return strings.Map(blank, s) }))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if comments < 3000 || documents < 20 {
		t.Errorf("only %d comments and %d documents were found", comments, documents)
	}
}

// commentText returns the text of a comment without its marks, one line for each line of the comment.
func commentText(group *ast.CommentGroup) string {
	var lines []string
	for _, c := range group.List {
		lines = append(lines, strings.TrimPrefix(c.Text, "//"))
	}
	return strings.Join(lines, "\n")
}

// TestPhraseList: each pattern matches its example, and plain sentences match no pattern.
func TestPhraseList(t *testing.T) {
	for _, want := range phrases {
		matched := false
		findPhrases(want.example, func(line int, _ string, p phrase) {
			if p.pattern != want.pattern {
				t.Errorf("%q matches %s", want.example, p.pattern)
			}
			if line != 0 {
				t.Errorf("%q is found in line %d", want.example, line)
			}
			matched = true
		})
		if !matched {
			t.Errorf("%q does not match %s", want.example, want.pattern)
		}
	}
	for _, text := range []string{
		"It returns nil if there is none.", "There\nare none.", "At most one, and at least one.", "The elements else belong.",
		"It applies to the whole window, or else fails.", "Goods are forgotten.", "It reports whether it is held.",
	} {
		findPhrases(text, func(_ int, found string, _ phrase) { t.Errorf("%q: found %q", text, found) })
	}
	findPhrases("One.\nTwo, and there is none.\nA frame is none.", func(line int, _ string, _ phrase) {
		if line != 2 {
			t.Errorf("found in line %d, want 2", line)
		}
	})
}
