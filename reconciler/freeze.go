package reconciler

import (
	"context"
	"fmt"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// frozen says which freeze keeps a release's objects as they are; nil when none does, when the same objects are applied
// again, for a way back, and for what is urgent.
func (r *Reconciler) frozen(ctx context.Context, want *desired, s *state, t *target) (*back, error) {
	if s.exempt(t) || s.release != nil && s.release.Status.Applied.ObjectsHash == t.hash && t.hash != "" {
		return nil, nil
	}
	env := t.release.Environment
	b, policy := r.freeze(env)
	if b == nil {
		return nil, nil
	}
	b.key = t.key
	was := s.stays(t)
	if was != nil && was.reason == ReasonFrozen && was.env == env && !was.unsure && was.until.Equal(b.until) {
		return was, nil // neither what is asked nor by which policy is other than it was
	}
	before, unknown, err := r.wayBack(ctx, s, t)
	if err != nil || before {
		return nil, err
	}
	signed, why, err := r.urgent(ctx, want, s, urgentOf(s, t), policy)
	if err != nil {
		return nil, err
	}
	if t.urgent = signed; signed != nil {
		r.cfg.Log.Info("an urgent change goes through a freeze", "release", s.key.String(), "by", signed.By, "why", signed.Reason)
		return nil, nil
	}
	b.why += why
	if b.unsure = unknown != ""; b.unsure && (s.release == nil || s.release.Status.Applied.Commit == "") {
		b.why += "; what was healthy here before passes, and whether this was is not known: " + unknown
	}
	return b, nil
}

// freeze is the freeze that holds in an environment, and its policy; nil when none does.
func (r *Reconciler) freeze(env *registry.Environment) (*back, registry.Policy) {
	floor := r.floorOf(env.Name)
	if len(env.Spec.Freeze) == 0 && (floor == nil || len(floor.Freeze) == 0) {
		return nil, registry.Policy{}
	}
	policy := env.Spec.Policy
	if floor != nil {
		policy = policy.And(*floor)
	}
	f, until := gate.Frozen(policy, r.cfg.Now())
	if f == nil {
		return nil, policy
	}
	if floor != nil && len(floor.Roles[registry.Urgent]) == 0 {
		if own, _ := gate.Frozen(*floor, r.cfg.Now()); own != nil { // no file names who goes through the floor's
			policy.Roles = nil
		}
	}
	reason := ""
	if f.Reason != "" {
		reason = " (" + f.Reason + ")"
	}
	return &back{
		reason: ReasonFrozen, until: until, ends: until, env: env,
		why: fmt.Sprintf("freeze %q%s: nothing new is applied to %s until %s", f.Name, reason, env.Name, moment(until)),
	}, policy
}

// wayBack says that a target was healthy here before: its very inputs, or its version where another one is applied.
func (r *Reconciler) wayBack(ctx context.Context, s *state, t *target) (before bool, unknown string, err error) {
	if s.wasHealthyAt(t.key) {
		return true, "", nil
	}
	if s.release != nil && t.versionOf(s.release.Status.Applied) {
		return false, "", nil
	}
	return r.healthyBefore(ctx, s, t)
}

// frozenRemoval says which freeze keeps a release that the registry no longer has; nil when none does.
func (r *Reconciler) frozenRemoval(ctx context.Context, want *desired, s *state) (*back, error) {
	env := want.models.Environments[s.key.Environment]
	if env == nil || s.release == nil {
		return nil, nil
	}
	b, policy := r.freeze(env)
	if b == nil {
		return nil, nil
	}
	if was := s.back.Load(); was != nil && was.reason == ReasonFrozen && was.key == "" && was.env == env && was.until.Equal(b.until) {
		return was, nil
	}
	folder := "releases/" + s.key.Name + "/"
	signed, why, err := r.urgent(ctx, want, s, change{
		since: gitops.ParseHash(s.release.Status.Applied.Commit),
		opens: func(name string) bool { return strings.HasPrefix(name, folder) || strings.Contains(name, "/"+folder) },
	}, policy)
	if err != nil || signed != nil {
		return nil, err
	}
	b.why = "its removal waits: " + b.why + why
	return b, nil
}

// removalBack keeps a release that is to be removed, and tells why.
func (r *Reconciler) removalBack(ctx context.Context, s *state, b *back) error {
	s.back.Store(b)
	if err := r.showBack(ctx, s, &target{}, b); err != nil {
		return err
	}
	return &backError{b}
}

// urgentOf is what a target changes.
func urgentOf(s *state, t *target) change {
	if s.release == nil || s.release.Status.Applied.Commit == "" {
		return change{opens: t.release.Owns, birth: t.release.Path}
	}
	applied := s.release.Status.Applied
	return change{opens: t.release.Opens, since: gitops.ParseHash(applied.Commit), inputs: applied.InputKey}
}
