package server

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"pktvisor/docs"
	"pktvisor/web"
)

// docs answers with the page that describes the API.
func (s *Server) docs(w http.ResponseWriter, r *http.Request) {
	p, err := docsPage()
	if err != nil { // our own document: a bug in the program
		fail(w, http.StatusInternalServerError, "the description of the API cannot be shown: %v", err)
		return
	}
	s.send(w, r, p)
}

var docsPage = sync.OnceValues(func() (*page, error) {
	api, err := readAPI(docs.OpenAPI)
	if err != nil {
		return nil, err
	}
	return newStatic("text/html; charset=utf-8", []byte(web.Docs(api.Title, api.html()))), nil
})

// The page is written without html/template. That package calls methods by name, so the linker would keep every
// method of every type, and the agent would be half as large again.

// html returns the page's main part.
func (d *apiDoc) html() string {
	var b htmlWriter
	b.printf("<p class=\"prose\">%s</p>\n<h2>Routes</h2>\n", d.Description)
	for _, r := range d.Routes {
		r.html(&b)
	}
	b.printf("<h2>Schemas</h2>\n")
	for _, s := range d.Schemas {
		s.html(&b)
	}
	return b.String()
}

func (r *apiRoute) html(b *htmlWriter) {
	b.printf("<section class=\"route\">\n<h3><span class=\"method\">%s</span> ", r.Method)
	if r.Method == http.MethodGet {
		b.printf("<a href=\"..%s\">%s</a></h3>\n", r.Link, r.Path)
	} else { // following a link is a GET
		b.printf("<a>%s</a></h3>\n", r.Path)
	}
	b.printf("<p><strong>%s</strong></p>\n", r.Summary)
	b.some("<p class=\"prose\">%s</p>\n", r.Description)
	b.printf("<table>\n<thead><tr><th>parameter or status</th><th>type</th><th>description</th></tr></thead>\n<tbody>\n")
	for _, p := range r.Params {
		b.printf("<tr><td><code>%s</code></td><td>%s <small>%s</small></td><td>%s</td></tr>\n", p.Name, p.Type, p.Bounds, p.Description)
	}
	for _, a := range r.Responses {
		b.printf("<tr><td><code>%s</code></td><td>", a.Status)
		b.some("<a href=\"#%[1]s\">%[1]s</a> ", a.Schema)
		b.printf("<small>%s</small></td><td>%s</td></tr>\n", a.Type, a.Description)
	}
	b.printf("</tbody>\n</table>\n</section>\n")
}

func (s *apiSchema) html(b *htmlWriter) {
	b.printf("<section class=\"schema\" id=\"%[1]s\">\n<h3>%[1]s</h3>\n", s.Name)
	b.some("<p class=\"prose\">%s</p>\n", s.Description)
	if len(s.Fields) > 0 {
		b.printf("<table>\n<thead><tr><th>field</th><th>type</th><th>unit</th><th>description</th></tr></thead>\n<tbody>\n")
		for _, f := range s.Fields {
			b.printf("<tr><td><code>%s</code></td><td>%s", f.Name, f.Type)
			b.some(" <a href=\"#%[1]s\">%[1]s</a>", f.Ref)
			b.printf(" <small>%s</small></td><td>%s</td><td>%s</td></tr>\n", f.Bounds, f.Unit, f.Description)
		}
		b.printf("</tbody>\n</table>\n")
	}
	b.printf("</section>\n")
}

// htmlWriter builds HTML from formats and from text, which it escapes.
type htmlWriter struct{ strings.Builder }

// printf appends a format with text in its places.
func (b *htmlWriter) printf(format string, text ...string) {
	escaped := make([]any, len(text))
	for i, t := range text {
		escaped[i] = html.EscapeString(t)
	}
	fmt.Fprintf(b, format, escaped...)
}

// some appends a format with a text, unless the text is empty.
func (b *htmlWriter) some(format, text string) {
	if text != "" {
		b.printf(format, text)
	}
}

// apiDoc is the part of an OpenAPI document that the page shows.
type apiDoc struct {
	Title, Description string
	Routes             []apiRoute
	Schemas            []apiSchema
}

type apiRoute struct {
	Method, Path, Summary, Description string
	// Link is the route with its examples filled in.
	Link      string
	Params    []apiField
	Responses []apiResponse
}

// apiResponse is an answer of one media type, or one without a body.
type apiResponse struct{ Status, Description, Type, Schema string }

type apiSchema struct {
	Name, Description string
	Fields            []apiField
}

// apiField is a parameter or a field of a schema. Ref names the schema of its value.
type apiField struct{ Name, Type, Ref, Unit, Bounds, Description string }

// readAPI reads the parts of an OpenAPI document that the page shows, in the document's order.
func readAPI(doc []byte) (*apiDoc, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return nil, err
	}
	if len(root.Content) == 0 {
		return nil, fmt.Errorf("the document is empty")
	}
	top := node{root.Content[0]}
	api := &apiDoc{Title: top.at("info").text("title"), Description: top.at("info").text("description")}
	top.at("paths").each(func(path string, item node) {
		item.each(func(method string, op node) {
			api.Routes = append(api.Routes, readRoute(top, strings.ToUpper(method), path, op))
		})
	})
	top.at("components").at("schemas").each(func(name string, s node) {
		out := apiSchema{Name: name, Description: s.text("description")}
		if s.at("properties").Node == nil && s.at("additionalProperties").Node == nil {
			out.Fields = append(out.Fields, field("", s))
		}
		fields(&out.Fields, "", s)
		api.Schemas = append(api.Schemas, out)
	})
	return api, nil
}

// readRoute reads a route with one method.
func readRoute(top node, method, path string, op node) apiRoute {
	r := apiRoute{Method: method, Path: path, Link: path, Summary: op.text("summary"), Description: op.text("description")}
	for _, p := range op.at("parameters").items() {
		p = p.resolve(top)
		f := field(p.text("name"), p.at("schema"))
		f.Description = p.text("description")
		r.Params = append(r.Params, f)
		r.Link = strings.ReplaceAll(r.Link, "{"+f.Name+"}", p.text("example"))
	}
	op.at("requestBody").at("content").each(func(mediaType string, _ node) {
		r.Params = append(r.Params, apiField{Name: "body", Type: mediaType, Description: op.at("requestBody").text("description")})
	})
	op.at("responses").each(func(status string, v node) {
		v = v.resolve(top)
		before := len(r.Responses)
		v.at("content").each(func(mediaType string, c node) {
			r.Responses = append(r.Responses, apiResponse{status, v.text("description"), mediaType, c.at("schema").ref()})
		})
		if len(r.Responses) == before {
			r.Responses = append(r.Responses, apiResponse{Status: status, Description: v.text("description")})
		}
	})
	return r
}

// fields appends the fields of an object. Fields of nested objects get dotted names. A field whose name the document
// does not fix is called any.
func fields(dst *[]apiField, prefix string, s node) {
	s.at("properties").each(func(name string, v node) {
		*dst = append(*dst, field(prefix+name, v))
		fields(dst, prefix+name+".", v)
	})
	if v := s.at("additionalProperties"); v.Node != nil && v.Kind == yaml.MappingNode {
		*dst = append(*dst, field(prefix+"any", v))
	}
}

func field(name string, v node) apiField {
	f := apiField{Name: name, Type: v.text("type"), Ref: v.ref(), Unit: v.text("x-unit"), Description: v.text("description")}
	if f.Type == "array" {
		f.Ref = v.at("items").ref()
	}
	var bounds []string
	for _, b := range []struct{ key, sign string }{
		{"minimum", "≥ "}, {"maximum", "≤ "}, {"maxItems", "items ≤ "}, {"maxLength", "length ≤ "}, {"const", "= "},
	} {
		if t := v.text(b.key); t != "" {
			bounds = append(bounds, b.sign+t)
		}
	}
	for _, e := range v.at("enum").items() {
		bounds = append(bounds, e.Value)
	}
	f.Bounds = strings.Join(bounds, ", ")
	return f
}

// node reads YAML that may be missing. Every member of a missing node is missing.
type node struct{ *yaml.Node }

// each calls f for each member of a mapping.
func (n node) each(f func(key string, value node)) {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i].Value, node{n.Content[i+1]})
	}
}

func (n node) at(key string) (found node) {
	n.each(func(k string, v node) {
		if k == key {
			found = v
		}
	})
	return found
}

func (n node) items() (all []node) {
	if n.Node != nil && n.Kind == yaml.SequenceNode {
		for _, c := range n.Content {
			all = append(all, node{c})
		}
	}
	return all
}

// text returns a scalar member, or "" if there is none.
func (n node) text(key string) string {
	if v := n.at(key); v.Node != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// ref returns the last part of a $ref.
func (n node) ref() string {
	r := n.text("$ref")
	return r[strings.LastIndexByte(r, '/')+1:]
}

// resolve follows a $ref into the document.
func (n node) resolve(top node) node {
	path, ok := strings.CutPrefix(n.text("$ref"), "#/")
	if !ok {
		return n
	}
	for part := range strings.SplitSeq(path, "/") {
		top = top.at(part)
	}
	return top
}
