// Package web holds the pages that the agent serves to browsers: plain HTML, CSS and JavaScript,
// embedded as they are. They load nothing from elsewhere.
package web

import _ "embed" // for the pages

// Index is the page that shows the window, with its Script and Style at /assets/page.js and
// /assets/page.css.
var (
	//go:embed index.html
	Index []byte
	//go:embed page.js
	Script []byte
	//go:embed page.css
	Style []byte
)

// Docs is the html/template of the page that shows the API.
//
//go:embed docs.html
var Docs string
