package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// bom is a CycloneDX 1.6 document, as far as it is used.
type bom struct {
	Format       string         `json:"bomFormat"`
	SpecVersion  string         `json:"specVersion"`
	Serial       string         `json:"serialNumber"`
	Version      int            `json:"version"`
	Metadata     bomMetadata    `json:"metadata"`
	Components   []bomComponent `json:"components"`
	Dependencies []bomEdge      `json:"dependencies"`
}

type bomMetadata struct {
	Timestamp string       `json:"timestamp"`
	Component bomComponent `json:"component"`
}

type bomComponent struct {
	Type       string        `json:"type"`
	Ref        string        `json:"bom-ref"`
	Name       string        `json:"name"`
	Version    string        `json:"version"`
	PURL       string        `json:"purl,omitempty"`
	Properties []bomProperty `json:"properties,omitempty"`
}

type bomProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type bomEdge struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// writeSBOM writes what the programs for a system are made of: the modules that Go has recorded in them, and the standard library.
func (r *release) writeSBOM(p platform, bin string) error {
	doc := bom{Format: "CycloneDX", SpecVersion: "1.6", Version: 1}
	root := bomComponent{Type: "application", Ref: "pktvisor@" + r.version, Name: "pktvisor", Version: r.version,
		Properties: []bomProperty{{"pktvisor:commit", r.commit}, {"pktvisor:platform", p.String()}}}
	doc.Metadata = bomMetadata{r.made.Format("2006-01-02T15:04:05Z"), root}
	modules := map[string]bomComponent{}
	edges := []bomEdge{}
	for _, program := range p.programs {
		info, err := buildinfo.ReadFile(filepath.Join(bin, p.file(program)))
		if err != nil {
			return err
		}
		std := strings.TrimPrefix(info.GoVersion, "go")
		list := []bomComponent{{Type: "library", Name: "std", Version: std, PURL: "pkg:golang/std@" + std}}
		for _, m := range info.Deps {
			for m.Replace != nil {
				m = m.Replace
			}
			list = append(list, bomComponent{Type: "library", Name: m.Path, Version: m.Version, PURL: "pkg:golang/" + m.Path + "@" + m.Version,
				Properties: []bomProperty{{"go:sum", m.Sum}}})
		}
		edge := bomEdge{Ref: program}
		for _, c := range list {
			c.Ref = c.PURL
			modules[c.Ref] = c
			edge.DependsOn = append(edge.DependsOn, c.Ref)
		}
		slices.Sort(edge.DependsOn)
		edges = append(edges, edge)
		modules[program] = bomComponent{Type: "application", Ref: program, Name: program, Version: r.version}
	}
	edges = append(edges, bomEdge{root.Ref, p.programs})
	doc.Dependencies = edges
	for _, ref := range slices.Sorted(maps.Keys(modules)) {
		doc.Components = append(doc.Components, modules[ref])
	}
	// A document needs a number of its own. It is made from what the document says.
	sum := sha256.Sum256(encode(doc))
	doc.Serial = uuid(sum)
	return writeFile(filepath.Join(r.out, r.name(p)+".cdx.json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		e.SetEscapeHTML(false)
		return e.Encode(doc)
	})
}

// uuid returns a name of version 8 (RFC 9562) from a hash.
func uuid(sum [32]byte) string {
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
