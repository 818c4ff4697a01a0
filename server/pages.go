package server

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"pktvisor/docs"
	"pktvisor/web"
)

// file returns the handler of a file of the pages. Under its version, it never changes.
func (s *Server) file(f web.File) http.HandlerFunc {
	p := newStatic(f.ContentType, f.Body)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("v") == f.Version {
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		}
		s.send(w, r, p)
	}
}

// firstNumbers returns what the dashboard asks for first: the summary of the last hour, as far as an agent has it.
func firstNumbers(cfg *Config) string {
	if cfg.Window == nil {
		return "api/v1/metrics/range?from=-3600s&to=now&rows=1"
	}
	return fmt.Sprintf("api/v1/metrics/window/%d?rows=1", min(cfg.Window.Periods(), 60))
}

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
	t, err := template.New("docs").Parse(web.Docs())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, api); err != nil {
		return nil, err
	}
	return newStatic("text/html; charset=utf-8", b.Bytes()), nil
})

// apiDoc is the part of an OpenAPI document that the page shows.
type apiDoc struct {
	Title, Description string
	Routes             []apiRoute
	Schemas            []apiSchema
}

type apiRoute struct {
	Path, Summary, Description string
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
		op := item.at("get")
		r := apiRoute{Path: path, Link: path, Summary: op.text("summary"), Description: op.text("description")}
		for _, p := range op.at("parameters").items() {
			p = p.resolve(top)
			f := field(p.text("name"), p.at("schema"))
			f.Description = p.text("description")
			r.Params = append(r.Params, f)
			r.Link = strings.ReplaceAll(r.Link, "{"+f.Name+"}", p.text("example"))
		}
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
		api.Routes = append(api.Routes, r)
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
