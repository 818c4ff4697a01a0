// Package web holds the pages that the agent serves to browsers. They are plain HTML, CSS and JavaScript, embedded
// unchanged, and load nothing from other sites.
package web

import _ "embed" // for the pages

// Index is the page that shows the window. It loads Script as /assets/page.js and Style as /assets/page.css.
var (
	//go:embed index.html
	Index []byte
	//go:embed page.js
	Script []byte
	//go:embed page.css
	Style []byte
)

// Docs is the html/template of the page that describes the API.
//
//go:embed docs.html
var Docs string
