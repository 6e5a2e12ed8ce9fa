package registry

import (
	"path"
	"slices"
	"strings"
)

// The kinds of code that a model's files can carry.
const (
	Pickle = "pickle" // Python objects whose loading runs what they say
	Python = "python" // modules that a server imports: trust_remote_code, Triton's Python backend
)

// codes are the kinds by the endings of names. PyTorch's files are pickles, in a zip or not.
var codes = map[string]string{
	".pkl": Pickle, ".pickle": Pickle, ".joblib": Pickle, ".pt": Pickle, ".pth": Pickle, ".bin": Pickle, ".ckpt": Pickle, ".dill": Pickle,
	".py": Python, ".pyc": Python, ".pyz": Python, ".whl": Python,
}

// CarriesCode tells what kind of code a file of that name may carry, "" for none. That its content is no pickle under
// another name is seen when the image is built.
func CarriesCode(name string) string { return codes[strings.ToLower(path.Ext(name))] }

// code refuses files that carry code where the environment does not allow it by name.
func (c *check) code(r *Release) {
	if r.Environment == nil || r.ModelVersion == nil {
		return
	}
	for _, f := range r.ModelVersion.Spec.Files {
		kind := CarriesCode(f.Path)
		if kind == "" || slices.Contains(r.Environment.Spec.AllowCode, kind) {
			continue
		}
		c.fault([]string{"version"}, "version %q of model %q has %s, which carries code (%s); convert it, to safetensors or ONNX say, or write allowCode: [%s] in %s",
			r.ModelVersion.Name, r.Model.Name, f.Path, kind, kind, r.Environment.Path)
		return
	}
}
