package fleet

import (
	"context"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
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
	states []*room
	notes  []string

	renderer render.Renderer
	of       *registry.Registry
	pods     map[any][]capacity.Pods // by whose: a release's or a training's
}

// room is what one cluster has: several environments may be in it, each by a client with rights of its own.
type room struct {
	clients []*cluster.Cluster
	uid     string          // "" for one that does not tell; then it counts as another
	state   *capacity.State // nil for one that does not tell
	partly  bool            // pods of other namespaces than the clients' are not counted
}

// read reads nodes, pods and devices of all clusters, each once. They may not be changed.
func (r *roomNow) read(ctx context.Context, l *look, now time.Time) ([]*room, time.Time, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && now.Sub(r.at) < roomFor {
		return r.states, r.at, r.notes
	}
	within, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	rooms := roomsOf(within, l.Clusters())
	faults := make([]error, len(rooms))
	var work sync.WaitGroup
	for i, room := range rooms {
		work.Go(func() { faults[i] = room.read(within) })
	}
	work.Wait()
	var notes []string
	for _, err := range faults {
		if err != nil {
			notes = append(notes, "A cluster does not tell what it has: "+gitops.RedactText(err.Error()))
		}
	}
	if ctx.Err() == nil {
		r.at, r.states, r.notes = now, rooms, notes
	}
	return rooms, now, notes
}

// roomsOf tells clients of the same cluster from those of others.
func roomsOf(ctx context.Context, clients []*cluster.Cluster) (rooms []*room) {
	uids := make([]string, len(clients))
	var work sync.WaitGroup
	for i, c := range clients {
		work.Go(func() { uids[i], _ = c.UID(ctx) })
	}
	work.Wait()
	for i, c := range clients {
		at := slices.IndexFunc(rooms, func(r *room) bool { return uids[i] != "" && r.uid == uids[i] })
		if at < 0 {
			at, rooms = len(rooms), append(rooms, &room{uid: uids[i]})
		}
		rooms[at].clients = append(rooms[at].clients, c)
	}
	return rooms
}

// read reads it, of pods and claims only those of the clients' namespaces where no others may be listed.
func (r *room) read(ctx context.Context) (err error) {
	if r.state, err = r.clients[0].Capacity(ctx); !apierrors.IsForbidden(err) {
		return err
	}
	var namespaces []string
	for _, c := range r.clients {
		namespaces = append(namespaces, c.Namespaces()...)
	}
	slices.Sort(namespaces)
	r.state, err = r.clients[0].CapacityIn(ctx, slices.Compact(namespaces)...)
	r.partly = true
	return err
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
