package reconciler

import (
	"path"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// markedBad says why a release is not promoted to its target's version; "" when that is not marked bad, or is what the
// release has or had last: it takes no part away from anybody, and is in nobody's way back.
func (s *state) markedBad(t *target) string {
	fault := t.release.MarkedBad(nil)
	if fault == nil || s.release != nil && (t.versionOf(s.release.Status.Applied) || t.versionOf(s.release.Status.Healthy)) {
		return ""
	}
	return fault.String()
}

// versionOf says whether a recorded revision has the target's version of its model.
func (t *target) versionOf(rev v1alpha1.Revision) bool {
	return rev.Version == t.release.ModelVersion.Name && modelOf(rev.Image, t.release.Model.Name)
}

// modelOf says whether an image by its digest is of a model.
func modelOf(image, model string) bool {
	return modelIn(image) == model
}

// modelIn is the model that an image by its digest is of.
func modelIn(image string) string {
	repository, _, _ := strings.Cut(image, "@")
	return path.Base(repository)
}
