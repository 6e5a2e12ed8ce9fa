package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// split are releases with something applied, by whether the registry here can tell what it should be.
type split struct {
	ours    []*v1alpha1.ModelRelease
	unknown []*v1alpha1.ModelRelease            // of this registry, at commits that are not here
	others  map[string][]*v1alpha1.ModelRelease // of other registries, by owner
}

// sortOut tells this registry's releases from those of others that share the cluster: of an owner that has a release
// applied from a commit of this repository's, all are this registry's.
func sortOut(ctx context.Context, source *gitops.Source, registries []v1alpha1.ModelRegistry, releases []*v1alpha1.ModelRelease) split {
	out := split{others: map[string][]*v1alpha1.ModelRelease{}}
	missing := map[string][]*v1alpha1.ModelRelease{}
	own := map[string]bool{}
	for _, mr := range releases {
		owner := mr.Spec.Owner
		switch {
		case mr.Status.Applied.Commit == "":
		case folderOf(owner, registries) == source.Folder() && holds(ctx, source, mr):
			own[owner] = true
			out.ours = append(out.ours, mr)
		default:
			missing[owner] = append(missing[owner], mr)
		}
	}
	for owner, releases := range missing {
		if own[owner] {
			out.unknown = append(out.unknown, releases...)
			continue
		}
		out.others[owner] = releases
	}
	return out
}

// holds says whether the commit that is applied is here.
func holds(ctx context.Context, source *gitops.Source, mr *v1alpha1.ModelRelease) bool {
	_, err := source.Resolve(ctx, mr.Status.Applied.Commit)
	return err == nil
}

// folderOf is where in its repository an owner's registry is: two of them may be in one.
func folderOf(owner string, registries []v1alpha1.ModelRegistry) string {
	for _, r := range registries {
		if r.Namespace+"/"+r.Name == owner {
			return strings.Trim(strings.TrimPrefix(r.Spec.Path, "./"), "/")
		}
	}
	if _, rest, ok := strings.Cut(owner, "://"); ok {
		owner = rest
	}
	_, folder, _ := strings.Cut(owner, "//") // as ownerOf writes it
	return folder
}

// tell says on out what was not compared. It is an error where that is all, or where this registry's are among them.
func (s split) tell(out io.Writer) error {
	owners := slices.Sorted(maps.Keys(s.others))
	if len(s.ours) == 0 && len(owners) > 0 {
		return fmt.Errorf("nothing in the cluster is applied from this registry: what there is belongs to %s; run it in a clone of that, "+
			"or git fetch if it is this one", strings.Join(owners, ", "))
	}
	for _, owner := range owners {
		fmt.Fprintf(out, "davit: left out: %s of %s, another registry\n", counted(len(s.others[owner]), "release"), owner)
	}
	for _, mr := range s.unknown {
		fmt.Fprintf(out, "davit: left out: %s is applied as of %s, which is not here; git fetch brings it\n", keyOf(mr), short(mr.Status.Applied.Commit))
	}
	if len(s.unknown) > 0 {
		return exit(exitFailed)
	}
	return nil
}
