package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// liveRelease is what the API server says to a changed release, by a dry run.
type liveRelease struct {
	Release string `json:"release"`
	// Cause is why it is here although no file of it changes.
	Cause string `json:"cause,omitempty"`
	// Error is why it would not take the objects.
	Error   string          `json:"error,omitempty"`
	Objects []plannedObject `json:"objects"`
}

// plannedObject is one object that would be created, configured or deleted.
type plannedObject struct {
	Object string         `json:"object"`
	Action string         `json:"action"`
	Fields []plannedField `json:"fields,omitempty"`
}

// plannedField is a field as it runs and as it would be, as JSON; "" where it is absent.
type plannedField struct {
	Path    string `json:"path"`
	Live    string `json:"live,omitempty"`
	Planned string `json:"planned,omitempty"`
}

// live dry-runs the objects of the changed releases in the cluster of the kubeconfig's context; of args, what the command
// names, also those of releases that nothing is known of there.
func (a *app) live(ctx context.Context, renderer *render.Renderer, after *registry.Registry, p *plan.Plan, args []string) ([]liveRelease, error) {
	match, err := selector(args)
	if err != nil {
		return nil, err
	}
	target, err := a.cluster(ctx)
	if err != nil {
		return nil, err
	}
	running, err := target.Releases(ctx)
	if err != nil && !apierrors.IsNotFound(err) { // without its CRDs nothing of davit's runs there
		return nil, err
	}
	known := map[string]*v1alpha1.ModelRelease{}
	for _, mr := range running {
		if match(registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}) {
			known[mr.Namespace+"/"+mr.Name] = mr
		}
	}
	out := []liveRelease{}
	for _, change := range p.Releases {
		if change.Change == plan.Broken {
			continue
		}
		is := after.Release(change.Key())
		if is == nil {
			continue // what goes is told by the plan
		}
		mr := known[placeOf(is)]
		if mr == nil {
			mr = newcomer(is)
		}
		found, err := dryRun(ctx, target, renderer, after, is, mr, change.Image)
		if err != nil {
			return nil, err
		}
		out = append(out, found)
	}
	otherwise, err := renderedOtherwise(ctx, target, renderer, after, p, known)
	if err != nil || len(args) == 0 {
		return append(out, otherwise...), err
	}
	fresh, err := notApplied(ctx, target, renderer, after, p, known, match)
	return slices.Concat(out, otherwise, fresh), err
}

func dryRun(ctx context.Context, target *cluster.Cluster, renderer *render.Renderer, models *registry.Registry, r *registry.Release, mr *v1alpha1.ModelRelease, built *plan.Image) (liveRelease, error) {
	ref := image.Placeholder(r.Repository())
	switch {
	case built != nil && built.Digest != "":
		ref = r.Repository() + "@" + built.Digest
	case mr.Status.Applied.Version == r.ModelVersion.Name && mr.Status.Applied.Image != "":
		ref = mr.Status.Applied.Image
	}
	rendered, err := renderer.Release(models.FS(), r.WithPullSecrets(mr.Status.PullSecrets), ref)
	if err != nil {
		return liveRelease{}, fmt.Errorf("rendering %s: %w", r.Key(), err)
	}
	out := liveRelease{Release: r.Key().String(), Objects: []plannedObject{}}
	objects := make([]*unstructured.Unstructured, len(rendered.Objects))
	for i, o := range rendered.Objects {
		objects[i] = o.DeepCopy()
	}
	set, err := target.Plan(ctx, mr, objects, reconciler.ApplyOptions(r))
	if err != nil {
		out.Error = err.Error()
	}
	for _, c := range set.Changes {
		if c.Action == cluster.Unchanged || c.Action == "" {
			continue
		}
		o := plannedObject{Object: c.Ref.String(), Action: string(c.Action)}
		for _, f := range c.Fields {
			o.Fields = append(o.Fields, plannedField{f.Path, f.Live, f.Wanted})
		}
		out.Objects = append(out.Objects, o)
	}
	return out, ctx.Err()
}

// maxLiveFields is how many fields of an object are told; JSON has all.
const maxLiveFields = 30

func printLive(w io.Writer, all []liveRelease) error {
	for _, r := range all {
		fmt.Fprintf(w, "\n%s, by a dry run against what runs\n", plainLines(r.Release))
		if r.Cause != "" {
			fmt.Fprintf(w, "    %s\n", r.Cause)
		}
		if r.Error != "" {
			fmt.Fprintf(w, "    refused: %s\n", plain(r.Error))
		}
		if len(r.Objects) == 0 && r.Error == "" {
			fmt.Fprintln(w, "    nothing would be written")
		}
		for _, o := range r.Objects {
			fmt.Fprintf(w, "    %s %s\n", o.Action, plain(o.Object))
			for _, f := range o.Fields[:min(len(o.Fields), maxLiveFields)] {
				switch {
				case f.Live == "":
					fmt.Fprintf(w, "        + %s: %s\n", plain(f.Path), plain(cut(f.Planned, 160)))
				case f.Planned == "":
					fmt.Fprintf(w, "        - %s: %s\n", plain(f.Path), plain(cut(f.Live, 160)))
				default:
					fmt.Fprintf(w, "        %s: %s → %s\n", plain(f.Path), plain(cut(f.Live, 160)), plain(cut(f.Planned, 160)))
				}
			}
			if more := len(o.Fields) - maxLiveFields; more > 0 {
				fmt.Fprintf(w, "        … and %s more; -o json has all\n", counted(more, "field"))
			}
		}
	}
	return nil
}
