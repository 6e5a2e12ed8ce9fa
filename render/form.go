package render

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
)

// form is a release without what is its own: releases with equal keys give the same objects but for the values.
//
// That holds since the values come in where nothing looks at them any more. The Serving's arguments and
// variables lie below the Components, so a layer that could compare or cut a value has no form; the name, the
// labels and the images come in above all layers. What Kustomize itself compares is names: a name in a layer
// that begins with the release's could be taken for one of the release's objects, so that has no form either.
// Generated names hash the name, and have none.
type form struct {
	key    [sha256.Size]byte
	values []string // the first is the release's name; the last the rollout's, where revisions don't share the workload
}

// A value that YAML can't take for anything but a string, and that no printer folds or escapes. A name begins
// every object's name. (Bounded repetitions would cost 700 KiB.)
var (
	opaqueName  = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)
	opaqueWord  = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9._/:@=+-]*$`)
	opaqueRest  = regexp.MustCompile(`^[A-Za-z0-9._/:@=+-]+$`)
	opaqueImage = regexp.MustCompile(`^[A-Za-z0-9._/:-]+@sha256:[0-9a-f]+$`)
	// yamlWord is what YAML 1.1 reads as a boolean or null.
	yamlWord = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
)

// opaqueLength is what no printer folds.
const opaqueLength = 200

func opaque(s string) bool {
	return len(s) <= opaqueLength && opaqueWord.MatchString(s) && !yamlWord.MatchString(s) && !strings.HasSuffix(s, ":")
}

// form is nil for a release that needs a build of its own.
func (o *overlay) form() (*form, error) {
	if !o.fits() {
		return nil, nil
	}
	f := &form{}
	r, image, rollout := f.abstract(o, func(i int) string { return fmt.Sprintf("value%03d", i) })
	if len(f.values) > maxValues {
		return nil, nil
	}
	g, err := o.generate(r, image, rollout)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("describing %s: %w", o.release.Key(), err)
	}
	sum := o.layers.sum(true)
	f.key = sha256.Sum256(append(data, sum[:]...))
	return f, nil
}

// maxValues is what the three digits of a token can number.
const maxValues = 999

func (o *overlay) fits() bool {
	r := o.release
	if len(r.Name) > 63 || !opaqueName.MatchString(r.Name) || yamlWord.MatchString(r.Name) {
		return false
	}
	collides := func(name string) bool {
		below, ok := strings.CutPrefix(name, r.Name)
		return ok && (below == "" || below[0] == '-')
	}
	for _, c := range o.layers.all() {
		if c.rigid || slices.ContainsFunc(c.names, collides) {
			return false
		}
	}
	for _, e := range variables(r) {
		if collides(e.Secret) {
			return false
		}
	}
	return !collides(r.Environment.Spec.ModelLoader.PullSecret) && !slices.ContainsFunc(r.Environment.PullSecrets(), collides)
}

// abstract is the release, its image and its rollout with a token in the place of each value, which it collects.
func (f *form) abstract(o *overlay, token func(i int) string) (r *registry.Release, image, rollout string) {
	f.values = nil
	put := func(s *string, can bool) {
		if can {
			f.values = append(f.values, *s)
			*s = token(len(f.values) - 1)
		}
	}
	rel, model, version := *o.release, *o.release.Model, *o.release.ModelVersion
	r, image, rollout = &rel, o.modelImage, o.rollout
	put(&r.Name, true)
	put(&model.Name, opaque(model.Name))
	put(&version.Name, opaque(version.Name))
	put(&image, len(image) <= opaqueLength+len("@sha256:")+64 && opaqueImage.MatchString(image))
	r.Model, r.ModelVersion = &model, &version
	r.Serving.Args, r.Serving.Env = maps.Clone(r.Serving.Args), maps.Clone(r.Serving.Env)
	for _, name := range sortedKeys(r.Serving.Args) {
		arg := r.Serving.Args[name]
		put(&arg.Value, !arg.True && len(arg.Value) <= opaqueLength && opaqueRest.MatchString(arg.Value))
		r.Serving.Args[name] = arg
	}
	for _, name := range sortedKeys(r.Serving.Env) {
		e := r.Serving.Env[name]
		put(&e.Value, e.Secret == "" && name != modelPathVariable && opaque(e.Value))
		r.Serving.Env[name] = e
	}
	if r.Serving.Route != nil {
		route := *r.Serving.Route
		put(&route.Hostname, opaque(route.Hostname))
		r.Serving.Route = &route
	}
	put(&rollout, rollout != "")
	return r, image, rollout
}
