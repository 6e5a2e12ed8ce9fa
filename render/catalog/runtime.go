package catalog

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
)

//go:embed runtimes accelerators
var folders embed.FS

// Runtime is a runtime of the catalog.
type Runtime struct {
	Name  string
	About string
	// Repository is where its image is; empty for custom, which takes any, and for kserve, which has none.
	Repository string
	// Versions are those its base was written for, the newest last.
	Versions []string
	// Feature is what an environment must declare to use it; empty when nothing.
	Feature string

	tag string // how a version is written as a tag; %s stands for it
}

// Runtimes are all of the catalog, ordered by name.
func Runtimes() []Runtime {
	return []Runtime{
		{Name: "custom", About: "any image that serves a model over HTTP", Versions: []string{"1.0.0"}},
		{Name: "kserve", About: "an InferenceService: KServe chooses the server by the model's format", Versions: []string{"0.16.0"}, Feature: registry.KServe},
		{Name: "mlserver", About: "MLServer: scikit-learn, XGBoost, LightGBM, MLflow",
			Repository: "docker.io/seldonio/mlserver", Versions: []string{"1.7.1"}, tag: "%s"},
		{Name: "onnx", About: "OpenVINO Model Server: ONNX, OpenVINO, TensorFlow on CPUs",
			Repository: "docker.io/openvino/model_server", Versions: []string{"2025.3"}, tag: "%s"},
		{Name: "triton", About: "NVIDIA Triton: a model repository of any of its backends",
			Repository: "nvcr.io/nvidia/tritonserver", Versions: []string{"25.10"}, tag: "%s-py3"},
		{Name: "vllm", About: "vLLM: language models, on one node or several",
			Repository: "docker.io/vllm/vllm-openai", Versions: []string{"0.11.2"}, tag: "v%s"},
	}
}

// FindRuntime returns the runtime of that name.
func FindRuntime(name string) (Runtime, error) {
	all := Runtimes()
	i := slices.IndexFunc(all, func(r Runtime) bool { return r.Name == name })
	if i < 0 {
		return Runtime{}, fmt.Errorf("no runtime %q in the catalog (have %s)", name, names(all, func(r Runtime) string { return r.Name }))
	}
	return all[i], nil
}

// Newest is the version that is taken when nobody names one.
func (r Runtime) Newest() string { return r.Versions[len(r.Versions)-1] }

// HasImage says whether the runtime's server is an image of its own.
func (r Runtime) HasImage() bool { return imageLine.Match(r.read("runtime.yaml")) }

// Tag is how the runtime's repository calls a version, "v0.11.2"; empty when it has no repository.
func (r Runtime) Tag(version string) string {
	if r.tag == "" {
		return ""
	}
	return fmt.Sprintf(r.tag, version)
}

// imageLine is where runtime.yaml has a digest of zeros.
var imageLine = regexp.MustCompile(`(?m)^  image: (\S+@sha256:0{64})$`)

// Files are the runtime's folder, by the path in it. image, "repository@sha256:…", takes the place that runtime.yaml has for
// it, with a remark behind it such as its tag; nothing is put in when it is empty.
func (r Runtime) Files(image, remark string) map[string][]byte {
	files := tree(path.Join("runtimes", r.Name))
	if image != "" {
		line := "  image: " + image
		if remark != "" {
			line += "   # " + remark
		}
		files["runtime.yaml"] = imageLine.ReplaceAllLiteral(files["runtime.yaml"], []byte(line))
	}
	return files
}

func (r Runtime) read(name string) []byte { return tree(path.Join("runtimes", r.Name))[name] }

// tree reads a folder. What is embedded can't fail.
func tree(dir string) map[string][]byte {
	files := map[string][]byte{}
	err := fs.WalkDir(folders, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := folders.ReadFile(name)
		files[strings.TrimPrefix(name, dir+"/")] = data
		return err
	})
	if err != nil {
		panic(err)
	}
	return files
}

func names[T any](all []T, name func(T) string) string {
	var list []string
	for _, e := range all {
		list = append(list, name(e))
	}
	return strings.Join(list, ", ")
}
