package chaos_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// crashModel is what has to be true of the cluster, of Git and of the OCI registry once the controller has come to rest.
type crashModel struct {
	releases map[string]*crashRelease // by environment/name
	notes    map[string][]string      // by commit: "release version outcome"
	versions map[string]string        // sha256 of their weights
	runs     []string                 // hashes
	broken   map[string]int           // how often a release was asked for v3, whose pods crash
	named    int                      // of releases, versions and trainings

	pending map[string]string // of the commit to come: the outcomes, by release
}

type crashRelease struct {
	asked, serves string // versions; others than each other where asked is held
	extra         bool   // it has a ConfigMap beside what its runtime has
}

func (r *crashRelease) held() bool { return r.asked != r.serves }

// begin says what the repository's first commit is.
func (w *crashWorld) begin() {
	w.model = &crashModel{
		releases: map[string]*crashRelease{"staging/iris": {asked: "v1", serves: "v1"}, "production/iris": {asked: "v1", serves: "v1"}},
		notes:    map[string][]string{}, versions: map[string]string{}, broken: map[string]int{}, pending: map[string]string{},
	}
	for _, v := range []string{"v1", "v2", "v3"} {
		w.model.versions[v] = sum([]byte(w.text("models/iris/files/" + v + "/model.safetensors")))
	}
	w.model.notes[w.run("git", "rev-parse", "HEAD")] = []string{"production/iris v1 Healthy", "staging/iris v1 Healthy"}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// commits the changes that were made since the last one.
func (m *crashModel) commits(commit string) {
	for release, outcomes := range m.pending {
		for _, o := range strings.Split(outcomes, ", ") {
			m.notes[commit] = append(m.notes[commit], release+" "+o)
		}
	}
	slices.Sort(m.notes[commit])
	clear(m.pending)
}

func (m *crashModel) next(prefix string) string {
	m.named++
	return prefix + strconv.Itoa(m.named)
}

// add adds a release in production.
func (w *crashWorld) add(version string) (key string) { return w.addAs(w.model.next("r"), version) }

func (w *crashWorld) addAs(name, version string) (key string) {
	w.write("releases/"+name+"/serving.yaml", w.text("releases/iris/serving.yaml"))
	w.write("releases/"+name+"/production.yaml", "apiVersion: davit.dev/v1alpha1\nkind: Release\nspec:\n  version: "+version+"\n")
	key = "production/" + name
	w.model.releases[key] = &crashRelease{asked: version, serves: version}
	w.model.pending[key] = version + " Healthy"
	return key
}

// promote has a release at a version. At v3 it fails and goes back.
func (w *crashWorld) promote(key, version string) {
	env, name, _ := strings.Cut(key, "/")
	r := w.model.releases[key]
	w.edit("releases/"+name+"/"+env+".yaml", "version: "+r.asked+"\n", "version: "+version+"\n")
	if r.asked = version; version == "v3" {
		w.model.broken[key]++
		w.model.pending[key] = "v3 Failed, v3 RolledBack"
		return
	}
	r.serves = version
	w.model.pending[key] = version + " Healthy"
}

func (w *crashWorld) remove(key string) {
	_, name, _ := strings.Cut(key, "/")
	if err := os.RemoveAll(filepath.Join(w.dir, "releases", name)); err != nil {
		w.t.Fatal(err)
	}
	w.model.pending[key] = w.model.releases[key].serves + " Removed"
	delete(w.model.releases, key)
}

// readd takes the removal of a release back, before anybody heard of it: so nothing was removed.
func (w *crashWorld) readd(key string) {
	_, name, _ := strings.Cut(key, "/")
	for commit, lines := range w.model.notes {
		w.model.notes[commit] = slices.DeleteFunc(lines, func(l string) bool { return l == key+" v1 Removed" })
	}
	w.addAs(name, "v1")
}

// version makes a model version that has to be built, with so many bytes of weights.
func (w *crashWorld) version(size int) string {
	name := w.model.next("v1000")
	header := fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, size, size)
	weights := append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header...)
	for range size {
		weights = append(weights, byte(rand.Uint32()))
	}
	file := "models/iris/files/" + name + "/model.safetensors"
	w.write(file, string(weights))
	w.model.versions[name] = sum(weights)
	w.write("models/iris/versions/"+name+".yaml", fmt.Sprintf("apiVersion: davit.dev/v1alpha1\nkind: ModelVersion\nspec:\n  format: safetensors\n  files:\n"+
		"    - {path: model.safetensors, source: %s, sha256: %s, size: %d}\n", file, sum(weights), len(weights)))
	return name
}

// train asks for a run, and leaves in the OCI registry what its pods would: simulated ones run nothing.
func (w *crashWorld) train() {
	name := w.model.next("t")
	w.write("models/iris/training/"+name+".yaml", "apiVersion: davit.dev/v1alpha1\nkind: Training\nspec:\n  environment: staging\n"+
		"  image: registry.example.com/train@sha256:"+strings.Repeat("2", 64)+"\n  hyperparameters: {epochs: 7}\n")
	training := w.registry().Trainings["iris/"+name]
	hash, err := training.RunHash(os.DirFS(w.dir))
	if err != nil {
		w.t.Fatal(err)
	}
	out := w.t.TempDir()
	for file, data := range map[string]string{"model.safetensors": w.text("models/iris/files/v2/model.safetensors"), "metrics.json": `{"accuracy": 0.97}`} {
		if err := os.WriteFile(filepath.Join(out, file), []byte(data), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	images, err := image.New(image.Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = images.PublishRun(w.t.Context(), registry.RunSpec{
		Repository: strings.TrimPrefix(w.front.oci.URL, "http://") + "/models/iris", Model: "iris", Training: "iris/" + name, Run: training.RunName(hash), Hash: hash,
		Image: "registry.example.com/train@sha256:" + strings.Repeat("2", 64),
	}, os.DirFS(out))
	if err != nil {
		w.t.Fatal(err)
	}
	w.model.runs = append(w.model.runs, hash)
}

func (w *crashWorld) registry() *registry.Registry {
	w.t.Helper()
	models, err := registry.Load(os.DirFS(w.dir))
	if err != nil || len(models.Faults) > 0 {
		w.t.Fatalf("the registry: %v %v", err, models.Faults)
	}
	return models
}
