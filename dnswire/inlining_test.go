package dnswire

import (
	"os/exec"
	"strings"
	"testing"
)

// TestInlining: the helpers that are called for every message, or every eight bytes of a name, are inlined.
func TestInlining(t *testing.T) {
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command: ", err)
	}
	out, err := exec.Command(gotool, "build", "-gcflags=-m", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, f := range []string{"lower8", "(*Message).Response", "(*Message).Has", "(*Message).Name", "Labels"} {
		if !strings.Contains(string(out), "can inline "+f+"\n") {
			t.Errorf("%s is not inlined", f)
		}
	}
}
