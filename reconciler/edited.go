package reconciler

import (
	"io/fs"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// tree is what a release is rendered from: a snapshot, or one with another version of the release.
type tree interface {
	fs.FS
	registry.BlobHasher
	Hash() gitops.Hash
}

// withVersion is a snapshot with the version line of a release changed, and nothing else.
func withVersion(snapshot *gitops.Snapshot, key registry.Key, version string) (*gitops.Edited, error) {
	name, text, err := registry.WithVersion(snapshot, key, version)
	if err != nil {
		return nil, err
	}
	return snapshot.Edited(name, text), nil
}
