package reconciler_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// forge makes a private repository on a real forge and returns its URL with credentials.
func forge(t *testing.T, address, name string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "private": true, "default_branch": "main"})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/api/v1/user/repos", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(devcluster.ForgeUser, devcluster.ForgePassword)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("making repository %s: %s", name, resp.Status)
	}
	return strings.Replace(address, "://", "://"+devcluster.ForgeUser+":"+devcluster.ForgePassword+"@", 1) + "/" + devcluster.ForgeUser + "/" + name + ".git"
}

// TestLFS builds models whose weights the real git-lfs has put on a real forge: from a mirror, from a clone without the
// content, and from one that has it.
func TestLFS(t *testing.T) {
	if _, err := exec.LookPath("git-lfs"); err != nil {
		t.Skip("git-lfs is not installed; make deps installs it")
	}
	dev2, err := devcluster.Start(t.Context(), devcluster.Config{NoControlPlane: true, Forge: true, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev2.Stop(); err != nil {
			t.Error(err)
		}
	})
	url := forge(t, dev2.Forge, "models")
	w := &world{t: t, dir: t.TempDir()}
	if err := os.CopyFS(w.dir, os.DirFS("../examples/iris/registry")); err != nil {
		t.Fatal(err)
	}
	w.git("init", "-q", "-b", "main")
	w.git("lfs", "install", "--local")
	w.git("lfs", "track", "*.safetensors")
	w.git("remote", "add", "origin", url)
	w.commit("iris")
	w.git("push", "-q", "origin", "main")
	size := int64(396) // of each of its files

	build := func(t *testing.T, source *gitops.Source, repository string) (image.Result, error) {
		t.Helper()
		tip, err := source.Tip(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := source.Snapshot(t.Context(), tip)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := snapshot.ReadFile("models/iris/files/v2/model.safetensors"); err != nil || !bytes.HasPrefix(data, []byte("version https://git-lfs")) {
			t.Fatalf("not a pointer: %s, %v", data, err)
		}
		models, err := registry.Load(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		images, err := image.New(image.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return images.Ensure(t.Context(), snapshot, dev.Registry+"/"+repository+"/iris", models.Models["iris"].Versions["v2"], nil)
	}
	open := func(cfg gitops.Config) *gitops.Source {
		t.Helper()
		source, err := gitops.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { source.Close() })
		return source
	}
	mirror := open(gitops.Config{URL: url, Mirror: filepath.Join(t.TempDir(), "mirror")})
	if res, err := build(t, mirror, "lfs-mirror"); err != nil || res.BytesRead != size {
		t.Errorf("from the mirror: %+v, %v", res, err)
	}

	clone := filepath.Join(t.TempDir(), "clone")
	t.Setenv("GIT_LFS_SKIP_SMUDGE", "1")
	w.git("clone", "-q", url, clone)
	local := open(gitops.Config{URL: clone})
	if res, err := build(t, local, "lfs-clone"); err != nil || res.BytesRead != size {
		t.Errorf("from a clone without content: %+v, %v", res, err)
	}

	c := &world{t: t, dir: clone}
	c.git("remote", "set-url", "origin", strings.Replace(url, devcluster.ForgePassword, "wrong", 1))
	_, err = build(t, local, "lfs-stranger")
	if _, ofContent := errors.AsType[*image.ContentError](err); err == nil || ofContent || strings.Contains(err.Error(), "wrong@") {
		t.Errorf("without credentials: %v", err)
	}
	c.git("remote", "set-url", "origin", url)
	c.git("lfs", "pull")
	if err := dev2.Stop(); err != nil {
		t.Fatal(err)
	}
	if res, err := build(t, local, "lfs-here"); err != nil || res.BytesRead != size {
		t.Errorf("with the content here and the forge gone: %+v, %v", res, err)
	}

	// A pointer that is not to what the version says is the commit's fault.
	name := filepath.Join(clone, "models/iris/versions/v2.yaml")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(data, []byte("size: 396"), []byte("size: 397"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	c.git("config", "filter.lfs.process", "") // git add would run it again
	c.commit("another size")
	_, err = build(t, local, "lfs-wrong")
	if _, ofContent := errors.AsType[*image.ContentError](err); !ofContent || !strings.Contains(err.Error(), "is a Git LFS pointer to 396 bytes") {
		t.Errorf("another size: %v", err)
	}
}
