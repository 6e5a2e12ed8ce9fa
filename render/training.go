package render

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/registry"
)

// Training renders one run of a training as it is in fsys, the tree it was loaded from. hash is the run's, see
// [registry.Training.RunHash]; the Job or JobSet bears the run's name. modelImage is the base version's,
// "repository@sha256:…", or "" without one. Equal arguments give equal bytes. It may be called concurrently.
//
// All layers work on a Job "training" with a container "trainer": a base that davit writes, the accelerator, the
// Training's fields, the environment's Component, the training's own, and at last davit's namespace, labels, images
// and names. Of several nodes, where the environment declares jobset, a JobSet is made from that Job: Kustomize
// has no schema for JobSets, and patches on one would lose lists in silence.
//
// Where the environment names a publisher, the trainer becomes the pods' last init container above all layers, and
// the publisher their one container: it makes the model image of what the trainer left.
func Training(fsys fs.FS, t *registry.Training, hash, modelImage string) (*Output, error) {
	_, out, err := buildTraining(fsys, t, hash, modelImage)
	return out, err
}

// TrainingOverlay is the very Kustomize tree that Training builds, by path: `kubectl kustomize <env>/<run>` in a
// folder that holds it prints the same bytes. Everything of the repository's in it has been checked.
func TrainingOverlay(fsys fs.FS, t *registry.Training, hash, modelImage string) (map[string][]byte, error) {
	tree, _, err := buildTraining(fsys, t, hash, modelImage)
	return tree, err
}

// What Components know of the Job by.
const (
	jobName     = "training"
	trainerName = "trainer"
)

const (
	runLabel    = "davit.dev/run"
	runVariable = "DAVIT_RUN"
)

// execution is one run of a training on its way to objects.
type execution struct {
	*registry.Training
	hash, run  string
	modelImage string
	layers     *layers
}

func buildTraining(fsys fs.FS, t *registry.Training, hash, modelImage string) (map[string][]byte, *Output, error) {
	if !runHash.MatchString(hash) {
		return nil, nil, fmt.Errorf("%q is no hash of a run of training %s", hash, t.Key())
	}
	e := &execution{Training: t, hash: hash, run: t.RunName(hash), modelImage: modelImage}
	if err := e.check(); err != nil {
		return nil, nil, err
	}
	if err := e.read(fsys); err != nil {
		return nil, nil, err
	}
	tree, out, err := e.carrier()
	if err == nil && e.jobSet() {
		tree, out, err = e.wrapped(tree, out.Objects)
	}
	if err == nil {
		out.InClear = e.layers.survey.inClear
	}
	return tree, out, err
}

var runHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// check refuses what could only be built wrong.
func (e *execution) check() error {
	switch {
	case e.BaseVersion == nil && e.modelImage != "":
		return fmt.Errorf("training %s has no base version and no model image", e.Key())
	case e.BaseVersion != nil && !strings.Contains(e.modelImage, "@sha256:"):
		return fmt.Errorf("model image %q of %s has no digest", e.modelImage, e.BaseVersion)
	}
	return nil
}

// read checks and reads what of the repository goes into the run.
func (e *execution) read(fsys fs.FS) error {
	base, err := e.base()
	if err != nil {
		return err
	}
	e.layers = &layers{base: base}
	var dirs []string
	if e.Environment.Component != "" {
		dirs = append(dirs, e.Environment.Component)
	}
	if e.Component != "" {
		dirs = append(dirs, e.Component)
	}
	read := func(dir string) (*content, error) {
		c, err := (&layer{fsys: fsys, dir: dir}).copy(e.layers.survey.copied)
		if err == nil {
			e.layers.take(c)
		}
		return c, err
	}
	if e.Accelerator != nil {
		if e.layers.accelerator, err = read(e.Accelerator.Dir); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		c, err := read(dir)
		if err != nil {
			return err
		}
		e.layers.components = append(e.layers.components, c)
	}
	if err := e.layers.bound(e.Path); err != nil {
		return err
	}
	if err := e.layers.survey.lost([]*unstructured.Unstructured{{Object: e.job()}}, trainerName); err != nil {
		return err
	}
	return e.layers.survey.check()
}

// base is the layer below all others.
func (e *execution) base() (*content, error) {
	c := &content{files: map[string][]byte{}}
	k := kustomization{Resources: []string{"job.yaml"}}
	if err := write(c.files, "job.yaml", e.job()); err != nil {
		return nil, err
	}
	if e.needsService() {
		k.Resources = append(k.Resources, "service.yaml")
		if err := write(c.files, "service.yaml", e.service()); err != nil {
			return nil, err
		}
	}
	return c, write(c.files, "kustomization.yaml", k.generated())
}

// jobSet says whether the Job only carries a JobSet's parts.
func (e *execution) jobSet() bool {
	return e.Indexed() && e.Environment.Spec.Capabilities.Has(registry.JobSet)
}

// needsService: a JobSet brings its own.
func (e *execution) needsService() bool { return e.Indexed() && !e.jobSet() }

func (e *execution) namespace() string {
	if ns := e.Environment.Spec.Namespace; ns != "" {
		return ns
	}
	return e.Environment.Name
}

// labels are on every object of the run and on its pods.
func (e *execution) labels() map[string]string {
	return map[string]string{
		runLabel:                       e.run,
		"davit.dev/training":           e.Name,
		"davit.dev/model":              e.Model,
		"davit.dev/environment":        e.Environment.Name,
		"app.kubernetes.io/managed-by": "davit",
	}
}

// root is the folder of the overlay, and last that of davit's own layer over the Job: the same, unless a JobSet is
// made from it.
func (e *execution) root() string { return e.Environment.Name + "/" + e.run }

func (e *execution) last() string {
	if e.jobSet() {
		return e.root() + "/layers/job"
	}
	return e.root()
}

// carrier builds the Job and what is beside it, checks the objects, and builds them once more with what can only be
// said when they are known: narrower selectors, and the publisher.
func (e *execution) carrier() (map[string][]byte, *Output, error) {
	tree, out, err := e.build(nil)
	if err != nil {
		return nil, nil, err
	}
	job := lookup(out.Objects, "Job", e.run)
	if err := e.checkJob(job, out.Objects); err != nil {
		return nil, nil, err
	}
	wide, err := owner{job, lookup(out.Objects, "Service", e.run), object{runLabel: e.run}, runLabel, e.Path}.wide(out.Objects)
	if err != nil {
		return nil, nil, err
	}
	var above []patch
	for _, n := range wide {
		above = append(above, n.patch())
	}
	if e.Environment.Publishes() {
		above = append(above, e.published(job))
	}
	if len(above) == 0 {
		return tree, out, nil
	}
	return e.build(above)
}

// build makes the objects; above are patches that come last.
func (e *execution) build(above []patch) (map[string][]byte, *Output, error) {
	tree := map[string][]byte{}
	dir := e.root() + "/layers"
	if err := e.layers.writeBelow(tree, dir); err != nil {
		return nil, nil, err
	}
	named := kustomization{Resources: []string{"../training"}, NamePrefix: e.run + "-"}
	for i, c := range e.layers.components {
		c.write(tree, path.Join(dir, componentDir(i)))
		named.Components = append(named.Components, "../"+componentDir(i))
	}
	fields := kustomization{Resources: []string{e.layers.belowServing()}, Patches: []patch{{Path: "fields.yaml"}}}
	fields.Patches = append(fields.Patches, claimCounts(e.Accelerator, e.Spec.GPUs)...)
	last := e.lastLayer()
	last.Patches = append(last.Patches, above...)
	for _, f := range []struct {
		name string
		v    any
	}{
		{dir + "/training/fields.yaml", e.fields()}, {dir + "/training/kustomization.yaml", fields.generated()},
		{dir + "/named/kustomization.yaml", named.generated()}, {e.last() + "/identity.yaml", e.identity()},
		{e.last() + "/names.yaml", claimNames("Job")}, {e.last() + "/kustomization.yaml", last.generated()},
	} {
		if err := write(tree, f.name, f.v); err != nil {
			return nil, nil, err
		}
	}
	return e.printed(tree, e.last())
}

func (e *execution) printed(tree map[string][]byte, dir string) (map[string][]byte, *Output, error) {
	built, err := build(tree, dir)
	if err != nil {
		return nil, nil, fmt.Errorf("building %s: %w", e.root(), err)
	}
	out, err := printed(built)
	return tree, out, err
}

// lastLayer is davit's own.
func (e *execution) lastLayer() kustomization {
	named := "layers/named"
	if e.jobSet() {
		named = "../named"
	}
	k := kustomization{
		Resources:      []string{named},
		Configurations: []string{"names.yaml"},
		Namespace:      e.namespace(),
		Labels:         []labels{{Pairs: e.labels()}},
		Patches:        []patch{{Path: "identity.yaml"}, rename("Job", e.run+"-"+jobName, e.run, nil)},
		SortOptions:    map[string]string{"order": "legacy"},
	}
	if e.needsService() {
		k.Patches = append(k.Patches, rename("Service", e.run+"-"+jobName, e.run, nil))
	}
	return k
}

// checkJob refuses objects outside the namespace, and a Job that a Component took from davit.
func (e *execution) checkJob(job *unstructured.Unstructured, objects []*unstructured.Unstructured) error {
	if err := checkScope(objects, e.Path, e.namespace()); err != nil {
		return err
	}
	// davit's last layer would bring a container back, but not what it ran.
	if job == nil || job.GetAPIVersion() != "batch/v1" || named(containerOf(job, trainerName)["env"], runVariable) == nil {
		return fmt.Errorf("%s:1: a Component renamed or removed Job %q or its container %q; it can't", e.Path, jobName, trainerName)
	}
	if e.needsService() && lookup(objects, "Service", e.run) == nil {
		return fmt.Errorf("%s:1: a Component renamed or removed Service %q, by which the nodes find each other; it can't", e.Path, jobName)
	}
	// A Job that is suspended from Git would be so again after Kueue let it start.
	if _, there, _ := unstructured.NestedFieldNoCopy(job.Object, "spec", "suspend"); there {
		return fmt.Errorf("%s:1: a Component sets suspend of Job %q; remove it: a queue holds runs back", e.Path, jobName)
	}
	pod := fieldOf(job, "spec", "template", "spec")
	k := kept{args: e.arguments(), variables: namesOf(e.env()), volumes: []string{"shm", "output"}, mounts: []string{"shm", "output"},
		file: e.Path, subject: "the training's file", claim: claimOf(e.Accelerator, e.Spec.GPUs)}
	if e.Accelerator != nil && e.Spec.GPUs > 0 {
		k.device = e.Accelerator.Spec.Resource
	}
	if err := k.check(pod, named(pod["containers"], trainerName)); err != nil {
		return err
	}
	if e.Environment.Publishes() {
		if err := e.checkPublished(pod); err != nil {
			return err
		}
	}
	if e.modelImage == "" {
		return nil
	}
	return checkModel(pod, named(pod["containers"], trainerName), modelMount(nil), modelVolumes(e.Environment, e.modelImage), e.Path)
}
