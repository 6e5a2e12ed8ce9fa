package reconciler

import (
	"context"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// credit says in a status that is about to be written which revision of which model is applied, and who wrote its commit.
// Nothing is asked for it but the repository at hand; an author that it does not know stays away.
func (r *Reconciler) credit(ctx context.Context, st *v1alpha1.ModelReleaseStatus) {
	applied := gitops.ParseHash(st.Applied.Commit)
	if applied.IsZero() {
		st.Revision, st.Author = "", ""
		return
	}
	if st.Model == "" { // written by a davit that did not tell it
		st.Model = modelIn(st.Applied.Image)
	}
	revision := r.cfg.Source.Revision(applied)
	if st.Revision == revision && st.Author != "" {
		return
	}
	st.Revision, st.Author = revision, r.author(ctx, applied)
}

// author is who wrote a commit, as git log has it; nobody where it can't be read. Of many releases that one commit
// changes it is read once.
func (r *Reconciler) author(ctx context.Context, commit gitops.Hash) string {
	if last := r.credited.Load(); last != nil && last.Hash == commit {
		return authorOf(*last)
	}
	c, err := r.cfg.Source.Commit(ctx, commit)
	if err != nil {
		return ""
	}
	r.credited.Store(&c)
	return authorOf(c)
}

func authorOf(c gitops.Commit) string {
	if c.Author.Email == "" {
		return c.Author.Name
	}
	return c.Author.Name + " <" + c.Author.Email + ">"
}
