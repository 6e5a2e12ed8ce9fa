package main

import (
	"context"
	"fmt"
	"path"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/davit-dev/davit/gitops"
)

// bad marks the version that is left as one that nobody is promoted to.
func (w *way) bad(ctx context.Context, source *gitops.Source, reason string) (gitops.FileChange, error) {
	release, err := releaseIn(ctx, source, w.tip, w.key)
	if err != nil {
		return gitops.FileChange{}, err
	}
	type spec struct {
		Reason string `json:"reason"`
		By     string `json:"by,omitempty"`
		At     string `json:"at,omitempty"`
	}
	data, err := yaml.Marshal(struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       spec   `json:"spec"`
	}{"davit.dev/v1alpha1", "BadVersion", spec{reason, w.by, time.Now().UTC().Format(time.RFC3339)}})
	if err != nil {
		return gitops.FileChange{}, fmt.Errorf("marking %s: %w", w.from.Version, err)
	}
	return gitops.FileChange{Path: path.Join(path.Dir(release.Model.Path), "bad", w.from.Version+".yaml"), Content: data}, nil
}
