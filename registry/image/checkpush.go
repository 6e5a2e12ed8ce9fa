package image

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// CheckPush asks the OCI registry whether one may push to a repository, as Build would. It begins an upload and leaves it
// empty: nothing is stored.
func (b *Builder) CheckPush(ctx context.Context, repository string) error {
	repo, err := name.NewRepository(repository)
	if err != nil {
		return err
	}
	if err := remote.CheckPushPermission(repo.Tag("latest"), b.cfg.Keychain, bounded(ctx, b.cfg.Transport)); err != nil {
		return fmt.Errorf("beginning an upload to %s: %w", repo, err)
	}
	return nil
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// bounded ends the requests of a function that takes no context with ctx.
func bounded(ctx context.Context, next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) { return next.RoundTrip(r.WithContext(ctx)) })
}
