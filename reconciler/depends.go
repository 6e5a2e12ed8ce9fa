package reconciler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/davit-dev/davit/registry"
)

// dependents lists, by release, those that depend on it.
func dependents(models *registry.Registry) map[registry.Key][]registry.Key {
	users := map[registry.Key][]registry.Key{}
	for _, release := range models.Releases {
		for _, name := range release.Serving.DependsOn {
			on := registry.Key{Environment: release.Environment.Name, Name: name}
			users[on] = append(users[on], release.Key())
		}
	}
	return users
}

// lacks names a release that t's depends on and that is not healthy at what the tip asks of it; "" when all are.
// It is hopeless when that one is held or broken: then only another commit helps.
func (r *Reconciler) lacks(want *desired, t *target) (why string, hopeless bool) {
	for _, name := range t.release.Serving.DependsOn {
		on := registry.Key{Environment: t.release.Environment.Name, Name: name}
		s := r.state(on)
		input := want.keys[on]
		switch {
		case input == "":
			return fmt.Sprintf("depends on %s, which has a fault", on), true
		case s.held.Load():
			return fmt.Sprintf("depends on %s, which is held or pinned", on), true
		case !s.at(input):
			return fmt.Sprintf("depends on %s, which is not healthy at %.12s yet", on, want.since[on].String()), false
		}
	}
	return "", false
}

// parkedError is a release that waits for something that queues it when it comes.
type parkedError struct{ why string }

func (e *parkedError) Error() string { return e.why }

// errNotItsTurn leaves a release as it is until its wave begins.
var errNotItsTurn = &stuckError{errors.New("its wave has not begun")}

// turn says whether a release may go to its target now: it is granted, its wave has begun, and what it depends on
// is healthy. Otherwise it returns when to look again, or an error that says what it waits for.
func (r *Reconciler) turn(ctx context.Context, want *desired, s *state, t *target) (time.Duration, error) {
	if err := r.allowed(t.release); err != nil {
		return 0, errors.Join(&stuckError{err}, r.wait(ctx, s, t, "NotGranted", err.Error()))
	}
	if t.rollback || t.kept || t.pin != nil {
		return 0, nil // going back waits for nobody
	}
	if why := s.markedBad(t); why != "" {
		return 0, errors.Join(&stuckError{errors.New(why)}, r.wait(ctx, s, t, "VersionMarkedBad", why))
	}
	if w := want.waves[s.key]; !w.open(s.key) {
		if left := w.left(s.key); left > 0 {
			return left, nil
		}
		return 0, errNotItsTurn
	}
	why, hopeless := r.lacks(want, t)
	switch {
	case why == "":
		return 0, nil
	case hopeless:
		return 0, errors.Join(&stuckError{errors.New(why)}, r.wait(ctx, s, t, "DependsOn", why))
	}
	return 0, errors.Join(&parkedError{why}, r.wait(ctx, s, t, "DependsOn", why))
}
