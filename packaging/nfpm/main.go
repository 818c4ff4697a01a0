// Nfpm makes a Debian, an RPM and an Alpine package of one tree of files. It has a module of its own, so that what it needs is not
// among the dependencies of pktvisor. The program packaging/release prepares the tree and runs it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk" // these three register themselves
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nfpm:", err)
		os.Exit(1)
	}
}

// run makes the packages that the arguments describe.
func run(args []string) error {
	f := flag.NewFlagSet("nfpm", flag.ContinueOnError)
	var info nfpm.Info
	f.StringVar(&info.Name, "name", "", "name of the package")
	f.StringVar(&info.Arch, "arch", "", "processor, as Go calls it; with the variant for arm: arm7")
	f.StringVar(&info.Version, "version", "", "version")
	f.StringVar(&info.Description, "description", "", "what it is: a line, and more after a line break")
	seconds := f.Int64("time", 0, "time of all files, in seconds since 1970")
	tree := f.String("tree", "", "directory with the files, under the paths that they will have")
	scripts := f.String("scripts", "", "directory with postinstall.sh, preremove.sh and postremove.sh")
	out := f.String("o", ".", "directory for the packages")
	if err := f.Parse(args); err != nil {
		return err
	}
	info.Platform, info.Section, info.Priority, info.License = "linux", "net", "optional", "Apache-2.0"
	info.Maintainer, info.Vendor = "The pktvisor authors", "pktvisor"
	info.Release = "1"
	info.MTime = time.Unix(*seconds, 0).UTC()
	info.Scripts = nfpm.Scripts{
		PostInstall: filepath.Join(*scripts, "postinstall.sh"), PreRemove: filepath.Join(*scripts, "preremove.sh"), PostRemove: filepath.Join(*scripts, "postremove.sh"),
	}
	info.APK.Scripts.PostUpgrade = info.Scripts.PostInstall
	info.RPM.BuildHost = "pktvisor" // by default it is the name of this host
	info.RPM.Summary, _, _ = strings.Cut(info.Description, "\n")
	for _, format := range []string{"deb", "rpm", "apk"} {
		if err := pack(info, format, *tree, *out); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
	}
	return nil
}

// pack makes one package.
func pack(info nfpm.Info, format, tree, out string) error {
	contents, err := contentsOf(tree, format, info.MTime)
	if err != nil {
		return err
	}
	info.Contents = contents
	if format == "apk" {
		info.Description, _, _ = strings.Cut(info.Description, "\n") // its list of properties has one line for each
	}
	prepared := nfpm.WithDefaults(&info)
	if err := nfpm.PrepareForPackager(prepared, format); err != nil {
		return err
	}
	p, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(out, p.ConventionalFileName(prepared)))
	if err != nil {
		return err
	}
	return errors.Join(p.Package(prepared, file), file.Close())
}

// contentsOf lists the files of a tree that a format has. What is in /etc is configuration, which an upgrade does not replace
// after the user has changed it.
func contentsOf(tree, format string, made time.Time) (files.Contents, error) {
	var list files.Contents
	err := filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		to := "/" + filepath.ToSlash(strings.TrimPrefix(path, tree+string(filepath.Separator)))
		c := &files.Content{Source: path, Destination: to, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: info.Mode().Perm(), MTime: made}}
		switch {
		case strings.HasPrefix(to, "/etc/init.d/") && format != "apk":
			return nil // systemd has its units
		case (strings.HasPrefix(to, "/usr/lib/systemd/") || strings.HasPrefix(to, "/usr/lib/sysusers.d/")) && format == "apk":
			return nil // OpenRC has its scripts
		case strings.HasPrefix(to, "/etc/default/"):
			c.Type = files.TypeConfigNoReplace
		case format == "deb":
			c.Destination = strings.Replace(to, "/usr/share/zsh/site-functions/", "/usr/share/zsh/vendor-completions/", 1)
		}
		list = append(list, c)
		return nil
	})
	return list, err
}
