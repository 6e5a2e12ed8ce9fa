package status

import (
	"context"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// Asked is what the followed branch asks of a release.
type Asked struct {
	// Same says that it is what is applied; the rest is empty then, but for Version.
	Same bool
	// Gone says that the branch has the release no longer, Fault why it can't have it: "path:line: …".
	Gone  bool
	Fault string
	// Version is what the branch has, and Commit the one that asked for this revision: zero where the release is gone or has
	// a fault.
	Version string
	Commit  gitops.Commit
	// Held says that this commit is the one held.
	Held bool
}

// Text goes on after "the branch"; "" where it asks for what is applied. After a colon comes the commit.
func (a *Asked) Text() string {
	switch {
	case a.Same:
		return ""
	case a.Gone:
		return "no longer has it: the release is deleted, unless the environment's guards stop that."
	case a.Fault != "":
		return "has a fault, so the release stays as it is."
	case a.Held:
		return "asks for what is held."
	}
	return "asks for " + a.Version + ":"
}

// answer is what the branch asks of a release for which a question was answered.
type answer struct {
	question string
	asked    Asked
}

// Asks reads it; nil where there is no repository, or the folder is another's. Where the branch asks for something new its
// history is walked, back to the commit that did; the answer is kept until something else is applied.
func (v *View) Asks(ctx context.Context, mr *v1alpha1.ModelRelease) (*Asked, error) {
	if v.cfg.Tip == nil {
		return nil, nil
	}
	key := registry.Key{Environment: mr.Spec.Environment, Name: mr.Spec.Release}
	question := mr.Status.Applied.InputKey + "\n" + strings.Join(mr.Status.PullSecrets, "\n")
	v.mu.Lock()
	known, ok := v.asked[key]
	v.mu.Unlock()
	if !ok || known.question != question {
		asked, err := v.read(ctx, key, mr)
		if asked == nil || err != nil {
			return nil, err
		}
		known = answer{question, *asked}
		v.mu.Lock()
		v.asked[key] = known
		v.mu.Unlock()
	}
	out := known.asked
	out.Held = mr.Status.Held != nil && !out.Commit.Hash.IsZero() && out.Commit.Hash.String() == mr.Status.Held.Commit
	return &out, nil
}

func (v *View) read(ctx context.Context, key registry.Key, mr *v1alpha1.ModelRelease) (*Asked, error) {
	models, err := v.cfg.Models, error(nil)
	if models == nil {
		models, err = registry.LoadRelease(v.cfg.Tip, key)
	}
	if err != nil {
		return nil, ctx.Err() // the folder is another repository's
	}
	r := models.Release(key)
	if r == nil {
		if faults := models.Broken[key]; len(faults) > 0 {
			return &Asked{Fault: faults[0].String()}, nil
		}
		return &Asked{Gone: true}, nil
	}
	input, err := inputs(v.cfg.Tip, r.WithPullSecrets(mr.Status.PullSecrets))
	if err != nil {
		return nil, err
	}
	a := &Asked{Version: r.ModelVersion.Name}
	if a.Same = input == mr.Status.Applied.InputKey; a.Same {
		return a, nil
	}
	return a, v.cfg.Source.FirstParents(ctx, v.cfg.Tip.Hash(), func(c gitops.Commit, paths []string) (bool, error) {
		a.Commit = c
		if !slices.ContainsFunc(paths, r.Opens) {
			return true, nil
		}
		before, err := v.inputsBefore(ctx, c, key, mr.Status.PullSecrets)
		return before == input, err
	})
}

// Current says whether what is applied of a release is made from its files as r has them in fsys.
func Current(fsys fs.FS, r *registry.Release, mr *v1alpha1.ModelRelease) (bool, error) {
	input, err := inputs(fsys, r.WithPullSecrets(mr.Status.PullSecrets))
	return err == nil && input == mr.Status.Applied.InputKey, err
}

// inputs are what a release is rendered from, as the controller records it.
func inputs(fsys fs.FS, r *registry.Release) (string, error) {
	return r.InputKey(fsys, "layout "+strconv.Itoa(image.LayoutVersion), "renderer "+strconv.Itoa(render.Version))
}

// inputsBefore are a release's before a commit; "" where it was not there or had a fault.
func (v *View) inputsBefore(ctx context.Context, c gitops.Commit, key registry.Key, pullSecrets []string) (string, error) {
	if len(c.Parents) == 0 {
		return "", nil
	}
	before, err := v.cfg.Source.Snapshot(ctx, c.Parents[0])
	if err != nil {
		return "", ctx.Err() // a shallow clone ends here
	}
	models, err := registry.LoadRelease(before, key)
	if err != nil || models.Release(key) == nil {
		return "", nil
	}
	return inputs(before, models.Release(key).WithPullSecrets(pullSecrets))
}
