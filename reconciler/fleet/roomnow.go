package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster/capacity"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// roomFor is for how long what clusters have is told again: it takes a list of all nodes and pods.
const roomFor = 10 * time.Second

// roomNow is what was read last of what clusters have and releases ask for.
type roomNow struct {
	mu     sync.Mutex
	at     time.Time
	states []*capacity.State // by the order of Clusters; nil for one that does not tell
	notes  []string

	renderer render.Renderer
	of       *registry.Registry
	pods     map[any][]capacity.Pods // by whose: a release's or a training's
}

// read reads nodes, pods and devices of all clusters. They may not be changed.
func (r *roomNow) read(ctx context.Context, l *look, now time.Time) ([]*capacity.State, time.Time, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && now.Sub(r.at) < roomFor && len(r.states) == len(l.Clusters()) {
		return r.states, r.at, r.notes
	}
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	clusters := l.Clusters()
	states, faults := make([]*capacity.State, len(clusters)), make([]error, len(clusters))
	var work sync.WaitGroup
	for i, c := range clusters {
		work.Go(func() { states[i], faults[i] = c.Capacity(within) })
	}
	work.Wait()
	var notes []string
	for i := range clusters {
		if faults[i] != nil {
			states[i] = nil
			notes = append(notes, "A cluster does not tell what it has: "+gitops.RedactText(faults[i].Error()))
		}
	}
	if ctx.Err() == nil {
		r.at, r.states, r.notes = now, states, notes
	}
	return states, now, notes
}

// release are the pods that a release asks for, rendered once for each commit; none where it does not render.
func (r *roomNow) release(models *registry.Registry, release *registry.Release) []capacity.Pods {
	return r.asked(models, release, func() (*render.Output, error) {
		return r.renderer.Release(models.FS(), release, image.Placeholder(release.Repository()))
	})
}

// training are those that a run of a training asks for.
func (r *roomNow) training(models *registry.Registry, t *registry.Training) []capacity.Pods {
	return r.asked(models, t, func() (*render.Output, error) {
		ref := ""
		if t.BaseVersion != nil {
			ref = image.Placeholder(t.BaseRepository())
		}
		trial := t.Trials()[0]
		hash, err := trial.RunHash(models.FS())
		if err != nil {
			return nil, err
		}
		return render.Training(models.FS(), trial, hash, ref)
	})
}

func (r *roomNow) asked(models *registry.Registry, who any, output func() (*render.Output, error)) []capacity.Pods {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of != models {
		r.of, r.pods = models, map[any][]capacity.Pods{}
	}
	if pods, known := r.pods[who]; known {
		return pods
	}
	var pods []capacity.Pods
	if out, err := output(); err == nil {
		pods, _ = capacity.Demand(out.Objects)
	}
	r.pods[who] = pods
	return pods
}
