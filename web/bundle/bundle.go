// Package bundle makes the files of web/dist from the sources of the dashboard in web/app and the pinned libraries in
// web/vendor. It is esbuild as a library, so that neither users nor developers need node. Only tests and `make web` use it:
// the programs embed web/dist, which is in the repository.
package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// libraries are the pinned libraries: how the sources name them, and where they are below web/vendor.
var libraries = map[string]string{
	"preact":               "preact/dist/preact.mjs",
	"preact/hooks":         "preact/hooks/dist/hooks.mjs",
	"@preact/signals":      "@preact/signals/dist/signals.mjs",
	"@preact/signals-core": "@preact/signals-core/dist/signals-core.mjs",
	"uplot":                "uplot/dist/uPlot.esm.js",
	"uplot.css":            "uplot/dist/uPlot.min.css",
}

// licences are the folders below web/vendor whose LICENSE goes into licenses.txt.
var licences = []string{"preact", "@preact/signals", "@preact/signals-core", "uplot", "world-atlas"}

// Files returns the files of web/dist by name. Dir is the folder web. Equal sources give equal files.
func Files(dir string) (map[string][]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	alias := map[string]string{}
	for name, path := range libraries {
		alias[name] = filepath.Join(dir, "vendor", path)
	}
	built := api.Build(api.BuildOptions{
		AbsWorkingDir: dir,
		EntryPointsAdvanced: []api.EntryPoint{
			{InputPath: "app/main.js", OutputPath: "app"},
			{InputPath: "app/docs.css", OutputPath: "docs"},
		},
		Outdir:            filepath.Join(dir, "dist"),
		Alias:             alias,
		Inject:            []string{"app/jsx.js"},
		Loader:            map[string]api.Loader{".js": api.LoaderJSX},
		JSXFactory:        "jsxElement", // not h, which sources use for a host
		JSXFragment:       "jsxFragment",
		Bundle:            true,
		Format:            api.FormatIIFE,
		Target:            api.ES2022,
		Charset:           api.CharsetUTF8,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		LegalComments:     api.LegalCommentsNone, // they are in licenses.txt
		Plugins:           []api.Plugin{withoutShapes},
	})
	if len(built.Errors) > 0 {
		return nil, errors.New(api.FormatMessages(built.Errors, api.FormatMessagesOptions{})[0])
	}
	files := map[string][]byte{}
	for _, f := range built.OutputFiles {
		files[filepath.Base(f.Path)] = f.Contents
	}
	if files["index.html"], err = os.ReadFile(filepath.Join(dir, "app", "index.html")); err != nil {
		return nil, err
	}
	if files["first.js"], err = small(filepath.Join(dir, "app", "first.js")); err != nil {
		return nil, err
	}
	if files["world.json"], err = worldMap(dir); err != nil {
		return nil, err
	}
	files["licenses.txt"], err = licenceTexts(dir)
	return files, err
}

// unused are lines of uPlot that keep code which the dashboard does not use: bars, curves, and the formats of dates. Without them,
// esbuild leaves that code out.
var unused = []string{"(paths.bars    = bars);", "(paths.spline  = monotoneCubic);", "uPlot.fmtDate = fmtDate;", "uPlot.tzDate  = tzDate;", "uPlot.addGap = addGap;", "uPlot.rangeAsinh = rangeAsinh;"}

// withoutShapes removes the unused lines of uPlot.
var withoutShapes = api.Plugin{Name: "unused", Setup: func(b api.PluginBuild) {
	b.OnLoad(api.OnLoadOptions{Filter: `uPlot\.esm\.js$`}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
		file, err := os.ReadFile(a.Path)
		if err != nil {
			return api.OnLoadResult{}, err
		}
		text := string(file)
		for _, line := range unused {
			if strings.Count(text, line) != 1 {
				return api.OnLoadResult{}, fmt.Errorf("%s is not there once: another version may need other lines", line)
			}
			text = strings.Replace(text, line, "", 1)
		}
		return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, nil
	})
}}

// small returns a script without imports, minified.
func small(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := api.Transform(string(text), api.TransformOptions{Target: api.ES2022, Charset: api.CharsetUTF8, MinifyWhitespace: true, MinifySyntax: true})
	if len(r.Errors) > 0 {
		return nil, errors.New(api.FormatMessages(r.Errors, api.FormatMessagesOptions{})[0])
	}
	return r.Code, nil
}

// licenceTexts returns the licences of the libraries, which must go with each copy.
func licenceTexts(dir string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("The dashboard contains these libraries.\n")
	for _, name := range licences {
		text, err := os.ReadFile(filepath.Join(dir, "vendor", name, "LICENSE"))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "\n== %s\n\n%s\n", name, bytes.TrimSpace(text))
	}
	b.WriteString("\n== The map of countries\n\nMade with Natural Earth (naturalearthdata.com), which is in the public domain. world-atlas has its data as TopoJSON.\n")
	return b.Bytes(), nil
}
