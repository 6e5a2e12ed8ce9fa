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

// lack is why a release that another depends on is not healthy at what the tip asks of it.
type lack struct {
	why      string
	hopeless bool // it is held, suspended or broken: only another commit or a person helps
	waits    bool // policy keeps it back, for days maybe
}

// lacks names a release that t's depends on and that is not healthy at what the tip asks of it; nil when all are.
func (r *Reconciler) lacks(want *desired, t *target) *lack {
	for _, name := range t.release.Serving.DependsOn {
		on := registry.Key{Environment: t.release.Environment.Name, Name: name}
		s := r.state(on)
		input := want.keys[on]
		switch {
		case input == "":
			return &lack{why: fmt.Sprintf("depends on %s, which has a fault", on), hopeless: true}
		case s.held.Load():
			return &lack{why: fmt.Sprintf("depends on %s, which is held or pinned", on), hopeless: true}
		case !s.at(input):
			b := s.back.Load()
			return &lack{
				why:      fmt.Sprintf("depends on %s, which is not healthy at %.12s yet", on, want.since[on].String()),
				waits:    b != nil && b.key == input,
				hopeless: s.still.Load(),
			}
		}
	}
	return nil
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
		r.stepAside(want, s)
		return 0, errors.Join(&stuckError{errors.New(why)}, r.wait(ctx, s, t, "VersionMarkedBad", why))
	}
	b, err := r.closed(ctx, s, t)
	if err != nil {
		return 0, err
	} else if b != nil {
		return r.stayBack(ctx, want, s, t, b)
	}
	if was := s.back.Load(); was != nil && (was.key != t.key || was.reason == ReasonGateClosed || was.reason == reasonDependsOn) {
		s.back.Store(nil)
	}
	if w := want.waves[s.key]; !w.open(s.key) {
		if left := w.left(s.key); left > 0 {
			return left, nil
		}
		return 0, errNotItsTurn
	}
	lack := r.lacks(want, t)
	if lack == nil {
		return r.permitAgain(ctx, want, s, t)
	}
	var stays error = &parkedError{lack.why}
	switch {
	case lack.hopeless:
		stays = &stuckError{errors.New(lack.why)}
	case lack.waits:
		b := &back{reason: reasonDependsOn, why: lack.why, key: t.key, env: t.release.Environment}
		r.keep(want, s, b)
		stays = &backError{b}
	}
	if lack.hopeless || lack.waits {
		r.stepAside(want, s)
	}
	return 0, errors.Join(stays, r.wait(ctx, s, t, reasonDependsOn, lack.why))
}

const reasonDependsOn = "DependsOn"
