package why

import (
	"context"
	"fmt"
	"slices"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/render"
)

// Question is what is asked at one commit.
type Question struct {
	// Tip is the commit at which the object is as it is asked for.
	Tip gitops.Hash
	// Release has the object.
	Release registry.Key
	// Object is one of the release's.
	Object Object
	// Field of the object; all of it when empty.
	Field Path
	// Version, when set, takes the place of the version that the release has at Tip: a person pinned it.
	Version string
}

// Answer is where it comes from.
type Answer struct {
	// Release is the release at the question's tip.
	Release *registry.Release
	// Object is the kind and full name of the object there.
	Object string
	// Value of the field, nil when the whole object was asked for. A model image is called by its version, since only
	// what builds it knows its digest.
	Value any
	// Pinned says that it is so because of the question's Version, and would be otherwise by Commit and Lines.
	Pinned bool
	// Commit is the first-parent commit that made the object or field what it is.
	Commit gitops.Commit
	// Written is the commit that Commit merged it from; nil when it is none, or when merging itself made the difference.
	Written *gitops.Commit
	// Created says that the release came with Commit: the lines are then those that say the value now.
	Created bool
	// Removed says that there is nothing any more: Commit took it away.
	Removed bool
	// Lines are where it is said, ordered by path; none when no file says it.
	Lines []Line
	// Files are those that say anything of the object, when no field was asked for.
	Files []string
	// Davit says what sets the value when no file does.
	Davit string
}

// Line is one line of a file.
type Line struct {
	Path string
	// Number is that at the question's tip where the line still stands there; 0 stands for the whole file.
	Number int
	Text   string
	// Gone says that the commit took the line away.
	Gone bool
	// Commit is what the line itself comes from.
	Commit gitops.Commit
}

// Ask finds the answer. It costs about a millisecond for each commit that touched the release and each scalar that is
// tried. An error tells of a release with a fault at the tip, an object or a field that it does not have.
func Ask(ctx context.Context, source *gitops.Source, q Question) (*Answer, error) {
	a := &asker{source: source, q: q, renderer: new(render.Renderer)}
	snapshot, err := source.Snapshot(ctx, q.Tip)
	if err != nil {
		return nil, err
	}
	a.tip = snapshot
	is, err := a.look(snapshot)
	switch {
	case err != nil:
		return nil, err
	case is.fault != nil:
		return nil, fmt.Errorf("%s has a fault at %.12s: %w", q.Release, q.Tip, is.fault)
	case is.release == nil:
		return nil, fmt.Errorf("%s is not in the registry at %.12s", q.Release, q.Tip)
	case is.object == "":
		return nil, fmt.Errorf("%s has no %s at %.12s", q.Release, q.Object, q.Tip)
	}
	out := &Answer{Release: is.release, Object: is.object}
	f, err := a.walk(ctx, snapshot, is, nil)
	if err != nil {
		return nil, err
	}
	if !is.there && f.was.release == nil {
		return nil, fmt.Errorf("%s has no field %s; davit render %s prints what it has", is.object, q.Field, q.Release)
	}
	out.Commit, out.Created, out.Removed = f.commit, f.was.release == nil, !is.there
	if len(q.Field) > 0 {
		out.Value = a.shown(is)
	}
	if err := a.pinned(is, out); err != nil {
		return nil, err
	}
	if out.Written, err = a.written(ctx, f); err != nil {
		return nil, err
	}
	if out.Created || len(q.Field) == 0 {
		a.brief = !out.Created
		if out.Lines, err = a.present(ctx, is); err != nil {
			return nil, err
		}
	}
	if len(q.Field) == 0 {
		for _, l := range out.Lines {
			out.Files = append(out.Files, l.Path)
		}
		out.Files = slices.Compact(out.Files)
	}
	if a.brief = false; !out.Created {
		if out.Lines, err = a.changed(ctx, f); err != nil {
			return nil, err
		}
	}
	if len(out.Lines) == 0 && len(q.Field) > 0 {
		out.Davit = own(q.Field)
	}
	return out, a.blame(ctx, f, out)
}

// pinned finds what a pinned version makes of it.
func (a *asker) pinned(is sight, out *Answer) error {
	if a.q.Version == "" || a.q.Version == is.release.ModelVersion.Name {
		return nil
	}
	data, err := content(a.tip, is.release.Path)
	if err != nil {
		return err
	}
	file, ok := parse(data)
	if !ok {
		return nil
	}
	for _, s := range file.scalars {
		if s.path != "spec.version" {
			continue
		}
		with, err := a.look(edited{a.tip, map[string][]byte{is.release.Path: file.with(s.node, a.q.Version)}})
		if err != nil {
			return err
		}
		if with.fault != nil {
			return fmt.Errorf("%s at its pinned version: %w", a.q.Release, with.fault)
		}
		if out.Pinned = !with.same(is); out.Pinned && len(a.q.Field) > 0 {
			out.Value = a.shown(with)
		}
	}
	return nil
}

// asker answers one question.
type asker struct {
	source   *gitops.Source
	q        Question
	renderer *render.Renderer
	tip      *gitops.Snapshot
	trail    []touch // newest first
	brief    bool    // one line of a file is enough
}

// touch is a commit that changed files of the release, and which.
type touch struct {
	commit gitops.Commit
	paths  []string
}
