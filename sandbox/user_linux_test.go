package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// TestChooseRights: which user and capabilities a root process keeps, by who can use its files. Nothing of the test's process changes.
func TestChooseRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this test needs root")
	}
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil {
		t.Fatal(err)
	}
	const other = 61234
	dir := func(name string, uid int) string {
		path := filepath.Join(top, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := func(path string, uid int) string {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots, theirs, mixed, strange := dir("root", 0), dir("theirs", other), dir("mixed", other), dir("strange", other+1)
	file(filepath.Join(theirs, "lock"), other)
	file(filepath.Join(mixed, "lock"), 0)
	rootKey, theirKey := file(filepath.Join(top, "key"), 0), file(filepath.Join(top, "their"), other)
	var before unix.Stat_t
	for _, c := range []struct {
		name  string
		user  string
		needs Needs
		want  string // the user, the capabilities, "error"
	}{
		{"nothing", "61234", Needs{}, "61234"},
		{"their files", "61234", Needs{Write: []string{theirs}, Read: []string{theirKey}}, "61234"},
		{"a key of root", "61234", Needs{Write: []string{theirs}, Read: []string{rootKey}}, "61234 cap_dac_read_search"},
		{"a file of root in their directory", "61234", Needs{Write: []string{mixed}}, "error"},
		{"a directory of root", "61234", Needs{Write: []string{roots}}, "error"},
		{"a directory of root, by default", "", Needs{Write: []string{roots}}, "root"},
		{"a directory of somebody, by default", "", Needs{Write: []string{strange}}, "root cap_dac_override"},
		{"a directory for a report", "", Needs{Other: []string{roots}}, "root"},
		{"a key of somebody and a directory of root, by default", "", Needs{Write: []string{roots}, Read: []string{theirKey}}, "root cap_dac_read_search"},
		{"root", "root", Needs{Write: []string{roots}}, "root"},
		{"a ring", "", Needs{Capture: true, Listen: []uint16{80}}, "nobody cap_net_raw cap_net_bind_service"},
		{"a missing file", "", Needs{Read: []string{filepath.Join(top, "missing")}}, "nobody"},
	} {
		p := &plan{options: Options{User: c.user}, needs: c.needs}
		got := "root"
		if err := p.prepare(); err != nil {
			got = "error"
		} else if p.become != nil {
			got = p.become.name
		}
		if got != "error" {
			for _, k := range p.keep {
				got += " " + k.String()
			}
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s; %q", c.name, got, c.want, p.missing)
		}
		if fsuid, _ := unix.SetfsuidRetUid(-1); fsuid != 0 {
			t.Fatalf("%s: files are accessed as user %d", c.name, fsuid)
		}
	}
	if groups, err := os.Getgroups(); err != nil || slices.Contains(groups, other) {
		t.Errorf("the groups are %v, %v", groups, err)
	}
	if ok, err := cap.GetProc().GetFlag(cap.Effective, cap.DAC_OVERRIDE); err != nil || !ok {
		t.Errorf("the process has lost a capability: %v", err)
	}
	if err := unix.Stat(roots, &before); err != nil || before.Uid != 0 {
		t.Errorf("a directory of root was given away: %v", err)
	}
}

// TestDeniedByMode: without the kernel's answer, the permission bits decide as they do with it.
func TestDeniedByMode(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this test needs root")
	}
	top := t.TempDir()
	if err := os.Chmod(filepath.Dir(top), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(top, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	id := &identity{name: "x", uid: 61234, gid: 61235, groups: []int{61236}}
	for _, owner := range [][2]int{{0, 0}, {61234, 0}, {0, 61235}, {0, 61236}} {
		if err := os.Chown(path, owner[0], owner[1]); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []os.FileMode{0, 0o600, 0o060, 0o006, 0o400, 0o040, 0o004, 0o644, 0o466} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			for _, want := range []uint32{toRead, toEdit} {
				var got, right bool
				if err := id.as(func() { got, right = deniedByMode(path, want), denied(path, want) }); err != nil {
					t.Skip(err)
				}
				if got != right {
					t.Errorf("owner %v, mode %o, access %o: %v, the kernel says %v", owner, mode, want, got, right)
				}
			}
		}
	}
}
