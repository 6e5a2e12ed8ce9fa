package image

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/registry"
)

const hubCommit = "1111111111111111111111111111111111111111"

// hubServer is a stand-in for a Hugging Face Hub, which can't be run here: the answers of its API that davit reads,
// with two files a page, and large files on another host, as https://huggingface.co/docs/hub/api describes them.
type hubServer struct {
	*httptest.Server
	cdn    *httptest.Server
	files  map[string]string
	mu     sync.Mutex
	served map[string]int64 // bytes of content, by file
	leaked bool             // the token went to the other host
}

func newHub(t *testing.T, files map[string]string) *hubServer {
	h := &hubServer{files: files, served: map[string]int64{}}
	serve := func(w http.ResponseWriter, r *http.Request, name string) {
		counted := &counter{ResponseWriter: w}
		http.ServeContent(counted, r, "", time.Time{}, strings.NewReader(h.files[name]))
		h.mu.Lock()
		defer h.mu.Unlock()
		h.served[name] += counted.n
	}
	h.cdn = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.leaked = h.leaked || r.Header.Get("Authorization") != ""
		h.mu.Unlock()
		serve(w, r, strings.TrimPrefix(r.URL.Path, "/"))
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/org/iris/revision/{rev}", func(w http.ResponseWriter, r *http.Request) {
		if rev := r.PathValue("rev"); rev != "main" && rev != "v1.0" && rev != hubCommit {
			http.Error(w, `{"error":"Invalid rev id"}`, http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"id":"org/iris","sha":%q,"private":true}`, hubCommit)
	})
	mux.HandleFunc("GET /api/models/org/iris/tree/"+hubCommit, h.tree)
	mux.HandleFunc("GET /org/iris/resolve/"+hubCommit+"/{name...}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		switch _, ok := h.files[name]; {
		case !ok:
			http.Error(w, "Entry not found", http.StatusNotFound)
		case large(name):
			http.Redirect(w, r, h.cdn.URL+"/"+name, http.StatusFound)
		default:
			serve(w, r, name)
		}
	})
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hf_pl4nted" {
			http.Error(w, `{"error":"Repository not found"}`, http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(h.Close)
	t.Cleanup(h.cdn.Close)
	return h
}

func large(name string) bool { return strings.HasSuffix(name, ".safetensors") }

func (h *hubServer) tree(w http.ResponseWriter, r *http.Request) {
	type entry map[string]any
	all := []entry{{"type": "directory", "path": "onnx", "oid": "2"}}
	for _, name := range []string{"README.md", "config.json", "model.safetensors", "onnx/config.json"} {
		e := entry{"type": "file", "path": name, "oid": "3", "size": len(h.files[name])}
		if large(name) {
			e["lfs"] = entry{"oid": file(name, "", h.files[name]).SHA256, "size": len(h.files[name]), "pointerSize": 134}
		}
		all = append(all, e)
	}
	page := 0
	fmt.Sscan(r.URL.Query().Get("cursor"), &page)
	if 2*page+2 < len(all) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?recursive=true&cursor=%d>; rel="next"`, h.URL, r.URL.Path, page+1))
	}
	json.NewEncoder(w).Encode(all[2*page : min(2*page+2, len(all))])
}

type counter struct {
	http.ResponseWriter
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

func TestHuggingFace(t *testing.T) {
	weights := safetensors(`{"w":{"dtype":"F16","shape":[16000000],"data_offsets":[0,32000000]}}`, strings.Repeat("w", 32_000_000))
	hub := newHub(t, map[string]string{"README.md": "# iris", "config.json": "{}", "model.safetensors": weights, "onnx/config.json": "[]"})
	b := newBuilder(t, Config{HuggingFace: HuggingFace{Endpoint: hub.URL, Token: "hf_pl4nted"}})
	noDocs := func(p string) bool { return p != "README.md" }
	found, err := b.Discover(t.Context(), "hf://org/iris@v1.0", noDocs)
	if err != nil || len(found) != 3 {
		t.Fatalf("%+v, %v", found, err)
	}
	hub.mu.Lock()
	if n := hub.served["model.safetensors"]; n > 16<<20 { // what the kernel takes in advance is less
		t.Errorf("%d bytes of the weights were sent to learn what the hub tells", n)
	}
	hub.mu.Unlock()
	v := &registry.ModelVersion{Model: "iris", Name: "v1", Path: "models/iris/versions/v1.yaml"}
	for _, f := range found {
		if want := file(f.Path, "hf://org/iris@"+hubCommit+"/"+f.Path, hub.files[f.Path]); f.File != want {
			t.Errorf("found %+v, want %+v", f.File, want)
		}
		if large(f.Path) && f.Knowledge.Parameters != 16_000_000 {
			t.Errorf("known: %+v", f.Knowledge)
		}
		v.Spec.Files = append(v.Spec.Files, f.File)
	}
	repository := memoryRegistry(t) + "/iris"
	if res, err := b.Ensure(t.Context(), nil, repository, v, nil); err != nil || res.BytesRead != int64(len(weights)+4) {
		t.Errorf("%+v, %v", res, err)
	}
	if hub.leaked {
		t.Error("the token went to the host of the large files")
	}
	if found, err := b.Discover(t.Context(), "hf://org/iris/", noDocs); err == nil {
		t.Errorf("found %+v", found)
	}
	if found, err := b.Discover(t.Context(), "hf://org/iris@main/onnx", noDocs); err != nil || len(found) != 1 || found[0].Path != "onnx/config.json" {
		t.Errorf("a folder: %+v, %v", found, err)
	}

	// A Secret that was granted counts before the builder's own token.
	stranger := newBuilder(t, Config{HuggingFace: HuggingFace{Endpoint: hub.URL, Token: "hf_pl4nted-wrong"}})
	if _, err := stranger.Ensure(t.Context(), nil, repository+"2", v, nil); err == nil || !strings.Contains(err.Error(), "401 Unauthorized") || strings.Contains(err.Error(), "pl4nted") {
		t.Errorf("with the wrong token: %v", err)
	}
	if _, err := stranger.Ensure(t.Context(), nil, repository+"2", v, secretOf("hf://org/iris@", Secret{"token": "hf_pl4nted"})); err != nil {
		t.Errorf("with the granted token: %v", err)
	}
	// The builder's own token goes nowhere that a Secret names.
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s went to another endpoint", r.Header.Get("Authorization"))
		}
	}))
	t.Cleanup(strange.Close)
	b.Ensure(t.Context(), nil, repository+"3", v, secretOf("hf://org/iris@", Secret{"HF_ENDPOINT": strange.URL}))
	for source, want := range map[string]string{
		"hf://org/iris@main/config.json":                  "does not name a commit and a file",
		"hf://org/iris@" + hubCommit:                      "does not name a commit and a file",
		"hf://org/iris@" + hubCommit + "/none.json":       "404 Not Found; correct the address",
		"hf://org/../iris@" + hubCommit + "/x":            "is not of the form hf://",
		"hf://org/iris@" + hubCommit + "/x?token=pl4nted": "is not of the form hf://",
	} {
		bad := *v
		bad.Spec.Files = []registry.File{file("a", source, "a")}
		if _, err := b.Ensure(t.Context(), nil, repository, &bad, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pl4nted") {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
}
