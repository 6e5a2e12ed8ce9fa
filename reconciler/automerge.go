package reconciler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// mergedTrailer is in the commit of what nobody but a rule merged.
const mergedTrailer = "Davit-Merged-By-Rule: "

// mergeByRule merges an open promotion where the rule says so, the version is eligible now, the environment and its grant
// let it, every gate has passed, no freeze holds, and the release stands still. waits is why it does not; "" where a person
// is to merge it.
func (r *Reconciler) mergeByRule(ctx context.Context, e errand, want *desired, release *registry.Release, open *promoting, c candidate) (waits string, err error) {
	if release.Promote.Merge != "auto" || open.version == "" {
		return "", nil
	}
	var m merging
	if waits = r.untagged(); waits != "" {
		return waits, nil
	}
	if waits = strayed(release, open, c); waits == "" {
		m, waits, err = r.mayMerge(ctx, e, want, want.snapshot, open)
	}
	if err == nil && waits == "" {
		waits, err = r.stillMay(ctx, e, want, open)
	}
	if err == nil && waits == "" {
		waits, err = r.mergePromotion(ctx, e, want, release, open, m)
	}
	if waits != "" && waits != open.said {
		open.said = waits
		r.cfg.Log.Info("a promotion is not merged yet", "release", e.key.String(), "version", open.version, "why", waits)
	}
	return waits, err
}

// strayed says why what is open is not what the rule is about now: it stays open, and the rule does not merge it.
func strayed(release *registry.Release, open *promoting, c candidate) string {
	switch {
	case !c.eligible || c.version != open.version:
		return fmt.Sprintf("%s/%s has not been healthy with %s for %s, as the rule wants; it is merged when it has", release.Promote.From, release.Name, open.version, time.Duration(release.Promote.HealthyFor))
	case open.elsewhere != "":
		return open.elsewhere
	}
	return ""
}

// stillMay holds a promotion against the followed branch as it is at this moment: nobody may have told yet of a push that
// ends the rule, marks the version bad, or closes a gate.
func (r *Reconciler) stillMay(ctx context.Context, e errand, want *desired, open *promoting) (waits string, err error) {
	tip, err := r.cfg.Source.Fetch(ctx)
	if err != nil || tip == want.snapshot.Hash() {
		return "", err
	}
	r.cfg.Source.Notify()
	now, err := r.cfg.Source.Snapshot(ctx, tip)
	if err != nil {
		return "", err
	}
	models, err := registry.LoadRelease(now, e.key)
	if err != nil {
		return "", err
	}
	release := models.Release(e.key)
	switch {
	case release == nil:
		return fmt.Sprintf("%.12s has it no more, or with a fault", tip), nil
	case release.Promote == nil || release.Promote.Merge != "auto":
		return fmt.Sprintf("%.12s has no rule that merges it", tip), nil
	case release.ModelVersion.Name == open.version:
		return fmt.Sprintf("%.12s has it", tip), nil
	case release.Model.Versions[open.version] == nil || release.Model.Versions[open.version].Bad != nil:
		return fmt.Sprintf("version %s is marked bad or gone at %.12s", open.version, tip), nil
	}
	_, waits, err = r.mayMerge(ctx, e, want, now, open)
	return waits, err
}

// merging is what is to be committed.
type merging struct {
	files  []gitops.FileChange
	branch gitops.Hash // that has a person's commits, which become a part of it; zero otherwise
}

// mayMerge holds a promotion against everything that may keep it from going into a commit of the followed branch.
func (r *Reconciler) mayMerge(ctx context.Context, e errand, want *desired, into *gitops.Snapshot, open *promoting) (m merging, waits string, err error) {
	name, text, err := registry.WithVersion(into, e.key, open.version)
	if err != nil {
		return m, "", err
	}
	m.files = []gitops.FileChange{{Path: name, Content: text}}
	edited := into.Edited(name, text)
	models, err := registry.LoadRelease(edited, e.key)
	if err != nil {
		return m, "", err
	}
	after := models.Release(e.key)
	if after == nil {
		return m, fmt.Sprintf("it would have a fault: %s", models.Broken[e.key][0]), nil
	}
	policy := gate.Policy(after, r.cfg.Grants[e.key.Environment].Policy)
	if !policy.AutoMerge {
		return m, fmt.Sprintf("environment %s does not let rules merge (autoMerge); a person is to merge it", e.key.Environment), nil
	}
	if freeze, until := gate.Frozen(policy, r.cfg.Now()); freeze != nil {
		r.errands.later(e, until.Sub(r.cfg.Now()))
		return m, fmt.Sprintf("freeze %s lasts until %s", freeze.Name, until.UTC().Format(time.RFC3339)), nil
	}
	t := &target{commit: into.Hash(), snapshot: edited, release: after, seen: want.seen}
	snapshot, added, strange, err := r.added(ctx, into, after, m.files[0], open)
	if err != nil || strange != "" {
		return m, strange, err
	}
	if len(added) > 0 {
		t.snapshot, m.branch, m.files = snapshot, open.tip, append(m.files, added...)
	}
	s := r.state(e.key)
	if !s.work.TryLock() {
		return m, "", errBusy
	}
	defer s.work.Unlock()
	if waits, err = r.gated(ctx, e, s, t); err != nil || waits != "" {
		return m, waits, err
	}
	return m, s.restless(), nil
}

// added looks at what is on a promotion's branch: beside davit's own change it may hold what people add to speak for the
// version, and nothing else, or whoever may push the branch would have anything merged. It is held against where the branch
// left the followed one, whatever its commits say they are: a message may be anybody's.
func (r *Reconciler) added(ctx context.Context, into *gitops.Snapshot, after *registry.Release, own gitops.FileChange, open *promoting) (snapshot *gitops.Snapshot, files []gitops.FileChange, strange string, err error) {
	if snapshot, err = r.cfg.Source.Snapshot(ctx, open.tip); err != nil {
		return nil, nil, "", err
	}
	if has, err := snapshot.ReadFile(own.Path); err != nil || !bytes.Equal(has, own.Content) {
		return nil, nil, fmt.Sprintf("%s is another on its branch; a person is to merge it", own.Path), nil
	}
	bases, err := r.cfg.Source.MergeBases(ctx, into.Hash(), open.tip)
	if err != nil {
		return nil, nil, "", err
	}
	if len(bases) > 1 { // what a merge makes of it is not seen in its files
		return nil, nil, "its branch took in several others; a person is to merge it", nil
	}
	evidence, approvals := gate.EvidenceDir(after)+"/", gate.ApprovalsDir(after.Key(), after.ModelVersion.Name)+"/"
	paths, err := r.cfg.Source.Differ(ctx, bases[0], open.tip)
	for _, p := range paths {
		switch {
		case p == own.Path:
		case strings.HasPrefix(p, evidence), strings.HasPrefix(p, approvals):
			files = append(files, gitops.FileChange{Path: p, From: open.tip})
		default:
			return nil, nil, fmt.Sprintf("its branch changes %s, too; a person is to merge it", p), nil
		}
	}
	if err != nil || len(files) == 0 || len(gate.Gates(after, r.cfg.Grants[after.Environment.Name].Policy).Approvals) == 0 {
		return snapshot, files, "", err
	}
	// What was approved is the branch; the merge must be no other.
	paths, err = r.cfg.Source.Differ(ctx, bases[0], into.Hash())
	for _, p := range paths {
		if after.Owns(p) && p != own.Path || strings.HasPrefix(p, evidence) {
			return nil, nil, fmt.Sprintf("%s changed after its branch began; merge %s into that, and approve again where it is wanted", p, r.cfg.Source.Branch()), nil
		}
	}
	return snapshot, files, "", err
}

// gated says which gate is not open; one that nobody can tell of is not. It needs the release's state.work.
func (r *Reconciler) gated(ctx context.Context, e errand, s *state, t *target) (waits string, err error) {
	findings, _, err := r.checkGates(ctx, s, t)
	for _, f := range findings {
		if f.State == gate.Passed {
			continue
		}
		if !f.Until.IsZero() {
			r.errands.later(e, f.Until.Sub(r.cfg.Now()))
		}
		if waits == "" {
			waits = fmt.Sprintf("gate %s: %s", f.Gate, f.Message)
		}
	}
	return waits, err
}

// restless says why a release is not to be moved by a rule now. It needs s.work.
func (s *state) restless() string {
	switch mr := s.release; {
	case mr == nil:
		return "the release is not in the cluster yet"
	case mr.Spec.Suspend != nil:
		return "the release is suspended"
	case mr.Spec.Pin != nil:
		return "a person pinned the release"
	case mr.Pending(), mr.Status.Phase == v1alpha1.Progressing, mr.Status.Phase == v1alpha1.Waiting:
		return "the release is on its way to another revision"
	}
	return ""
}

// mergePromotion merges it, and has it tried again where that is refused.
func (r *Reconciler) mergePromotion(ctx context.Context, e errand, want *desired, release *registry.Release, open *promoting, m merging) (waits string, err error) {
	waits, refused, err := r.merge(ctx, proposed{
		number: open.number, where: open.where, tip: open.tip, onto: want.snapshot.Hash(), merging: m,
		title: fmt.Sprintf("Promote %s to %s", e.key, open.version),
		body:  fmt.Sprintf("Merged by the rule of %s: its gates have passed.\n\n%s", e.key, promotionTrailers(release, open.version)),
	})
	switch {
	case errors.Is(err, gitops.ErrMoved):
		r.errands.later(e, company)
		return "", nil
	case err != nil || waits != "":
		return waits, err
	case refused != nil:
		open.refused++
		waits, again, err := r.refusedMerge(ctx, open.number, open.refused, refused)
		r.errands.later(e, again)
		return waits, err
	}
	open.refused = 0
	r.cfg.Metrics.Promotion(e.key.Environment, "merged")
	r.cfg.Log.Info("a promotion was merged by its rule", "release", e.key.String(), "version", open.version, "where", open.where)
	return "", nil
}

// proposed is a branch of davit's that is to be merged.
type proposed struct {
	number    int // of the pull request; 0 when there is none
	where     string
	tip, onto gitops.Hash // the branch, and the followed one as it was looked at
	merging
	title, body string // of the commit; the body's last paragraph is trailers
}

// merge merges a proposal: by the forge, which holds it against what protects the branch; or else by a commit on the
// followed branch, where nobody has that checked out. It waits for a person, or was refused by the forge for what may pass.
func (r *Reconciler) merge(ctx context.Context, p proposed) (waits string, refused *forge.Error, err error) {
	body := p.body + mergedTrailer + "auto\n"
	if p.number > 0 {
		body += "Pull-Request: " + p.where + "\n"
	}
	switch {
	case r.cfg.Forge != nil && p.number == 0:
		return "its branch has no pull request; open one", nil, nil // past the forge nobody merges
	case r.cfg.Forge != nil:
		err = r.cfg.Forge.Merge(ctx, p.number, forge.Merge{Head: p.tip.String(), Title: p.title, Message: body})
	default:
		_, err = r.cfg.Source.Advance(ctx, gitops.Proposal{
			Base: p.onto, Files: p.files, Message: p.title + "\n\n" + body, Author: *r.cfg.Committer,
		}, p.branch)
	}
	switch {
	case err == nil:
		r.cfg.Source.Notify()
		return "", nil, nil
	case errors.Is(err, gitops.ErrReadOnly):
		return line(err.Error()), nil, nil
	case errors.As(err, &refused) && refused.RetryAfter == 0:
		return "", refused, nil
	}
	return "", nil, err
}

// What a forge refuses it may let pass soon: a pull request that was just opened or pushed is not yet known to be without
// conflicts. It is told after that many tries.
const patience = 4

// refusedMerge tells people on the pull request, once, that the forge does not let it be merged, and says when to try again:
// later each time.
func (r *Reconciler) refusedMerge(ctx context.Context, number, times int, refused *forge.Error) (waits string, again time.Duration, err error) {
	again = min(time.Second<<min(times, 10), 10*time.Minute)
	if times < patience {
		return "", again, nil
	}
	why := line(refused.Error())
	text := fmt.Sprintf("The rule would merge this now, and the forge refuses: %s. It is tried again, and merged when the forge lets it.", plain(why))
	return "the forge refuses: " + why, again, r.cfg.Forge.Comment(ctx, number, "merge", text)
}
