package web

import (
	"context"
	"time"

	"github.com/davit-dev/davit/registry"
)

// Actions are what a page can do: propose commits, and suspend. Errors are shown to whoever asked. Each is called
// concurrently.
type Actions interface {
	// Promote proposes that a release gets the version that serves in the environment from, and returns where the proposal
	// is: the URL of a pull request, or a branch.
	Promote(ctx context.Context, by User, name string, release registry.Key, from, reason string) (where string, err error)
	// Rollback proposes that a release goes back to a version.
	Rollback(ctx context.Context, by User, name string, release registry.Key, version, reason string) (where string, err error)
	// Suspend stops a release, for a time or, by zero, until it is resumed; Resume ends that.
	Suspend(ctx context.Context, by User, name string, release registry.Key, span time.Duration, reason string) error
	Resume(ctx context.Context, by User, name string, release registry.Key) error
}
