package reconciler

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry/image"
)

// source is the grant that covers a URI, the most specific one.
func (g Grant) source(uri string) (best v1alpha1.SourceGrant, granted bool) {
	for _, s := range g.Sources {
		if within(uri, s.Prefix) && (!granted || len(s.Prefix) > len(best.Prefix)) {
			best, granted = s, true
		}
	}
	return best, granted
}

func (g Grant) prefixes() string {
	if len(g.Sources) == 0 {
		return "files in the repository"
	}
	var list []string
	for _, s := range g.Sources {
		list = append(list, s.Prefix)
	}
	return strings.Join(list, ", ")
}

// access reads sources with what was granted for them, and only those.
func (g Grant) access(ctx context.Context, uri string) (image.Secret, error) {
	s, granted := g.source(uri)
	if !granted {
		return nil, fmt.Errorf("not granted (granted: %s)", g.prefixes())
	}
	if s.Secret == "" {
		return nil, nil
	}
	secret, err := g.Secret(ctx, s.Secret)
	if err == nil && len(secret) == 0 {
		err = fmt.Errorf("the Secret %s is empty", s.Secret)
	}
	return secret, err
}

// access is how an environment's model files are read; nil where all may be, with davit's own credentials.
func (r *Reconciler) access(environment string) image.Access {
	if grant, ok := r.cfg.Grants[environment]; ok {
		return grant.access
	}
	return nil
}

// within says whether a URI is at or below a prefix: "s3://models/iris" is below "s3://models", "s3://models-b" is
// not, and neither is anything that climbs out.
func within(uri, prefix string) bool {
	rest, ok := strings.CutPrefix(uri, prefix)
	plain, err := url.PathUnescape(rest) // %2e%2e climbs, too
	if !ok || err != nil || strings.Contains(plain, "..") {
		return false
	}
	scheme, _, _ := strings.Cut(prefix, "://")
	mark := map[string]byte{"oci": '@', "hf": '@', "s3": '?', "gs": '?', "azblob": '?'}[scheme] // repository@revision, key?version
	return rest == "" || strings.HasSuffix(prefix, "/") || rest[0] == '/' || mark != 0 && rest[0] == mark
}
