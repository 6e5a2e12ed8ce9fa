package main

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// training renders the run that a training's spec makes.
func (p rendering) training(key string) error {
	t, err := trainingOf(p.models, key)
	if err != nil {
		return err
	}
	if err := p.folder(); err != nil {
		return err
	}
	ref := ""
	if t.BaseVersion != nil {
		if ref, err = p.modelImage(t.BaseRepository(), t.BaseVersion); err != nil {
			return err
		}
	}
	fsys := p.models.FS()
	hash, err := t.RunHash(fsys)
	if err != nil {
		return err
	}
	if p.overlays != "" {
		tree, err := render.TrainingOverlay(fsys, t, hash, ref)
		if err != nil {
			return fmt.Errorf("rendering %s: %w", key, err)
		}
		return p.write(t.Environment.Name+"/"+t.RunName(hash), tree)
	}
	out, err := render.Training(fsys, t, hash, ref)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", key, err)
	}
	_, err = p.cmd.OutOrStdout().Write(out.YAML)
	return err
}

// trainingOf finds a sound training by MODEL/NAME.
func trainingOf(models *registry.Registry, key string) (*registry.Training, error) {
	if t := models.Trainings[key]; t != nil {
		return t, nil
	}
	if faults := models.BrokenTrainings[key]; len(faults) > 0 {
		return nil, fmt.Errorf("training %s has a fault: %s", key, faults[0])
	}
	if model, name, ok := strings.Cut(key, "/"); !ok || model == "" || name == "" {
		return nil, usage{fmt.Errorf("%q is not MODEL/NAME, such as iris/finetune", key)}
	}
	have := slices.Sorted(maps.Keys(models.Trainings))
	if len(have) == 0 {
		return nil, fmt.Errorf("no training %q; write one as models/<model>/training/<name>.yaml", key)
	}
	return nil, fmt.Errorf("no training %q (have %s)", key, strings.Join(have, ", "))
}

// renders says why a training's run can't be rendered.
func renders(fsys fs.FS, t *registry.Training) error {
	ref := ""
	if t.BaseVersion != nil {
		ref = image.Placeholder(t.BaseRepository())
	}
	hash, err := t.RunHash(fsys)
	if err == nil {
		_, err = render.Training(fsys, t, hash, ref)
	}
	return err
}
