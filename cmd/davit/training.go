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

// training renders the run that a training's spec makes, of a sweep one after the other.
func (p rendering) training(key string) error {
	t, err := trainingOf(p.models, key)
	if err != nil {
		return err
	}
	tellUnlocked(p.cmd.ErrOrStderr(), t)
	if err := p.folder(); err != nil {
		return err
	}
	ref := ""
	if t.BaseVersion != nil {
		if ref, err = p.modelImage(t.BaseRepository(), t.BaseVersion); err != nil {
			return err
		}
	}
	for i, trial := range t.Trials() {
		if i > 0 && p.overlays == "" {
			fmt.Fprintln(p.cmd.OutOrStdout(), "---")
		}
		if err := p.run(trial, ref); err != nil {
			return err
		}
	}
	return nil
}

// run renders one run: a training's only one, or a trial of its sweep.
func (p rendering) run(t *registry.Training, ref string) error {
	fsys, key := p.models.FS(), t.Key()
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

// renders says why a training's run can't be rendered. Of a sweep the first and the last are: trials differ in the values of
// arguments alone, and a thousand of them take seconds. inClear is render.Output's.
func renders(fsys fs.FS, t *registry.Training) (inClear []string, err error) {
	ref := ""
	if t.BaseVersion != nil {
		ref = image.Placeholder(t.BaseRepository())
	}
	trials := t.Trials()
	for _, trial := range slices.Compact([]*registry.Training{trials[0], trials[len(trials)-1]}) {
		hash, err := trial.RunHash(fsys)
		if err != nil {
			return nil, err
		}
		out, err := render.Training(fsys, trial, hash, ref)
		if err != nil {
			return nil, err
		}
		inClear = out.InClear
	}
	return inClear, nil
}
