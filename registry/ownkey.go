package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
)

// OwnKey is a hash over the release's own files, of what [Release.InputKey] covers: a release whose own key stays moves by
// files of others alone. fsys is the tree r was loaded from.
func (r *Release) OwnKey(fsys fs.FS) (string, error) {
	paths, err := r.ownInputs(fsys)
	if err != nil {
		return "", err
	}
	b, err := appendBlobs(nil, fsys, paths)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
