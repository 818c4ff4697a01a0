//go:build amd64 || arm64 || riscv64 || loong64 || ppc64le || mips64le

package count

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
)

// TestObject: the object in the repository is what clang makes of the source. Another version of clang may choose other
// instructions, so the test is skipped without the version that made the object, which .ci/run installs.
func TestObject(t *testing.T) {
	const made = "clang version 14."
	clang, err := exec.Command("clang", "--version").Output()
	if err != nil || !bytes.Contains(clang, []byte(made)) {
		t.Skipf("needs %s (Debian: clang llvm libbpf-dev)", made)
	}
	path := filepath.Join(t.TempDir(), "count.o")
	if out, err := exec.Command("program/build.sh", path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, want := instructions(t, b), instructions(t, object)
	if !bytes.Equal(got, want) {
		t.Errorf("program/count.c has changed (%d and %d bytes of instructions): run capture/count/program/build.sh", len(got), len(want))
	}
}

// instructions returns the program of an object as the kernel gets it, and its maps as text.
func instructions(t *testing.T, object []byte) []byte {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, ins := range spec.Programs[programName].Instructions {
		fmt.Fprintln(&b, ins.Reference(), ins)
	}
	for _, name := range mapNames {
		m := spec.Maps[name]
		b.WriteString(m.String() + "\n")
	}
	return b.Bytes()
}

// TestLayout: the maps have the sizes that the agent reads and writes.
func TestLayout(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	if conf, slots := spec.Maps[confName].ValueSize, spec.Maps[slotsName].ValueSize; conf != uint32(confBytes) || slots != uint32(slotBytes) {
		t.Errorf("the maps have values of %d and %d bytes, want %d and %d", conf, slots, confBytes, slotBytes)
	}
}
