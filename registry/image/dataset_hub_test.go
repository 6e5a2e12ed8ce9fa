package image

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/davit-dev/davit/registry"
)

func dataAt(uri string) registry.Dataset { return registry.Dataset{Name: "data", URI: uri} }

// dataHub is a stand-in for a Hugging Face Hub, as hubServer is, with one dataset whose branches move.
type dataHub struct {
	branches map[string]string            // revision -> commit
	files    map[string]map[string]string // commit -> path -> content
}

func (h *dataHub) handler() http.HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/datasets/org/cats/revision/{rev}", func(w http.ResponseWriter, r *http.Request) {
		rev := r.PathValue("rev")
		if commit := h.branches[rev]; commit != "" {
			rev = commit
		}
		if h.files[rev] == nil {
			http.Error(w, `{"error":"Invalid rev id"}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"id":"org/cats","sha":%q}`, rev)
	})
	mux.HandleFunc("POST /api/datasets/org/cats/paths-info/{rev}", func(w http.ResponseWriter, r *http.Request) {
		found := []map[string]any{}
		for name, text := range h.files[r.PathValue("rev")] {
			if path := r.PostFormValue("paths"); name == path {
				e := map[string]any{"type": "file", "path": path, "oid": "3", "size": len(text)}
				if strings.HasSuffix(name, ".parquet") {
					e["lfs"] = map[string]any{"oid": sha(text), "size": len(text)}
				}
				found = append(found, e)
			} else if strings.HasPrefix(name, path+"/") {
				found = append(found, map[string]any{"type": "directory", "path": path, "oid": "2"})
			}
		}
		json.NewEncoder(w).Encode(found)
	})
	mux.HandleFunc("GET /datasets/org/cats/resolve/{rev}/{name...}", func(w http.ResponseWriter, r *http.Request) {
		text, ok := h.files[r.PathValue("rev")][r.PathValue("name")]
		if !ok {
			http.Error(w, "Entry not found", http.StatusNotFound)
			return
		}
		io.WriteString(w, text)
	})
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hf_pl4nted" {
			http.Error(w, `{"error":"Repository not found"}`, http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}
}

// TestDatasetHub resolves branches of a dataset on a hub to commits.
func TestDatasetHub(t *testing.T) {
	c1, c2 := strings.Repeat("1", 40), strings.Repeat("2", 40)
	hub := &dataHub{map[string]string{"main": c1, "refs/convert/parquet": c2}, map[string]map[string]string{
		c1: {"data/train.parquet": "one", "data/ü 1.csv": "a,b"}, c2: {"data/train.parquet": "two"},
	}}
	at, answer := webServer(t)
	answer(hub.handler())
	b := newBuilder(t, Config{HuggingFace: HuggingFace{Endpoint: at, Token: "hf_pl4nted"}})
	for uri, want := range map[string]registry.Dataset{
		"hf://datasets/org/cats":                                         {URI: "hf://datasets/org/cats@" + c1},
		"hf://datasets/org/cats@main":                                    {URI: "hf://datasets/org/cats@" + c1},
		"hf://datasets/org/cats@main/data":                               {URI: "hf://datasets/org/cats@" + c1 + "/data"},
		"hf://datasets/org/cats@main/data/ü 1.csv":                       {URI: "hf://datasets/org/cats@" + c1 + "/data/ü 1.csv"},
		"hf://datasets/org/cats/data/train.parquet":                      {URI: "hf://datasets/org/cats@" + c1 + "/data/train.parquet", SHA256: sha("one")},
		"hf://datasets/org/cats@refs/convert/parquet/data/train.parquet": {URI: "hf://datasets/org/cats@" + c2 + "/data/train.parquet", SHA256: sha("two")},
	} {
		want.Name = "data"
		if got := resolve(t, b, uri, nil); got != want {
			t.Errorf("%s: %+v, want %+v", uri, got, want)
		}
	}
	before := resolve(t, b, "hf://datasets/org/cats/data/train.parquet", nil)
	hub.branches["main"] = c2
	after := resolve(t, b, "hf://datasets/org/cats/data/train.parquet", nil)
	if one, two := contentAt(t, b, before.URI, nil), contentAt(t, b, after.URI, nil); one != "one" || two != "two" {
		t.Errorf("read %q at %s, %q at %s", one, before.URI, two, after.URI)
	}
	unresolved(t, b, "hf://datasets/org/cats@main/data/ü 1.csv", nil, true, "does not exist; correct the address")
	unresolved(t, b, "hf://datasets/org/cats@v9", nil, true, "does not exist", "HF_TOKEN")
	unresolved(t, b, "hf://datasets/org/cats@"+strings.Repeat("3", 40), nil, true, "does not exist")
	unresolved(t, b, "hf://datasets/org/dogs", nil, true, "does not exist")
	unresolved(t, b, "hf://datasets/org/cats@main/../dogs", nil, true, "is not of the form")
	unresolved(t, b, "hf://datasets/org/cats@..", nil, true, "is not of the form") // main, to a server that cleans paths
	unresolved(t, b, "hf://datasets/org/cats@", nil, true, "is not of the form")
	unresolved(t, b, "hf://datasets", nil, true, "does not exist") // a model of that name
	stranger := newBuilder(t, Config{HuggingFace: HuggingFace{Endpoint: at, Token: "hf_pl4nted-wrong"}})
	unresolved(t, stranger, "hf://datasets/org/cats", nil, false, "401", "HF_TOKEN")
	if got := resolve(t, stranger, "hf://datasets/org/cats", secretOf("hf://datasets/org/cats", Secret{"token": "hf_pl4nted"})); got.URI != "hf://datasets/org/cats@"+c2 {
		t.Errorf("%+v", got)
	}
	answer(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"sha": "main"}`) })
	unresolved(t, b, "hf://datasets/org/cats", nil, false, "names no commit")
}

// TestDatasetOCI resolves tags to digests.
func TestDatasetOCI(t *testing.T) {
	eachRegistry(t, func(t *testing.T, prefix string) {
		b := newBuilder(t, Config{})
		uri := "oci://" + prefix + "/cats:latest"
		const layer = "application/vnd.oci.image.layer.v1.tar"
		first := pushTar(t, prefix+"/cats:latest", layer, "train.csv=one")
		before := resolve(t, b, uri, nil)
		second := pushTar(t, prefix+"/cats:latest", layer, "train.csv=two")
		after := resolve(t, b, "oci://"+prefix+"/cats", nil)
		if before.URI != "oci://"+prefix+"/cats@"+first.String() || after.URI != "oci://"+prefix+"/cats@"+second.String() || before.SHA256+after.SHA256 != "" {
			t.Errorf("%+v, then %+v", before, after)
		}
		if one, two := contentAt(t, b, before.URI+"/train.csv", nil), contentAt(t, b, after.URI+"/train.csv", nil); one != "one" || two != "two" {
			t.Errorf("read %q and %q", one, two)
		}
		unresolved(t, b, "oci://"+prefix+"/cats:none", nil, true, "does not exist")
		unresolved(t, b, "oci://"+prefix+"/cats@sha256:"+strings.Repeat("0", 64), nil, true, "does not exist")
		unresolved(t, b, "oci://"+prefix+"/cats:a?b", nil, true, "is not of the form")
		unresolved(t, b, uri, secretOf("oci://elsewhere", nil), false, "is not below")
	})
}

// TestDatasetOCICredentials: those granted count, and no others.
func TestDatasetOCICredentials(t *testing.T) {
	inner := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	at, answer := webServer(t)
	answer(inner.ServeHTTP)
	host := strings.TrimPrefix(at, "http://")
	digest := pushTar(t, host+"/cats:v1", "application/vnd.oci.image.layer.v1.tar", "train.csv=one")
	answer(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user+":"+password != "ada:pl4nted-source" {
			w.Header().Set("WWW-Authenticate", `Basic realm="cats"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
	b := newBuilder(t, Config{})
	unresolved(t, b, "oci://"+host+"/cats:v1", nil, false, "401 Unauthorized; it takes credentials")
	if got := resolve(t, b, "oci://"+host+"/cats:v1", secretOf("oci://"+host+"/cats", Secret{"username": "ada", "password": "pl4nted-source"})); got.URI != "oci://"+host+"/cats@"+digest.String() {
		t.Errorf("%+v", got)
	}
}

// TestDatasetPath: a file of the registry is as its commit has it.
func TestDatasetPath(t *testing.T) {
	b := newBuilder(t, Config{})
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + sha("large") + "\nsize 5\n"
	fsys := fstest.MapFS{"data/train.csv": {Data: []byte(strings.Repeat("row\n", 1000))}, "data/large.bin": {Data: []byte(pointer)}, "data/empty": {}}
	for path, want := range map[string]string{"data/train.csv": sha(strings.Repeat("row\n", 1000)), "data/large.bin": sha("large")} {
		got, err := b.ResolveDatasetIn(t.Context(), fsys, dataAt(path), nil)
		if err != nil || got != (registry.Dataset{Name: "data", URI: path, SHA256: want}) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for path, want := range map[string]string{"data/none": "does not exist in the repository", "data/empty": "is empty", "data": "is not a file", "../data": "is not a path"} {
		if got, err := b.ResolveDatasetIn(t.Context(), fsys, dataAt(path), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}
