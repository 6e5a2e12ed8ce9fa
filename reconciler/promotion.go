package reconciler

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// Promotion is what gives a release the version that it has in another environment.
type Promotion struct {
	// From is the release that has the version, To the one that gets it.
	From, To registry.Key
	Version  *registry.ModelVersion
	// Before is the version it replaces; "" for none.
	Before string
	// File is what changes: the line of To's file that names the version, or the file, where there was none.
	File gitops.FileChange
}

// NewPromotion makes the promotion of a version, or by "" of the one that from has, on top of a commit and its registry.
// One that can't be is refused with what to do.
func NewPromotion(snapshot *gitops.Snapshot, models *registry.Registry, from, to registry.Key, version string) (*Promotion, error) {
	p := &Promotion{From: from, To: to}
	if err := p.choose(models, snapshot.Hash(), version); err != nil {
		return nil, err
	}
	return p, p.write(snapshot, models)
}

// choose finds the version.
func (p *Promotion) choose(models *registry.Registry, tip gitops.Hash, version string) error {
	r := models.Release(p.From)
	if r == nil {
		if faults := models.Broken[p.From]; len(faults) > 0 {
			return fmt.Errorf("%s has a fault: %s", p.From, faults[0])
		}
		return fmt.Errorf("%s is not in the registry at %.12s; davit history shows what there is", p.From, tip)
	}
	if models.Environments[p.To.Environment] == nil {
		return fmt.Errorf("there is no environment %q at %.12s; write environments/%[1]s/environment.yaml", p.To.Environment, tip)
	}
	model := r.Model
	if now := models.Release(p.To); now != nil {
		p.Before, model = now.ModelVersion.Name, now.Model
	} else if faults := models.Broken[p.To]; len(faults) > 0 {
		return fmt.Errorf("%s has a fault, which is to be mended first: %s", p.To, faults[0])
	}
	if model.Name != r.Model.Name && version == "" {
		return fmt.Errorf("%s serves model %s and %s model %s; name the version with --version", p.From, r.Model.Name, p.To, model.Name)
	}
	if version == "" {
		version = r.ModelVersion.Name
	}
	switch p.Version = model.Versions[version]; {
	case p.Version == nil:
		return fmt.Errorf("version %q of model %q does not exist at %.12s (have %s); add it with davit add, and push it", version, model.Name, tip, someVersions(model.Versions))
	case version == p.Before:
		return fmt.Errorf("%s is at %s already; davit status %[1]s shows how it is", p.To, version)
	case p.Version.Bad != nil:
		return fmt.Errorf("version %s is marked bad (%s): %s; choose another with --version, or remove that file", version, p.Version.Bad.Path, p.Version.Bad.Spec.Reason)
	}
	return nil
}

// write makes the file's new text.
func (p *Promotion) write(snapshot *gitops.Snapshot, models *registry.Registry) error {
	if p.Before != "" {
		name, text, err := registry.WithVersion(snapshot, p.To, p.Version.Name)
		p.File = gitops.FileChange{Path: name, Content: text}
		return err
	}
	p.File.Path = path.Join(models.Release(p.From).Dir, p.To.Environment+".yaml")
	blank := fmt.Sprintf("apiVersion: %s\nkind: Release\nspec:\n\n  version: v0\n\n", registry.APIVersion)
	var err error
	_, p.File.Content, err = registry.WithVersion(snapshot.Edited(p.File.Path, []byte(blank)), p.To, p.Version.Name) // quoted where it must be
	return err
}

// Message is the commit's, and the pull request's title and body, with a reason that may be empty.
func (p *Promotion) Message(reason string) string {
	if reason != "" {
		reason += "\n\n"
	}
	what := "It replaces " + p.Before + ", and nothing else changes."
	if p.Before == "" {
		what = "It is the release's first in " + p.To.Environment + "."
	}
	return fmt.Sprintf("Promote %s to %s\n\n%s%s\n\nDavit-Release: %s\nDavit-Promotes: %s\nDavit-From: %s\n",
		p.To, p.Version.Name, reason, what, p.To, p.Version, p.From.Environment)
}

// someVersions names a model's versions.
func someVersions(versions map[string]*registry.ModelVersion) string {
	const most = 10
	names := slices.Sorted(maps.Keys(versions))
	if more := len(names) - most; more > 0 {
		return strings.Join(names[more:], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}
