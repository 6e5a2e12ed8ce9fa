package reconciler

import (
	"context"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// Registry is the registry as it was followed last, and the commit it is of; nil before there is one. It may be called
// concurrently; neither may be changed.
func (r *Reconciler) Registry() (*gitops.Snapshot, *registry.Registry) {
	want := r.desired.Load()
	if want == nil {
		return nil, nil
	}
	return want.snapshot, want.models
}

// Behind says why the newest commit is not followed, or not by all environments; "" when it is.
func (r *Reconciler) Behind() string {
	if why := r.behind.Load(); why != nil {
		return *why
	}
	return ""
}

// Source is what is followed.
func (r *Reconciler) Source() *gitops.Source { return r.cfg.Source }

// Owner is the name by which the releases in the cluster are this registry's.
func (r *Reconciler) Owner() string { return r.cfg.Owner }

// Cluster is where an environment is; nil for one that is not granted.
func (r *Reconciler) Cluster(environment string) *cluster.Cluster {
	if site := r.site(environment); site != nil {
		return site.cluster
	}
	return nil
}

// Granted says whether an environment may be in a namespace.
func (r *Reconciler) Granted(environment, namespace string) bool {
	if len(r.cfg.Grants) == 0 {
		return true
	}
	g, ok := r.cfg.Grants[environment]
	return ok && (len(g.Namespaces) == 0 || slices.Contains(g.Namespaces, namespace))
}

// Clusters are those of all environments, each once.
func (r *Reconciler) Clusters() (all []*cluster.Cluster) {
	for _, site := range r.sites {
		if !slices.Contains(all, site.cluster) {
			all = append(all, site.cluster)
		}
	}
	return all
}

// CommitURL is where a browser finds a commit; "" where nobody knows.
func (r *Reconciler) CommitURL(commit string) string {
	if r.cfg.CommitURL == nil {
		return ""
	}
	return r.cfg.CommitURL(commit)
}

// MentionURL is where a browser finds what a word of a commit's message names on the registry's forge; "" for all else.
func (r *Reconciler) MentionURL(word string) string {
	if r.cfg.MentionURL == nil {
		return ""
	}
	return r.cfg.MentionURL(word)
}

// Floor is the policy of an environment that no file can lower; nil for none.
func (r *Reconciler) Floor(environment string) *registry.Policy { return r.floorOf(environment) }

// Runs are the runs that began, by their hashes: the ledger's in Git and those that clusters keep, which kept names.
func (r *Reconciler) Runs(ctx context.Context) (all map[string]gitops.Run, kept map[string]bool, err error) {
	inGit, err := r.runs.git.Runs(ctx)
	if err != nil {
		return nil, nil, err
	}
	if all, err = r.runs.Runs(ctx); err != nil {
		return nil, nil, err
	}
	kept = map[string]bool{}
	for hash := range all {
		if _, is := inGit[hash]; !is {
			kept[hash] = true
		}
	}
	return all, kept, nil
}

// Quota is how many GPUs an environment may have, by its files and its grant; the zero value where nothing bounds it.
func (r *Reconciler) Quota(environment string) registry.Quota {
	_, models := r.Registry()
	if models == nil || models.Environments[environment] == nil {
		return registry.Quota{}
	}
	return r.quotaOf(models.Environments[environment])
}

// Renderer is the one that renders what is applied, with what it keeps.
func (r *Reconciler) Renderer() *render.Renderer { return &r.renderer }

// ModelRegistry reads the one that is followed; nil where there is none, or it can't be read.
func (r *Reconciler) ModelRegistry(ctx context.Context) *v1alpha1.ModelRegistry {
	if r.cfg.ModelRegistry == nil {
		return nil
	}
	mr, err := r.cfg.ModelRegistry(ctx)
	if err != nil {
		r.cfg.Log.Warn("the ModelRegistry can't be read", "error", err)
	}
	return mr
}
