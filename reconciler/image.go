package reconciler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/davit-dev/davit/registry/image"
)

// errSuperseded ends the building of an image that no commit and no person asks for any more.
var errSuperseded = errors.New("something else is asked for by now")

// image finds or builds a target's model image, until a newer commit changes the release's inputs or a person its spec:
// weights can take hours to upload, and neither the revert of their promotion nor a pin waits for them.
func (r *Reconciler) image(ctx context.Context, s *state, t *target) (result image.Result, err error) {
	ctx, traced := stage(ctx, "image")
	defer func() {
		traced(err, attribute.Bool("davit.built", result.Built), attribute.Int64("davit.uploaded", result.BytesUploaded))
	}()
	defer r.site(s.key.Environment).pulse.builds()()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fixed := t.rollback || t.kept || t.pin != nil
	s.build.Store(&building{key: t.key, fixed: fixed, release: s.release, cancel: func() { cancel(errSuperseded) }})
	defer s.build.Store(nil)
	if !fixed && r.wanted(s.key.Environment).keys[s.key] != t.key {
		return image.Result{}, errSuperseded // it came before there was something to cancel
	}
	policies, err := r.policies(s.key.Environment)
	if err != nil {
		return image.Result{}, err
	}
	began := time.Now()
	result, err = r.cfg.Images.Ensure(ctx, t.snapshot, t.release.Repository(), t.release.ModelVersion, r.access(s.key.Environment))
	if err != nil && context.Cause(ctx) == errSuperseded {
		return image.Result{}, errSuperseded
	}
	r.ensured(s.key.Environment, began, result, err)
	if err == nil {
		err = r.cfg.Images.Verify(ctx, result.Ref, t.release.ModelVersion, policies...)
	}
	return result, err
}

// policies are what an environment asks of images at the tip, also of the image that a rollback goes to.
func (r *Reconciler) policies(environment string) ([]image.Policy, error) {
	policies := slices.Clone(r.cfg.Grants[environment].Images)
	env := r.wanted(environment).models.Environments[environment]
	if env == nil || len(env.Spec.Images.Keys) == 0 {
		return policies, nil
	}
	policy, err := imagePolicy(env.Spec.Images.Keys, env.Spec.Images.Provenance)
	if err != nil {
		return nil, fmt.Errorf("%s: images.keys: %w", env.Path, err)
	}
	return append(policies, policy), nil
}

func imagePolicy(keys []string, provenance bool) (p image.Policy, err error) {
	p.Keys, err = image.ParsePublicKeys([]byte(strings.Join(keys, "\n")))
	p.Provenance = provenance
	return p, err
}

// point moves the tag that follows the release, if its environment wants one. Nothing depends on it.
func (r *Reconciler) point(ctx context.Context, s *state, t *target) {
	tag := t.release.Environment.Spec.Images.Tag
	if tag == "" {
		return
	}
	if t.release.Name != t.release.Model.Name {
		tag += "-" + t.release.Name
	}
	err := fmt.Errorf("it is the name of a version of %s, which never moves", t.release.Model.Name)
	if t.release.Model.Versions[tag] == nil {
		err = r.cfg.Images.Point(ctx, tag, s.release.Status.Applied.Image)
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.Warn("tag not moved", "release", s.key.String(), "tag", tag, "error", err)
	}
}

// supersede cancels the builds for inputs that are no longer desired.
func (r *Reconciler) supersede(tip *desired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, s := range r.states {
		if b := s.build.Load(); b != nil && !b.fixed && tip.behind[key.Environment].why == nil && b.key != tip.keys[key] {
			b.cancel()
		}
	}
}
