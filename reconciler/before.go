package reconciler

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// noted are the outcomes in Git, by release. They are read when a gate or freeze is about to keep a release back, or a
// cluster knows nothing of a release, and from then on what came since: a way back passes, also in a cluster made anew.
type noted struct {
	mu    sync.Mutex
	read  *gitops.Outcomes // nil before the first time
	of    map[registry.Key]map[notedOutcome]bool
	words map[string]string // one copy of each
}

// notedOutcome is what of an outcome in Git is of use here.
type notedOutcome struct {
	commit  gitops.Hash
	what    v1alpha1.Phase
	version string
	model   string // as the image is called
	at      int64  // Unix seconds

	// Of Pinned: what a person chose, and who it was.
	serves            gitops.Hash
	servedVersion, by string
}

// outcomesInGit tells of a release's, in no order, or says why nobody knows. Where the ModelRegistry sets a floor, which no
// file in Git lowers, what others wrote there counts as little.
func (r *Reconciler) outcomesInGit(ctx context.Context, key, asks registry.Key, tell func(notedOutcome)) (unknown string, err error) {
	signers := r.noteSigners()
	if r.floorOf(asks.Environment) != nil && signers == nil {
		return "the ModelRegistry has a policy for " + asks.Environment + ", and without committer.signingKey nothing says who wrote the outcomes in Git", nil
	}
	n := &r.inGit
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.read == nil {
		n.read = &gitops.Outcomes{Source: r.cfg.Source, Signers: signers}
		n.of, n.words = map[registry.Key]map[notedOutcome]bool{}, map[string]string{}
	}
	some, err := n.read.Next(ctx, n.keep)
	switch {
	case err != nil:
		return fmt.Sprintf("the outcomes in Git can't be read: %v", err), ctx.Err()
	case !some:
		return "there are no outcomes in Git", nil
	}
	for o := range n.of[key] {
		tell(o)
	}
	return "", nil
}

// noteSigners are those whose outcomes count: this controller's own. Without a key, or with the rights of a kubeconfig
// alone, everybody's do.
func (r *Reconciler) noteSigners() *gitops.Signers {
	if len(r.cfg.Grants) == 0 || r.cfg.Committer == nil {
		return nil
	}
	return r.cfg.Committer.Signers()
}

// keep remembers an outcome. It needs n.mu.
func (n *noted) keep(e gitops.Noted) {
	key, err := registry.ParseKey(e.Release)
	if what := v1alpha1.Phase(e.Outcome); err != nil || what == v1alpha1.Superseded || what == v1alpha1.Waiting { // what served is as it was
		return
	}
	key.Environment, key.Name = n.word(key.Environment), n.word(key.Name)
	if n.of[key] == nil {
		n.of[key] = map[notedOutcome]bool{}
	}
	o := notedOutcome{commit: e.Commit, what: v1alpha1.Phase(n.word(e.Outcome)), version: n.word(e.Version), model: n.word(modelIn(e.Image)), at: e.At.Unix()}
	if o.what == v1alpha1.Pinned {
		o.serves, o.servedVersion, o.by = gitops.ParseHash(e.Event.Commit), n.word(e.Serves), n.word(e.By)
	}
	n.of[key][o] = true
}

func (n *noted) word(s string) string {
	if _, ok := n.words[s]; !ok {
		n.words[s] = s
	}
	return n.words[s]
}

// healthyBefore says whether the release was healthy at a target's version, as its ModelRelease remembers or Git does.
func (r *Reconciler) healthyBefore(ctx context.Context, s *state, t *target) (before bool, unknown string, err error) {
	if s.release != nil {
		if s.wasHealthyAt(t.key) {
			return true, "", nil
		}
		for _, o := range s.release.Status.Outcomes {
			if o.Outcome != v1alpha1.Healthy || o.Version != t.release.ModelVersion.Name || !modelOf(o.Image, t.release.Model.Name) {
				continue
			}
			if same, err := r.versioned(ctx, s.key, o.Commit, t); err != nil || same {
				return same, "", err
			}
		}
	}
	var commits []gitops.Hash
	unknown, err = r.outcomesInGit(ctx, s.key, s.key, func(o notedOutcome) {
		if o.healthyAt(t) {
			commits = append(commits, o.commit)
		}
	})
	for _, commit := range commits {
		if same, err := r.versioned(ctx, s.key, commit.String(), t); err != nil || same {
			return same, "", err
		}
	}
	return false, unknown, err
}

// healthyAt says that an outcome tells of a target's version of its model.
func (o notedOutcome) healthyAt(t *target) bool {
	return o.what == v1alpha1.Healthy && o.version == t.release.ModelVersion.Name && o.model == t.release.Model.Name
}

// healthyByNotes is since when a release has been healthy at a target's version as its newest outcome in Git tells.
func (r *Reconciler) healthyByNotes(ctx context.Context, key registry.Key, t *target) (since time.Time, unknown string, err error) {
	var newest notedOutcome
	unknown, err = r.outcomesInGit(ctx, key, t.release.Key(), func(o notedOutcome) {
		if o.at > newest.at || o.at == newest.at && newest.what == v1alpha1.Healthy {
			newest = o
		}
	})
	if err != nil || unknown != "" {
		return since, "this controller does not work on it, and " + unknown, err
	}
	if !newest.healthyAt(t) {
		return since, "", nil
	}
	same, err := r.versioned(ctx, key, newest.commit.String(), t)
	if same {
		since = time.Unix(newest.at, 0)
	}
	return since, "", err
}
