// Package web holds the pages that agents and hubs serve to browsers. Everything is embedded, and the pages load nothing from
// other sites. The dashboard is built by web/bundle from web/app, and its files are in web/dist.
package web

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"html"
	"path"
	"regexp"
	"strings"
)

//go:embed dist
var dist embed.FS

//go:embed docs.html
var docs string

// File is a file that the pages load.
type File struct {
	// Path is where the pages look for it, relative to the dashboard: assets/app.js.
	Path        string
	ContentType string
	Body        []byte
	// Version changes with the body. The pages ask for Path?v=Version, whose answer may be kept forever.
	Version string
}

var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".txt":  "text/plain; charset=utf-8",
}

// Files returns all files except the pages themselves.
func Files() []File {
	entries, err := dist.ReadDir("dist")
	if err != nil { // it is embedded: a bug in the program
		panic(err)
	}
	var files []File
	for _, e := range entries {
		if contentType := contentTypes[path.Ext(e.Name())]; contentType != "" {
			body := read(e.Name())
			files = append(files, File{"assets/" + e.Name(), contentType, body, fmt.Sprintf("%x", sha256.Sum256(body))[:16]})
		}
	}
	return files
}

// Index returns the dashboard. First is the path of its first numbers, relative to it, which it asks for while it is loading.
func Index(first string) []byte {
	page := versioned(string(read("index.html")))
	return []byte(strings.Replace(page, `data-first=""`, `data-first="`+html.EscapeString(first)+`"`, 1))
}

// Docs returns the page that describes the API. Title is text, and main is HTML.
func Docs(title, main string) string {
	return strings.NewReplacer("{{title}}", html.EscapeString(title), "{{main}}", main).Replace(versioned(docs))
}

func read(name string) []byte {
	b, err := dist.ReadFile("dist/" + name)
	if err != nil {
		panic(err)
	}
	return b
}

var asset = regexp.MustCompile(`(?:href|src|content)="(?:\.\./)?(assets/[a-z.]+)`)

// versioned adds the versions of the files to the links of a page.
func versioned(page string) string {
	versions := map[string]string{}
	for _, f := range Files() {
		versions[f.Path] = f.Version
	}
	return asset.ReplaceAllStringFunc(page, func(link string) string {
		return link + "?v=" + versions[asset.FindStringSubmatch(link)[1]]
	})
}
