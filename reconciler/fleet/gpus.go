package fleet

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/cluster/capacity"
	"github.com/davit-dev/davit/reconciler/runs"
	"github.com/davit-dev/davit/registry"
)

// GPUs is what clusters have, who asks for it, and who waits.
type GPUs struct {
	Registry string `json:"registry"`
	Tip      *Tip   `json:"tip,omitempty"`
	// Read is when the clusters were asked what they have.
	Read     time.Time    `json:"read"`
	Clusters []GPUCluster `json:"clusters"`
	// Environments are who asks, those that have a quota or ask for GPUs.
	Environments []GPUUse  `json:"environments"`
	Waits        []GPUWait `json:"waits"`
	// More is how many others wait.
	More  int      `json:"more,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// GPUCluster is one cluster, by the environments that are in it.
type GPUCluster struct {
	Environments []string `json:"environments"`
	// Unknown says that it does not tell what it has.
	Unknown bool `json:"unknown,omitempty"`
	// Partly says that davit may not see the pods of other namespaces, so that less may be free than it says.
	Partly       bool     `json:"partly,omitempty"`
	Accelerators []GPURow `json:"accelerators"`
}

// GPURow is one kind of device.
type GPURow struct {
	capacity.Accelerator
	// Names are what the registry's accelerators are called that ask for it; none where nothing does.
	Names []string `json:"names"`
	// Has is what the nodes have that those who ask name, Free what nobody holds of it on nodes that take pods.
	Has  int64 `json:"has"`
	Free int64 `json:"free"`
	// Releases and Runs are how many are asked for by what is applied and by runs under way, Branch by the releases as the
	// branch has them.
	Releases int `json:"releases"`
	Branch   int `json:"branch"`
	Runs     int `json:"runs"`
}

// Used is what is not free: others may hold it, and nodes that take no pods have it.
func (r GPURow) Used() int64 { return r.Has - r.Free }

// GPUUse is who asks: an environment, with its teams.
type GPUUse struct {
	Environment string `json:"environment"`
	// Team is "" for the environment as a whole, and for what is in no team in Teams.
	Team     string `json:"team,omitempty"`
	Releases int    `json:"releases"`
	Branch   int    `json:"branch"`
	Runs     int    `json:"runs"`
	// Quota is how many it may have, where it is bounded.
	Quota   int      `json:"quota,omitempty"`
	Bounded bool     `json:"bounded,omitempty"`
	Teams   []GPUUse `json:"teams,omitempty"`
}

// Used is what is asked for.
func (u GPUUse) Used() int { return u.Releases + u.Runs }

// GPUWait is a release or a run that waits for GPUs.
type GPUWait struct {
	// Release is its name in its environment; "" of a run.
	Release     string `json:"release,omitempty"`
	Environment string `json:"environment"`
	// Training and Run are a run's.
	Training string `json:"training,omitempty"`
	Run      string `json:"run,omitempty"`
	Team     string `json:"team,omitempty"`
	GPUs     int    `json:"gpus"`
	// Reason is one word, Why a line for people; Since when it was applied or claimed.
	Reason string    `json:"reason,omitempty"`
	Why    string    `json:"why,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// mostWaits bounds the releases that are asked why they wait.
const mostWaits = 20

// gpuReasons are the reasons of a release that waits for devices: one that waits for a gateway does not.
var gpuReasons = []string{corev1.PodReasonUnschedulable, corev1.PodReasonSchedulingGated, "QuotaExceeded", "NamespaceQuotaExceeded"}

func (c *Cell) waitsForGPUs(asked int) bool {
	return asked > 0 && slices.Contains(gpuReasons, c.Reason)
}

// GPUs tells of the environments that a viewer may see. It is nil when the registry is not followed.
func (f *Fleet) GPUs(ctx context.Context, v Viewer, name string) *GPUs {
	r := f.of(name)
	if r == nil {
		return nil
	}
	l, now := r.look(), f.cfg.Now()
	out := &GPUs{Registry: name, Tip: l.tip(), Clusters: []GPUCluster{}, Environments: []GPUUse{}, Waits: []GPUWait{}}
	all, notes := l.allRuns(ctx, v, now)
	out.Notes = notes
	if l.models == nil {
		return out
	}
	rooms, at, notes := l.room.read(ctx, l, now)
	out.Read, out.Notes = at, append(out.Notes, notes...)
	asks := &gpuAsks{look: l, cells: l.cells(v), uses: map[[2]string]*GPUUse{}, kinds: map[gpuKind]*gpuAsk{}}
	for _, c := range asks.cells {
		asks.release(c)
	}
	for i := range all {
		asks.run(&all[i])
	}
	out.Environments = asks.environments(v)
	for _, room := range rooms {
		if g := asks.cluster(ctx, v, room); len(g.Environments) > 0 {
			out.Clusters = append(out.Clusters, g)
		}
	}
	out.Waits, out.More = asks.waits(ctx, v, all, rooms)
	return out
}

// gpuKind is an accelerator of the registry in an environment.
type gpuKind struct{ environment, accelerator string }

// gpuAsk is what is asked for of it. One who asks stands for all: their pods name the same resource and nodes.
type gpuAsk struct {
	releases, branch, runs int
	pods                   []capacity.Pods
}

// gpuAsks counts who asks for GPUs.
type gpuAsks struct {
	*look
	cells []*Cell
	uses  map[[2]string]*GPUUse // by environment and team
	kinds map[gpuKind]*gpuAsk
}

func (a *gpuAsks) use(environment, team string) *GPUUse {
	key := [2]string{environment, team}
	if a.uses[key] == nil {
		a.uses[key] = &GPUUse{Environment: environment, Team: team}
	}
	return a.uses[key]
}

func (a *gpuAsks) kind(environment, accelerator string) *gpuAsk {
	key := gpuKind{environment, accelerator}
	if a.kinds[key] == nil {
		a.kinds[key] = &gpuAsk{}
	}
	return a.kinds[key]
}

func (a *gpuAsks) release(c *Cell) {
	want := a.models.Release(c.Row.key)
	branch := 0
	if want != nil {
		branch = want.GPUs()
	}
	if c.GPUs == 0 && branch == 0 {
		return
	}
	u := a.use(c.Environment, c.Team)
	u.Releases, u.Branch = u.Releases+c.GPUs, u.Branch+branch
	if want == nil || want.Accelerator == nil {
		return
	}
	k := a.kind(c.Environment, want.Accelerator.Name)
	k.releases, k.branch = k.releases+c.GPUs, k.branch+branch
	if k.pods == nil && branch > 0 {
		k.pods = a.room.release(a.models, want)
	}
}

func (a *gpuAsks) run(r *runs.Run) {
	if r.GPUs == 0 || r.Run == "" || gitops.RunState(r.State).Ended() || r.State == runs.NotStarted || r.State == runs.Waiting {
		return
	}
	model, _, _ := strings.Cut(r.Training, "/")
	team := ""
	if m := a.models.Models[model]; m != nil {
		team = m.Team
	}
	a.use(r.Environment, team).Runs += r.GPUs
	if t := a.models.Trainings[r.Training]; t != nil && t.Accelerator != nil {
		k := a.kind(r.Environment, t.Accelerator.Name)
		if k.runs += r.GPUs; k.pods == nil {
			k.pods = a.room.training(a.models, t)
		}
	}
}

// environments are the uses, with the bounds beside them.
func (a *gpuAsks) environments(v Viewer) []GPUUse {
	all := []GPUUse{}
	for _, env := range environmentsOf(a.models) {
		if !v.may(a.name, env) {
			continue
		}
		quota := a.Quota(env)
		e := GPUUse{Environment: env, Quota: quota.GPUs, Bounded: quota.GPUs > 0}
		teams := map[string]bool{}
		for key := range a.uses {
			if key[0] == env {
				teams[key[1]] = true
			}
		}
		for team := range quota.Teams {
			teams[team] = true
		}
		for _, team := range slices.Sorted(maps.Keys(teams)) {
			t := *a.use(env, team)
			t.Quota, t.Bounded = quota.Of(team)
			e.Releases, e.Branch, e.Runs = e.Releases+t.Releases, e.Branch+t.Branch, e.Runs+t.Runs
			e.Teams = append(e.Teams, t)
		}
		if !e.Bounded && len(e.Teams) == 0 {
			continue
		}
		if len(e.Teams) == 1 && e.Teams[0].Team == "" && !e.Teams[0].Bounded {
			e.Teams = nil // it would be the same once more
		}
		all = append(all, e)
	}
	return all
}

// cluster counts what one cluster has for who asks of its environments, and what nobody asks for.
func (a *gpuAsks) cluster(ctx context.Context, v Viewer, room *room) GPUCluster {
	state := room.state
	g := GPUCluster{Unknown: state == nil, Partly: state != nil && room.partly, Accelerators: []GPURow{}}
	rows := map[capacity.Accelerator]*GPURow{}
	var order []capacity.Row
	var asking []capacity.Release
	for _, env := range environmentsOf(a.models) {
		if !slices.Contains(room.clients, a.Cluster(env)) || !v.may(a.name, env) {
			continue
		}
		g.Environments = append(g.Environments, env)
		for key, k := range a.kinds {
			if key.environment == env && len(k.pods) > 0 {
				asking = append(asking, capacity.Release{Name: env + "/" + key.accelerator, Pods: k.pods})
			}
		}
	}
	if len(g.Environments) == 0 {
		return g
	}
	if state == nil {
		state = &capacity.State{}
	}
	order, err := capacity.Table(ctx, state, nil, asking)
	if err != nil {
		g.Unknown = true
	}
	order = append(order, capacity.Unasked(state, order)...)
	for _, row := range order {
		rows[row.Accelerator] = &GPURow{Accelerator: row.Accelerator, Names: []string{}, Has: row.Has, Free: row.Free}
	}
	for key, k := range a.kinds {
		if !slices.Contains(room.clients, a.Cluster(key.environment)) {
			continue
		}
		if asked := capacity.Accelerators(k.pods); len(asked) > 0 && rows[asked[0]] != nil {
			row := rows[asked[0]]
			row.Releases, row.Branch, row.Runs = row.Releases+k.releases, row.Branch+k.branch, row.Runs+k.runs
			if !slices.Contains(row.Names, key.accelerator) {
				row.Names = append(row.Names, key.accelerator)
				slices.Sort(row.Names)
			}
		}
	}
	for _, row := range order {
		g.Accelerators = append(g.Accelerators, *rows[row.Accelerator])
	}
	return g
}

// waits are the releases and runs that wait for GPUs, with the reason: by what is free, where no node has room for them, and
// else what their own status says.
func (a *gpuAsks) waits(ctx context.Context, v Viewer, all []runs.Run, rooms []*room) (waits []GPUWait, more int) {
	waits = []GPUWait{}
	for _, r := range all {
		if r.GPUs > 0 && r.State == string(cluster.RunQueued) {
			waits = append(waits, GPUWait{Environment: r.Environment, Training: r.Training, Run: r.Run, GPUs: r.GPUs, Reason: plain(r.Reason), Why: plain(r.Message), Since: r.Claimed})
		}
	}
	var releases []*Cell
	for _, c := range a.cells {
		if want := a.models.Release(c.Row.key); want != nil && c.waitsForGPUs(want.GPUs()) {
			releases = append(releases, c)
		}
	}
	more = max(len(releases)-mostWaits, 0)
	releases = releases[:len(releases)-more]
	found := make([]GPUWait, len(releases))
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var work errgroup.Group
	work.SetLimit(8)
	for i, c := range releases {
		work.Go(func() error {
			found[i] = a.wait(ctx, c, rooms)
			return nil
		})
	}
	_ = work.Wait()
	waits = append(waits, found...)
	slices.SortStableFunc(waits, func(x, y GPUWait) int { return cmp.Compare(x.Environment, y.Environment) })
	return waits, more
}

func (a *gpuAsks) wait(ctx context.Context, c *Cell, rooms []*room) GPUWait {
	want := a.models.Release(c.Row.key)
	w := GPUWait{Release: c.Release, Environment: c.Environment, Team: c.Team, GPUs: want.GPUs(), Reason: c.Reason, Since: c.Since}
	for _, room := range rooms {
		if room.state != nil && slices.Contains(room.clients, a.Cluster(c.Environment)) {
			w.Why = a.noRoom(ctx, want, room.state)
		}
	}
	if w.Why == "" {
		if mr, err := a.modelRelease(ctx, c.Row.key); err == nil && mr != nil {
			w.Why = plain(mr.Status.Message)
		}
	}
	return w
}

// noRoom says why a release's pods find no place; "" where they do.
func (a *gpuAsks) noRoom(ctx context.Context, want *registry.Release, state *capacity.State) string {
	pods := a.room.release(a.models, want)
	found, err := capacity.Fit(ctx, state, []capacity.Release{{Name: want.Key().String(), Namespace: want.Environment.Spec.Namespace, Label: want.Name, Pods: pods}})
	if err != nil || len(found) == 0 {
		return ""
	}
	return found[0].Why
}
