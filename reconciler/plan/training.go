package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// trainings compares those of the chosen environments: another hash is another run.
func (c *comparison) trainings() error {
	names := slices.Collect(maps.Keys(c.before.Trainings))
	names = slices.AppendSeq(names, maps.Keys(c.after.Trainings))
	names = slices.AppendSeq(names, maps.Keys(c.after.BrokenTrainings))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		t, err := c.training(name)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		c.plan.Trainings = append(c.plan.Trainings, *t)
		switch {
		case t.Change == Broken:
			c.find(Blocks, KindBroken, t.Environment, "the training %s does not start: %s", name, t.Note)
		case t.Note != "":
			c.find(Look, KindTraining, t.Environment, "the training %s starts no run: %s; write davit's image there, with its digest, in %s",
				name, t.Note, c.after.Trainings[name].Environment.Path)
		}
	}
	return nil
}

// training is nil when nothing changes that is to be told.
func (c *comparison) training(name string) (*Training, error) {
	was, is := c.before.Trainings[name], c.after.Trainings[name]
	out := &Training{Training: name, Change: Modify}
	environment := ""
	switch {
	case is != nil:
		environment = is.Environment.Name
	case was != nil:
		environment = was.Environment.Name
	}
	if !c.Match(registry.Key{Environment: environment}) {
		return nil, nil
	}
	if out.Environment = environment; is == nil {
		faults := c.after.BrokenTrainings[name]
		switch {
		case len(faults) == 0:
			out.Change = Remove
		case was == nil && c.before.BrokenTrainings[name] != nil:
			return nil, nil // it was broken before
		default:
			out.Change, out.Note = Broken, faults[0].String()
		}
		return out, nil
	}
	runs, err := runsOf(is, c.after.FS())
	if err != nil {
		return nil, fmt.Errorf("hashing the training %s: %w", name, err)
	}
	switch {
	case was == nil:
		out.Change = Add
	case is.Environment.Publishes() && !was.Environment.Publishes(): // none could start before
	default:
		if before, err := runsOf(was, c.before.FS()); err == nil {
			runs = slices.DeleteFunc(runs, before.has)
		}
	}
	switch {
	case len(runs) > 0:
	case reflect.DeepEqual(was.Spec, is.Spec):
		return nil, nil
	default:
		return out, nil // only where, when or for how long: no run starts
	}
	out.scheduled(was, is)
	reference := ""
	if is.BaseVersion != nil {
		reference = image.Placeholder(is.BaseRepository())
	}
	first := runs[0]
	if _, err := render.Training(c.after.FS(), first.training, first.hash, reference); err != nil {
		out.Change, out.Note = Broken, err.Error()
		return out, nil
	}
	if out.Schedule != "" {
		return out, nil
	}
	if !is.Environment.Publishes() {
		out.Note = fmt.Sprintf("environment %s names no publisher.image", is.Environment.Name)
		return out, nil
	}
	out.Run, out.Nodes = is.RunName(first.hash), is.Nodes()
	if s := is.Spec.Sweep; s != nil {
		out.Runs, out.AtOnce = len(runs), atOnce(s, len(runs))
	}
	out.Accelerators, out.Accelerator = is.Nodes()*is.Spec.GPUs, is.Spec.Accelerator
	out.Deadline = length(is.Spec.Deadline.Or(registry.DefaultDeadline))
	return out, nil
}

// takes is what a run takes, and for how long.
func (t Training) takes() string {
	what := fmt.Sprintf("%d × %s", t.Accelerators, t.Accelerator)
	switch {
	case t.Accelerators == 0:
		what = counted(t.Nodes, "node") + " without accelerator"
	case t.Accelerator == "":
		what = counted(t.Accelerators, "GPU")
	}
	if t.Nodes > 1 && t.Accelerators > 0 {
		what += fmt.Sprintf(" on %d nodes", t.Nodes)
	}
	return what + " for at most " + t.Deadline
}

// count makes the totals.
func (c *comparison) count() {
	t := &c.plan.Totals
	for _, r := range c.plan.Releases {
		switch r.Change {
		case Add:
			t.Add++
		case Modify:
			t.Change++
		case Remove:
			t.Remove++
		case Broken:
			t.Broken++
		}
		for _, o := range r.Objects {
			switch o.Change {
			case Add:
				t.Objects.Add++
			case Remove:
				t.Objects.Remove++
			default:
				t.Objects.Change++
			}
		}
		if r.GPUs != nil && r.Change != Broken {
			t.GPUs += r.GPUs.To - r.GPUs.From
		}
	}
	for _, training := range c.plan.Trainings {
		if training.Run != "" {
			t.Runs++
		}
	}
}
