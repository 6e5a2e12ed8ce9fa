package plan

import (
	"fmt"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// Revision is a release at one commit.
type Revision struct {
	// Models is the registry there, or the part of it that the release needs.
	Models  *registry.Registry
	Release *registry.Release
	// Image is the model image; a placeholder when it is "".
	Image string
}

// Revisions is what differs between two revisions of a release, whatever policies said to them.
type Revisions struct {
	// Release has what is another in the words of its files, its metrics and its objects.
	Release Release
	// Facts are what that means, in lines, without the metrics.
	Facts []Fact
	// Spec are the fields of the Release, laid over its Serving and the registry's defaults, that differ.
	Spec []Field
	// Texts are the objects that differ as YAML; nil unless they were asked for.
	Texts []Text
}

// Fact is one line: what, before, and after. Either may be "".
type Fact struct {
	What string `json:"what"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Compare tells it. The renderer may be nil, and texts asks for Texts. That one of them does not render is an error.
func Compare(from, to Revision, renderer *render.Renderer, texts bool) (*Revisions, error) {
	if renderer == nil {
		renderer = &render.Renderer{}
	}
	was, err := from.render(renderer)
	if err != nil {
		return nil, err
	}
	is, err := to.render(renderer)
	if err != nil {
		return nil, err
	}
	p := &pair{was: from.Release, is: to.Release}
	p.Release = Release{
		Release: to.Release.Key().String(), Change: Modify, Team: to.Release.Team, From: from.Release.ModelVersion.Name, To: to.Release.ModelVersion.Name,
	}
	p.mean()
	p.Objects = objects(was, is)
	for i := range p.Objects {
		if fields := p.Objects[i].shown(); len(fields) > 0 {
			p.Objects[i].Fields = fields
		}
	}
	out := &Revisions{Release: p.Release, Spec: spec(from.Release, to.Release)}
	told := p.Release
	told.Metrics = nil
	for _, f := range told.facts() {
		out.Facts = append(out.Facts, Fact{f.what, f.from, f.to})
	}
	if texts {
		out.Texts = differing(was, is)
	}
	return out, nil
}

func (r Revision) render(renderer *render.Renderer) (*render.Output, error) {
	ref := r.Image
	if ref == "" {
		ref = image.Placeholder(r.Release.Repository())
	}
	out, err := renderer.Release(r.Models.FS(), r.Release, ref)
	if err != nil {
		return nil, fmt.Errorf("rendering %s at %s: %w", r.Release.Key(), r.Release.ModelVersion.Name, err)
	}
	return out, nil
}
