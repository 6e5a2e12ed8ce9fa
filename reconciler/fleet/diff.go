package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// Diff is what differs between two revisions of a release.
type Diff struct {
	Registry    string   `json:"registry"`
	Environment string   `json:"environment"`
	Release     string   `json:"release"`
	From        Revision `json:"from"`
	To          Revision `json:"to"`
	// Revisions are those of the release, the newest first: what can be compared.
	Revisions []Revision `json:"revisions"`
	// Facts are what the change means, Fields those of its Serving and Release, merged, that differ.
	Facts   []plan.Fact   `json:"facts"`
	Fields  []plan.Field  `json:"fields"`
	Metrics []plan.Metric `json:"metrics"`
	Objects []plan.Object `json:"objects"`
	// Texts are the objects line by line; only where that is asked for.
	Texts  []plan.Text `json:"texts,omitempty"`
	Layers Layers      `json:"layers"`
	// Same says that nothing differs.
	Same bool `json:"same"`
	// Unified says that texts are asked for.
	Unified bool     `json:"unified"`
	Notes   []string `json:"notes,omitempty"`
}

// Title is the release's name.
func (d *Diff) Title() string { return d.Environment + "/" + d.Release + " · diff" }

// Layers are the files of two versions' model images, one layer each.
type Layers struct {
	Files []Layer `json:"files"`
	// Shared is how many bytes stay, Loads how many a node that has the old image has to load, Gone how many it needs no more.
	Shared int64 `json:"shared"`
	Loads  int64 `json:"loads"`
	Gone   int64 `json:"gone"`
}

// Layer is one file of a model image.
type Layer struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	// Change is stays, new or gone; of a file that is another it is both.
	Change string `json:"change"`
}

// side is one revision to render.
type side struct {
	commit, version, image string
	pullSecrets            []string
}

// maxSides is how many renderings are kept, and maxDiffs how many comparisons; people look at the same few again and again.
const (
	maxSides = 64
	maxDiffs = 64
)

// ErrNoRevision says that a release has no such revision.
var ErrNoRevision = errors.New("no such revision")

// Diff compares two revisions of a release, each given by a commit's hash or its beginning. Without from it is the revision
// before to, and without to the newest. It is nil when there is no such release, or it is not the viewer's to see; the error
// is ErrNoRevision for a commit that is no revision of it.
func (f *Fleet) Diff(ctx context.Context, v Viewer, name string, key registry.Key, from, to string, unified bool) (*Diff, error) {
	r := f.of(name)
	if r == nil || !v.may(name, key.Environment) {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	l := r.look()
	all, err := l.history(ctx, key, mostRevisions)
	if err != nil {
		return nil, fmt.Errorf("reading the history of %s: %w", key, err)
	}
	if len(all) == 0 && r.row(key) == nil {
		return nil, nil
	}
	out := &Diff{Registry: name, Environment: key.Environment, Release: key.Name, Revisions: all, Unified: unified,
		Facts: []plan.Fact{}, Fields: []plan.Field{}, Metrics: []plan.Metric{}, Objects: []plan.Object{}, Layers: Layers{Files: []Layer{}}}
	if mr, err := l.read(ctx, key); err == nil { // else a placeholder stands for an image that Git does not tell
		outcomes(all, mr)
	}
	if out.Revisions == nil {
		out.Revisions = []Revision{}
	}
	if err := l.choose(ctx, out, from, to); err != nil {
		return nil, err
	}
	return out, l.compare(ctx, key, out)
}

// choose finds both sides.
func (l *look) choose(ctx context.Context, d *Diff, from, to string) error {
	at := 0
	if to != "" {
		if at = find(d.Revisions, to); at < 0 {
			d.To = l.other(ctx, to)
		}
	}
	if at >= 0 && at < len(d.Revisions) {
		d.To = d.Revisions[at]
	}
	if from == "" {
		if at < 0 || at+1 >= len(d.Revisions) {
			d.Notes = append(d.Notes, "there is no revision before it to compare it with")
			d.From = d.To
		} else {
			d.From = d.Revisions[at+1]
		}
	} else if i := find(d.Revisions, from); i >= 0 {
		d.From = d.Revisions[i]
	} else {
		d.From = l.other(ctx, from)
	}
	if d.From.Commit == "" || d.To.Commit == "" {
		return ErrNoRevision
	}
	return nil
}

// find is the place of a revision by its commit or the beginning of that; -1 for none.
func find(all []Revision, commit string) int {
	if len(commit) < 4 {
		return -1
	}
	return slices.IndexFunc(all, func(r Revision) bool { return strings.HasPrefix(r.Commit, commit) })
}

// other is any commit of the followed branch, by its full hash.
func (l *look) other(ctx context.Context, commit string) (r Revision) {
	hash := gitops.ParseHash(commit)
	if hash.IsZero() || l.snapshot == nil {
		return r
	}
	if on, err := l.Source().IsAncestor(ctx, hash, l.snapshot.Hash()); err != nil || !on {
		return r
	}
	r.Commit = commit
	l.who(ctx, &r)
	return r
}

// compare fills in what differs. A revision that can't be read or rendered any more is noted.
func (l *look) compare(ctx context.Context, key registry.Key, d *Diff) error {
	if d.From.Version == "" && d.From.Outcome == "" && d.From.From != "" || d.To.Version == "" && d.To.From != "" {
		d.Notes = append(d.Notes, "the release was removed by this commit: there is nothing to compare")
		return nil
	}
	question := strings.Join([]string{key.String(), d.From.Commit, d.From.Image, d.To.Commit, d.To.Image, fmt.Sprint(d.Unified)}, "\n")
	found := l.diffs.get(question)
	if found == nil {
		var err error
		if found, err = l.compared(ctx, key, d); err != nil {
			if ctx.Err() != nil {
				return err
			}
			d.Notes = append(d.Notes, plain(gitops.RedactText(err.Error())))
			return nil
		}
		l.diffs.put(question, found)
	}
	d.Facts, d.Fields, d.Objects, d.Texts, d.Layers = orEmpty(found.Facts), orEmpty(found.Spec), found.Release.Objects, found.Texts, found.layers
	d.Metrics = orEmpty(found.Release.Metrics)
	d.From.Version, d.To.Version = cmp.Or(d.From.Version, found.Release.From), cmp.Or(d.To.Version, found.Release.To)
	d.Same = len(d.Facts)+len(d.Fields)+len(d.Objects) == 0
	if d.From.Image == "" || d.To.Image == "" {
		d.Notes = append(d.Notes, "the digest of a model image is not known; a placeholder stands for it")
	}
	return nil
}

// comparison is what is kept of a comparison.
type comparison struct {
	*plan.Revisions
	layers Layers
}

func (l *look) compared(ctx context.Context, key registry.Key, d *Diff) (*comparison, error) {
	was, err := l.revisionOf(ctx, key, side{commit: d.From.Commit, version: d.From.Version, image: d.From.Image})
	if err != nil {
		return nil, err
	}
	is, err := l.revisionOf(ctx, key, side{commit: d.To.Commit, version: d.To.Version, image: d.To.Image})
	if err != nil {
		return nil, err
	}
	found, err := plan.Compare(was, is, l.Renderer(), d.Unified)
	if err != nil {
		return nil, err
	}
	return &comparison{found, layers(was.Release.ModelVersion.Spec.Files, is.Release.ModelVersion.Spec.Files)}, nil
}

// revisionOf reads a release as a commit has it, with the version that served: one that was pinned has all but that from
// the files.
func (l *look) revisionOf(ctx context.Context, key registry.Key, s side) (plan.Revision, error) {
	snapshot, err := l.Source().Snapshot(ctx, gitops.ParseHash(s.commit))
	if err != nil {
		return plan.Revision{}, fmt.Errorf("commit %s is not here", short(s.commit))
	}
	models, err := registry.LoadRelease(snapshot, key)
	if err != nil {
		return plan.Revision{}, fmt.Errorf("reading %s at %s: %w", key, short(s.commit), err)
	}
	if r := models.Release(key); r != nil && s.version != "" && r.ModelVersion.Name != s.version {
		name, text, err := registry.WithVersion(snapshot, key, s.version)
		if err == nil {
			models, err = registry.LoadRelease(snapshot.Edited(name, text), key)
		}
		if err != nil {
			return plan.Revision{}, fmt.Errorf("reading %s at %s: %w", key, short(s.commit), err)
		}
	}
	r := models.Release(key)
	switch {
	case r != nil:
		return plan.Revision{Models: models, Release: r.WithPullSecrets(s.pullSecrets), Image: s.image}, nil
	case len(models.Broken[key]) > 0:
		return plan.Revision{}, fmt.Errorf("at %s it has a fault: %s", short(s.commit), models.Broken[key][0])
	}
	return plan.Revision{}, fmt.Errorf("%s is not in the registry at %s", key, short(s.commit))
}

// render renders one revision.
func (l *look) render(ctx context.Context, key registry.Key, s side) (*render.Output, error) {
	question := strings.Join(append([]string{key.String(), s.commit, s.version, s.image}, s.pullSecrets...), "\n")
	if out := l.sides.get(question); out != nil {
		return out, nil
	}
	r, err := l.revisionOf(ctx, key, s)
	if err != nil {
		return nil, err
	}
	out, err := l.Renderer().Release(r.Models.FS(), r.Release, s.image)
	if err != nil {
		return nil, fmt.Errorf("rendering %s at %s: %w", key, short(s.commit), err)
	}
	l.sides.put(question, out)
	return out, nil
}

// layers compares what two model images hold. A layer is a file at its path: the same bytes elsewhere are another one.
func layers(from, to []registry.File) Layers {
	out := Layers{Files: []Layer{}}
	had := map[registry.File]bool{}
	content := func(f registry.File) registry.File {
		return registry.File{Path: f.Path, SHA256: f.SHA256, Size: f.Size}
	}
	for _, f := range from {
		had[content(f)] = true
	}
	for _, f := range to {
		layer := Layer{f.Path, f.SHA256, f.Size, "new"}
		if had[content(f)] {
			layer.Change = "stays"
			delete(had, content(f))
			out.Shared += f.Size
		} else {
			out.Loads += f.Size
		}
		out.Files = append(out.Files, layer)
	}
	for f := range had {
		out.Files = append(out.Files, Layer{f.Path, f.SHA256, f.Size, "gone"})
		out.Gone += f.Size
	}
	slices.SortFunc(out.Files, func(a, b Layer) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Change, b.Change))
	})
	return out
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
