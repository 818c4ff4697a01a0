package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// imagePlatform is a system of the container image, and where its programs are.
type imagePlatform struct {
	platform
	bin string
}

// Media types of the OCI image specification 1.1.
const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor refers to a blob of an image.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *imageSystem      `json:"platform,omitempty"`
}

type imageSystem struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
}

// blobs are the files of an image, by their path in its archive.
type blobs []entry

// add stores a blob and returns what refers to it. A blob that is stored already is not stored again.
func (b *blobs) add(mediaType string, body []byte) descriptor {
	sum := fmt.Sprintf("%x", sha256.Sum256(body))
	path := "blobs/sha256/" + sum
	if !slices.ContainsFunc(*b, func(e entry) bool { return e.path == path }) {
		*b = append(*b, entry{path, 0o644, body})
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + sum, Size: len(body)}
}

func (b *blobs) addJSON(mediaType string, v any) descriptor { return b.add(mediaType, encode(v)) }

func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // our own structs
		panic(err)
	}
	return body
}

// passwd and group have the users that the programs know by name. The agent drops from root to nobody.
const (
	passwd = "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\npktvisor:x:10853:10853:pktvisor:/var/lib/pktvisor:/sbin/nologin\n"
	group  = "root:x:0:\nnogroup:x:65534:\npktvisor:x:10853:\n"
)

// layer returns the only layer: the programs in the PATH, users, and directories that programs write to. There is no shell.
func (p imagePlatform) layer() ([]entry, error) {
	list := []entry{
		{"etc/", 0o755, nil}, {"etc/group", 0o644, []byte(group)}, {"etc/passwd", 0o644, []byte(passwd)},
		{"tmp/", 0o1777, nil}, {"usr/", 0o755, nil}, {"usr/local/", 0o755, nil}, {"usr/local/bin/", 0o755, nil},
	}
	for _, program := range p.programs {
		body, err := os.ReadFile(filepath.Join(p.bin, program))
		if err != nil {
			return nil, err
		}
		list = append(list, entry{"usr/local/bin/" + program, 0o755, body})
	}
	// Any user may write, because the programs may run as any.
	return append(list, entry{"var/", 0o755, nil}, entry{"var/lib/", 0o755, nil}, entry{"var/lib/pktvisor/", 0o1777, nil},
		entry{"var/lib/pktvisor-hub/", 0o1777, nil}, entry{"var/tmp/", 0o1777, nil}), nil
}

// imageConfig is the part of an image's configuration that is not empty. There is no entry point, so that the first argument
// names the program, as in the original's image: docker run --net=host IMAGE pktvisord any.
type imageConfig struct {
	Created      string         `json:"created"`
	Architecture string         `json:"architecture"`
	OS           string         `json:"os"`
	Config       runConfig      `json:"config"`
	RootFS       rootFS         `json:"rootfs"`
	History      []imageHistory `json:"history"`
}

type runConfig struct {
	Env        []string
	Cmd        []string
	WorkingDir string
	Labels     map[string]string
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type imageHistory struct {
	Created   string `json:"created"`
	CreatedBy string `json:"created_by"`
}

// dockerImage is an entry of manifest.json, which docker load reads.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// image writes an OCI image layout as one tar file. It holds an index of all systems for registries, and the same images for
// older versions of docker load, which know no index, by a tag for each system.
func (r *release) image(list []imagePlatform) error {
	var b blobs
	var manifests []descriptor
	var loadable []dockerImage
	labels := map[string]string{
		"org.opencontainers.image.title": "pktvisor", "org.opencontainers.image.version": r.version, "org.opencontainers.image.revision": r.commit,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	created := r.made.Format("2006-01-02T15:04:05Z")
	blobPath := func(d descriptor) string { return "blobs/sha256/" + strings.TrimPrefix(d.Digest, "sha256:") }
	for _, p := range list {
		files, err := p.layer()
		if err != nil {
			return err
		}
		var plain, packed bytes.Buffer
		if err := writeTar(&plain, files, r.made); err != nil {
			return err
		}
		if err := writeTarGz(&packed, files, r.made); err != nil {
			return err
		}
		layer := b.add(mediaLayer, packed.Bytes())
		config := b.addJSON(mediaConfig, imageConfig{
			Created: created, Architecture: p.arch, OS: p.os,
			Config: runConfig{Env: []string{"PATH=/usr/local/bin"}, Cmd: []string{"pktvisord", "--help"}, WorkingDir: "/", Labels: labels},
			RootFS: rootFS{"layers", []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain.Bytes()))}}, History: []imageHistory{{created, "packaging/release"}},
		})
		manifest := b.addJSON(mediaManifest, map[string]any{"schemaVersion": 2, "mediaType": mediaManifest, "config": config, "layers": []descriptor{layer}})
		manifest.Platform = &imageSystem{p.os, p.arch}
		manifests = append(manifests, manifest)
		loadable = append(loadable, dockerImage{blobPath(config), []string{"pktvisor:" + r.version + "-" + p.arch}, []string{blobPath(layer)}})
	}
	index := b.addJSON(mediaIndex, map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": manifests, "annotations": labels})
	// The names under which Podman, and Docker with containerd's store, load it.
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": "pktvisor:" + r.version, "io.containerd.image.name": "docker.io/library/pktvisor:" + r.version}
	files := append([]entry(b),
		entry{"index.json", 0o644, encode(map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []descriptor{index}})},
		entry{"manifest.json", 0o644, encode(loadable)},
		entry{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)})
	slices.SortFunc(files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	return writeFile(filepath.Join(r.out, "pktvisor_"+r.version+"_image.tar"), func(w io.Writer) error { return writeTar(w, files, r.made) })
}
