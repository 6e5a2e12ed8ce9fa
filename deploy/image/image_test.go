package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/davit-dev/davit/deploy/devcluster"
)

const root = "../.."

// own is this machine's platform as an image has it: one that was not compiled for before takes minutes.
var own = "linux/" + runtime.GOARCH

// TestPushed builds davit's image, pushes it to a real OCI registry, and reads back what people and tools look for.
func TestPushed(t *testing.T) {
	cluster, err := devcluster.StartRegistry(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	to := cluster.Registry + "/tools/davit:v1.2.3"
	ref := build(t, "--to", to, "--version", "v1.2.3", "--commit", strings.Repeat("a", 40), "--platforms", own)
	tag, err := name.ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(tag, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	digest, _ := index.Digest()
	if want := cluster.Registry + "/tools/davit@" + digest.String(); ref != want {
		t.Errorf("it printed %s, want %s", ref, want)
	}
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("the index has %+v: %v", manifest, err)
	}
	one := manifest.Manifests[0]
	if one.Platform.String() != own || one.ArtifactType != "" {
		t.Errorf("the index names %+v, want an image for %s", one, own)
	}
	img, err := index.Image(one.Digest)
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, img)
	files := unpack(t, img)
	checkFiles(t, files)
	modules := checkSBOM(t, tag.Context().Digest(one.Digest.String()))
	for _, want := range []string{"stdlib", "k8s.io/client-go", "golang.org/x/crypto/x509roots/fallback"} {
		if !modules[want] {
			t.Errorf("the SBOM lacks %s", want)
		}
	}
	checkSBOM(t, tag.Context().Digest(digest.String()))
}

// elsewhere is a copy of the source in another folder, with a developer's settings from then on.
func elsewhere(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"cmd", "reconciler", "registry", "render", "gitops", "deploy"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join(root, part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", "-tags=developer")
	t.Setenv("GOAMD64", "v3")
	t.Setenv("TZ", "Asia/Tokyo")
	return dir
}

// TestSameDigest builds twice, the second time from a copy of the source in another folder and with a developer's settings.
func TestSameDigest(t *testing.T) {
	first := filepath.Join(t.TempDir(), "first")
	a := build(t, "--layout", first, "--version", "v1", "--platforms", own)
	b := build(t, "--source", elsewhere(t), "--layout", filepath.Join(t.TempDir(), "second"), "--version", "v1", "--platforms", own)
	if a != b {
		t.Errorf("built elsewhere it is %s, not %s", b, a)
	}
	path, err := layout.FromPath(first)
	if err != nil {
		t.Fatal(err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := index.IndexManifest(); err != nil || len(m.Manifests) != 3 || m.Manifests[0].Digest.String() != a || m.Manifests[1].ArtifactType != documentType {
		t.Errorf("the layout has %+v (%v), want the image and two SBOMs", m, err)
	}
}

// TestBinaries writes a release of one platform, and holds its checksums against its files, and against those of the same release made
// elsewhere.
func TestBinaries(t *testing.T) {
	dir := t.TempDir()
	build(t, "--binaries", dir, "--version", "v1", "--platforms", own)
	sums, err := os.ReadFile(filepath.Join(dir, "checksums.txt"))
	if err != nil {
		t.Fatal(err)
	}
	program := "davit-linux-" + runtime.GOARCH
	for _, file := range []string{program, program + ".spdx.json"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		digest, _, _ := v1.SHA256(bytes.NewReader(data))
		if line := fmt.Sprintf("%s  %s\n", digest.Hex, file); !strings.Contains(string(sums), line) {
			t.Errorf("checksums.txt lacks %q:\n%s", line, sums)
		}
	}
	if n := strings.Count(string(sums), "\n"); n != 2 {
		t.Errorf("checksums.txt has %d lines", n)
	}
	again := t.TempDir()
	build(t, "--source", elsewhere(t), "--binaries", again, "--version", "v1", "--platforms", own)
	if others, err := os.ReadFile(filepath.Join(again, "checksums.txt")); err != nil || string(others) != string(sums) {
		t.Errorf("made elsewhere it is\n%s, not\n%s%v", others, sums, err)
	}
}

func TestUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"nothing to make":     {},
		"unexpected argument": {"--to", "x/y:1", "now"},
		"run it by itself":    {"--to", "x/y:1", "--binaries", "out"},
		"linux/ARCHITECTURE":  {"--to", "x/y:1", "--platforms", "darwin/arm64"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	if _, err := (&made{}).push(t.Context(), "registry.example.com/davit"); err == nil || !strings.Contains(err.Error(), "REPOSITORY:TAG") {
		t.Errorf("a reference without a tag: %v", err)
	}
}

// build runs the command and returns what it printed.
func build(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(context.WithoutCancel(t.Context()), append([]string{"--source", root}, args...), &out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func checkConfig(t *testing.T, img v1.Image) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if c.User != "65532:65532" || strings.Join(c.Entrypoint, " ") != "/davit" || !config.Created.Equal(epoch) {
		t.Errorf("the config is %+v", config)
	}
	if c.Labels["org.opencontainers.image.version"] != "v1.2.3" || c.Labels["org.opencontainers.image.revision"] != strings.Repeat("a", 40) {
		t.Errorf("the labels are %v", c.Labels)
	}
	if m, err := img.Manifest(); err != nil || len(m.Layers) != 1 || m.Annotations["org.opencontainers.image.version"] != "v1.2.3" {
		t.Errorf("the manifest is %+v: %v", m, err)
	}
}

// unpack is the content of the image's files, by name; of what is no file nil.
func unpack(t *testing.T, img v1.Image) map[string][]byte {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 0 || h.Mode&0o022 != 0 && h.Name != "tmp/" {
			t.Errorf("%s has the time %s and the mode %o", h.Name, h.ModTime, h.Mode)
		}
		files[h.Name] = nil
		if h.Typeflag == tar.TypeReg {
			if files[h.Name], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkSBOM reads what a referrers' request finds, and returns the names of the document's packages.
func checkSBOM(t *testing.T, subject name.Digest) map[string]bool {
	t.Helper()
	index, err := remote.Referrers(subject, remote.WithFilter("artifactType", documentType))
	if err != nil {
		t.Fatal(err)
	}
	found, err := index.IndexManifest()
	if err != nil || len(found.Manifests) != 1 {
		t.Fatalf("%s has the referrers %+v: %v", subject, found, err)
	}
	img, err := remote.Image(subject.Context().Digest(found.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil || m.Subject == nil || m.Subject.Digest.String() != subject.DigestStr() {
		t.Fatalf("the SBOM's manifest is %+v: %v", m, err)
	}
	l, err := remote.Layer(subject.Context().Digest(m.Layers[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	content, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.NewDecoder(content).Decode(&d); err != nil || d.Version != "SPDX-2.3" {
		t.Fatalf("the SBOM is of version %q: %v", d.Version, err)
	}
	ids, names := map[string]bool{}, map[string]bool{}
	for _, p := range d.Packages {
		if ids[p.ID] || p.Version == "" || len(p.Refs) != 1 {
			t.Errorf("the SBOM has the package %+v", p)
		}
		if strings.HasPrefix(p.Name, "k8s.io/") && len(p.Checksums) != 1 {
			t.Errorf("%s has no checksum", p.Name)
		}
		ids[p.ID], names[p.Name] = true, true
	}
	return names
}
