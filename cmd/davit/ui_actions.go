package main

import (
	"context"
	"fmt"
	"time"

	"github.com/davit-dev/davit/reconciler"
	"github.com/davit-dev/davit/reconciler/web"
	"github.com/davit-dev/davit/registry"
)

// pageActions does what the page is asked for by the loop that follows the registry.
type pageActions struct{ *pageServer }

func (a *pageActions) loop(name string) (*reconciler.Reconciler, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.loops[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("registry %q is not followed now; try again in a moment", name)
}

func (a *pageActions) Promote(ctx context.Context, by web.User, name string, release registry.Key, from, reason string) (string, error) {
	r, err := a.loop(name)
	if err != nil {
		return "", err
	}
	return r.Promote(ctx, asker(by), registry.Key{Environment: from, Name: release.Name}, release, reason)
}

func (a *pageActions) Rollback(ctx context.Context, by web.User, name string, release registry.Key, version, reason string) (string, error) {
	r, err := a.loop(name)
	if err != nil {
		return "", err
	}
	return r.GoBack(ctx, asker(by), release, version, reason)
}

func (a *pageActions) Suspend(ctx context.Context, by web.User, name string, release registry.Key, span time.Duration, reason string) error {
	r, err := a.loop(name)
	if err != nil {
		return err
	}
	return r.Suspend(ctx, asker(by), release, span, reason)
}

func (a *pageActions) Resume(ctx context.Context, by web.User, name string, release registry.Key) error {
	r, err := a.loop(name)
	if err != nil {
		return err
	}
	return r.Resume(ctx, asker(by), release)
}

func asker(by web.User) reconciler.Asker { return reconciler.Asker{Name: by.Name, Email: by.Email} }
