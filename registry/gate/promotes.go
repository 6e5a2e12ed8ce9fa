package gate

import (
	"slices"

	"github.com/davit-dev/davit/registry"
)

// Promotes says whether after is a promotion: whether its gates are asked. It is one where before, nil for none, had
// another model, another version, or other files under that version's name; where they are fetched from is no matter.
func Promotes(before, after *registry.Release) bool {
	if before == nil {
		return true
	}
	was, is := before.ModelVersion, after.ModelVersion
	return was.Model != is.Model || was.Name != is.Name || !slices.EqualFunc(was.Spec.Files, is.Spec.Files, func(a, b registry.File) bool {
		return a.Path == b.Path && a.SHA256 == b.SHA256 && a.Size == b.Size
	})
}

// Promotions are the releases of after, in order, that before had not or had at something else. A release that had a
// fault before counts as one that was not there.
func Promotions(before, after *registry.Registry) (promoted []*registry.Release) {
	for _, r := range after.Releases {
		if Promotes(before.Release(r.Key()), r) {
			promoted = append(promoted, r)
		}
	}
	return promoted
}
