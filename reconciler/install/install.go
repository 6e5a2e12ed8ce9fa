// Package install says what an installation of davit consists of: the objects of the controller, and those of each
// environment's namespace, built by Kustomize from what deploy holds. It knows no cluster: reconciler/cluster applies
// and deletes what it lists.
package install

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/deploy"
)

// Namespace is the one that deploy's trees name.
const Namespace = "davit-system"

// Writer is the service account of an environment's namespace that writes its releases, in multi-tenant installations.
const Writer = "davit-releases"

// Overlay is a way to run the controller, the name of a folder in deploy.
type Overlay string

// The overlays.
const (
	SingleTenant    Overlay = "single-tenant"
	MultiTenant     Overlay = "multi-tenant"
	HighlyAvailable Overlay = "highly-available"
)

// Overlays lists them all.
func Overlays() []Overlay { return []Overlay{SingleTenant, MultiTenant, HighlyAvailable} }

// Annotation of the controller's Deployment names its overlay.
const Annotation = "davit.dev/overlay"

// Unnamed is the image in deploy's trees, which stands for one that is still to be named.
const Unnamed = "davit"

// Impersonates says whether environments have service accounts of their own.
func (o Overlay) Impersonates() bool { return o != SingleTenant }

// Config is one installation.
type Config struct {
	// Overlay is required.
	Overlay Overlay
	// Namespace of the controller and its ModelRegistries; Namespace, the constant, when empty.
	Namespace string
	// Image of the controller; the name deploy has, which no registry serves, when empty.
	Image string
}

func (cfg Config) namespace() string { return cmp.Or(cfg.Namespace, Namespace) }

// Controller builds the objects of the controller, in the order to apply them in: what kubectl kustomize makes of the
// overlay, with namespace and image set.
func Controller(cfg Config) ([]*unstructured.Unstructured, error) {
	if !slices.Contains(Overlays(), cfg.Overlay) {
		return nil, fmt.Errorf("overlay %q does not exist (have %s, %s, %s)", cfg.Overlay, SingleTenant, MultiTenant, HighlyAvailable)
	}
	top := types.Kustomization{Namespace: cfg.namespace(), Resources: []string{"../" + string(cfg.Overlay)}}
	if cfg.Image != "" {
		image, err := parseImage(cfg.Image)
		if err != nil {
			return nil, err
		}
		top.Images = []types.Image{image}
	}
	objects, err := build(top)
	bind(objects, cfg.namespace())
	return objects, err
}

// bind has bindings name davit where it is: Kustomize moves a binding's subject only with the first namespace it is given.
func bind(objects []*unstructured.Unstructured, namespace string) {
	for _, o := range objects {
		subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects") // a copy
		for _, s := range subjects {
			if s, ok := s.(map[string]any); ok && s["name"] == "davit" && s["namespace"] == Namespace {
				s["namespace"] = namespace
			}
		}
		if len(subjects) > 0 {
			o.Object["subjects"] = subjects
		}
	}
}

// Others builds the objects that another overlay has and this one has not.
func Others(cfg Config) ([]*unstructured.Unstructured, error) {
	own, err := Controller(cfg)
	if err != nil {
		return nil, err
	}
	cfg.Overlay = HighlyAvailable // it has all that the others have
	all, err := Controller(cfg)
	return slices.DeleteFunc(all, func(o *unstructured.Unstructured) bool {
		return slices.ContainsFunc(own, func(p *unstructured.Unstructured) bool {
			return o.GroupVersionKind() == p.GroupVersionKind() && o.GetNamespace() == p.GetNamespace() && o.GetName() == p.GetName()
		})
	}), err
}

// Environment builds a namespace for an environment to be in. The Namespace is bare: applied to one that is there, it
// changes nothing of it.
func Environment(cfg Config, namespace string) ([]*unstructured.Unstructured, error) {
	kind := MultiTenant
	if !cfg.Overlay.Impersonates() {
		kind = SingleTenant
	}
	top := types.Kustomization{Namespace: namespace, Resources: []string{"../environment/" + string(kind)}}
	objects, err := build(top)
	if err != nil {
		return nil, err
	}
	space := &unstructured.Unstructured{}
	space.SetAPIVersion("v1")
	space.SetKind("Namespace")
	space.SetName(namespace)
	bind(objects, cfg.namespace())
	return append([]*unstructured.Unstructured{space}, objects...), nil
}

// CRDs builds the CRDs alone: all that davit sync needs.
func CRDs() ([]*unstructured.Unstructured, error) {
	return build(types.Kustomization{Resources: []string{"../crds"}})
}

// reference is <name>[:tag][@digest]; a colon before a slash is a port, and only a host may have capitals.
var reference = regexp.MustCompile(`^((?:(?:[a-z0-9][a-zA-Z0-9-]*(?:\.[a-zA-Z0-9-]+)+|[a-z0-9][a-z0-9_-]*)(?::[0-9]+)?/)?[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*)(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

// maxRepository is what distribution's reader of references, which is containerd's, and so a kubelet's, takes for a name with
// its host, less what a name without one gets.
const maxRepository = 255 - len("docker.io/library/")

func parseImage(text string) (types.Image, error) {
	m := reference.FindStringSubmatch(text)
	if m == nil {
		return types.Image{}, fmt.Errorf("image %q is no reference; write registry.example.com/davit:v1 or …/davit@sha256:<digest>", text)
	}
	if len(m[1]) > maxRepository {
		return types.Image{}, fmt.Errorf("image %q: its repository has %d characters, and a kubelet takes at most %d", text, len(m[1]), maxRepository)
	}
	image := types.Image{Name: "davit", NewName: m[1], NewTag: m[2], Digest: m[3]}
	if image.NewTag == "" && image.Digest == "" {
		return types.Image{}, fmt.Errorf("image %q has neither a tag nor a digest; the same command would install another davit tomorrow", text)
	}
	if image.Digest != "" {
		image.NewTag = ""
	}
	return image, nil
}

// build runs Kustomize in memory on a kustomization above deploy's tree. The tree is davit's own, so it needs none of
// the checks that a registry's has.
func build(top types.Kustomization) ([]*unstructured.Unstructured, error) {
	memory := filesys.MakeFsInMemory()
	err := fs.WalkDir(deploy.Tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := deploy.Tree.ReadFile(name)
		if err != nil {
			return err
		}
		return memory.WriteFile("/"+name, data)
	})
	if err != nil {
		return nil, fmt.Errorf("reading deploy: %w", err)
	}
	text, err := yaml.Marshal(top)
	if err != nil {
		return nil, fmt.Errorf("writing a kustomization: %w", err)
	}
	if err := memory.WriteFile("/install/kustomization.yaml", text); err != nil {
		return nil, fmt.Errorf("writing a kustomization: %w", err)
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // as kubectl does: namespaces, CRDs and roles before what needs them
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.PluginConfig = types.DisabledPluginConfig()
	built, err := krusty.MakeKustomizer(options).Run(memory, "/install")
	if err != nil {
		return nil, fmt.Errorf("building deploy/%s: %w", strings.TrimPrefix(top.Resources[0], "../"), err)
	}
	var objects []*unstructured.Unstructured
	for _, r := range built.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", r.CurId(), err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			return nil, fmt.Errorf("reading %s: %w", r.CurId(), err)
		}
		objects = append(objects, o)
	}
	return objects, nil
}

// YAML writes objects as kubectl kustomize does.
func YAML(objects []*unstructured.Unstructured) ([]byte, error) {
	var parts [][]byte
	var errs []error
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		parts, errs = append(parts, text), append(errs, err)
	}
	return bytes.Join(parts, []byte("---\n")), errors.Join(errs...)
}
