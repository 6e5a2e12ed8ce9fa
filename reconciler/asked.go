package reconciler

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/gitops/forge"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
)

// Asker is a person who asks davit for something, by what they are known by where they logged in.
type Asker struct{ Name, Email string }

// ErrReadOnly says that davit has no identity to commit with: it proposes nothing.
var ErrReadOnly = errors.New("davit does not write to this repository: it has no committer")

// RollbackBranch is where it is proposed that a release goes back because a person asks for it.
func RollbackBranch(key registry.Key) string { return gitops.OwnBranches + "rollback/" + key.String() }

// AskedBranch is where the promotion of a release is proposed that a person asks for. That of its rule is another: it goes
// when the rule does.
func AskedBranch(key registry.Key) string { return gitops.OwnBranches + "asked/" + key.String() }

// Promote proposes, for a person, that a release gets the version it has in another environment, as davit promote does. It
// returns where the proposal is: the URL of a pull request, or a branch. It may be called concurrently.
func (r *Reconciler) Promote(ctx context.Context, by Asker, from, to registry.Key, reason string) (where string, err error) {
	base, models, err := r.proposesOn(ctx)
	if err != nil {
		return "", err
	}
	p, err := NewPromotion(base, models, from, to, "")
	if err != nil {
		return "", err
	}
	text := by.signs(p.Message(oneLine(reason)))
	return r.proposeFor(ctx, gitops.Proposal{Branch: AskedBranch(to), Base: base.Hash(), Files: []gitops.FileChange{p.File}, Message: text})
}

// GoBack proposes, for a person, that a release goes back to a version, and changes nothing else. Unlike davit rollback it
// pins nothing: what serves goes on until that is merged. It may be called concurrently.
func (r *Reconciler) GoBack(ctx context.Context, by Asker, key registry.Key, version, reason string) (where string, err error) {
	base, models, err := r.proposesOn(ctx)
	if err != nil {
		return "", err
	}
	now := models.Release(key)
	switch {
	case now == nil:
		return "", fmt.Errorf("%s is not in the registry at %.12s, or has a fault there", key, base.Hash())
	case now.ModelVersion.Name == version:
		return "", fmt.Errorf("the branch asks for %s already", version)
	case now.Model.Versions[version] == nil:
		return "", fmt.Errorf("model %s has no version %q (have %s)", now.Model.Name, version, someVersions(now.Model.Versions))
	}
	name, text, err := registry.WithVersion(base, key, version)
	if err != nil {
		return "", err
	}
	message := fmt.Sprintf("Roll %s back to %s\n\n%s\n\n%s turned away from %s, and nothing else changes.\n\nDavit-Release: %s\n",
		key, version, oneLine(reason), by.name(), now.ModelVersion.Name, key)
	return r.proposeFor(ctx, gitops.Proposal{
		Branch: RollbackBranch(key), Base: base.Hash(), Files: []gitops.FileChange{{Path: name, Content: text}}, Message: by.signs(message),
	})
}

// proposesOn is what proposals are made on now.
func (r *Reconciler) proposesOn(ctx context.Context) (*gitops.Snapshot, *registry.Registry, error) {
	if r.cfg.Committer == nil {
		return nil, nil, ErrReadOnly
	}
	want := r.desired.Load()
	if want == nil {
		return nil, nil, errors.New("no commit was followed yet")
	}
	want, err := r.onBase(ctx, want)
	if err != nil {
		return nil, nil, err
	}
	return want.snapshot, want.models, nil
}

// proposeFor pushes a person's proposal and opens its pull request.
func (r *Reconciler) proposeFor(ctx context.Context, p gitops.Proposal) (where string, err error) {
	p.Author = *r.cfg.Committer
	_, err = r.cfg.Source.Propose(ctx, p)
	switch {
	case errors.Is(err, gitops.ErrForeignBranch):
		return "", fmt.Errorf("branch %s has commits of a person, who goes on with it: merge it, or delete it first", p.Branch)
	case errors.Is(err, gitops.ErrNoChange):
		return "", errors.New("the branch asks for that already")
	case err != nil:
		return "", err
	}
	title, body, _ := strings.Cut(p.Message, "\n\n")
	r.cfg.Log.Info("proposed for a person", "branch", p.Branch, "what", title)
	if r.cfg.Forge == nil {
		return p.Branch, nil
	}
	pr, err := r.cfg.Forge.Propose(ctx, forge.PullRequest{Branch: p.Branch, Base: r.cfg.Source.Branch(), Title: title, Body: body})
	if err != nil {
		return "", fmt.Errorf("branch %s is pushed, and its pull request not opened: %w", p.Branch, err)
	}
	return pr.URL, nil
}

// Suspend stops a release, for a time or, by zero, until it is resumed; Resume ends that, a hold and a pin. Both return when
// the cluster has it.
func (r *Reconciler) Suspend(ctx context.Context, by Asker, key registry.Key, span time.Duration, reason string) error {
	stop := v1alpha1.Suspend{By: by.name(), Reason: oneLine(reason)}
	if span > 0 {
		until := metav1.NewTime(r.cfg.Now().Add(span).Truncate(time.Second))
		stop.Until = &until
	}
	return r.ask(ctx, key, func(spec *v1alpha1.ModelReleaseSpec) { spec.Suspend = &stop })
}

// Resume is described with Suspend.
func (r *Reconciler) Resume(ctx context.Context, by Asker, key registry.Key) error {
	request := &v1alpha1.Request{Action: v1alpha1.Resume, At: metav1.NowMicro(), By: by.name()}
	return r.ask(ctx, key, func(spec *v1alpha1.ModelReleaseSpec) { spec.Suspend, spec.Pin, spec.Request = nil, nil, request })
}

func (r *Reconciler) ask(ctx context.Context, key registry.Key, change func(*v1alpha1.ModelReleaseSpec)) error {
	r.mu.Lock()
	s := r.states[key]
	r.mu.Unlock()
	c := r.Cluster(key.Environment)
	if s == nil || c == nil || !s.inCluster.Load() {
		return fmt.Errorf("%s is not in the cluster", key)
	}
	mr, err := c.Release(ctx, s.place.Load(), key.Environment, key.Name)
	if err != nil {
		return err
	}
	if mr == nil {
		return fmt.Errorf("%s is not in the cluster", key)
	}
	return c.Ask(ctx, mr, change)
}

// name is the person in one line.
func (a Asker) name() string { return oneLine(a.Name) }

// signs adds to a message, which ends with trailers, who asked for it.
func (a Asker) signs(message string) string {
	name := a.name()
	message += "Davit-Asked-By: " + name + "\n"
	if email := oneLine(a.Email); email != "" && !strings.ContainsAny(email+name, "<>") {
		message += fmt.Sprintf("Co-authored-by: %s <%s>\n", name, email)
	}
	return message
}

// oneLine keeps a person's words from becoming lines, such as trailers, of a message.
func oneLine(text string) string {
	return line(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && !unicode.IsSpace(c) {
			return -1
		}
		return c
	}, text))
}
