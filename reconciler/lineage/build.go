package lineage

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

// What bounds a graph: versions one after the other, and nodes.
const (
	MaxDepth = 20
	MaxNodes = 500
)

// Sources are what is known. Only Registry is needed.
type Sources struct {
	Registry *registry.Registry
	// Runs are the ledger's, by hash.
	Runs map[string]gitops.Run
	// Past is from when to when which releases had the version, as [PastOf] tells it.
	Past []Period
	// At is the registry as a commit has it, or as much of it as one model is made of, nil when that is not here; with a nil At
	// specs are told as they are now.
	At func(commit, model string) *registry.Registry
}

// New makes the lineage of a version of the registry.
func New(s Sources, v *registry.ModelVersion) *Graph {
	b := &builder{Sources: s, all: versionsOf(s.Registry), graph: &Graph{}, way: map[string]bool{}}
	b.graph.Root = b.before(v.String(), v, MaxDepth)
	b.releases(v)
	b.trainings(v)
	b.after(v, MaxDepth)
	return b.graph
}

type builder struct {
	Sources
	all   []*registry.ModelVersion
	graph *Graph
	way   map[string]bool // the versions from the root back to here
}

func (b *builder) full() bool {
	full := len(b.graph.Nodes) >= MaxNodes
	b.graph.Cut = b.graph.Cut || full
	return full
}

// version is "model@version" in the registry, nil when it has none.
func (b *builder) version(name string) *registry.ModelVersion {
	model, version, _ := strings.Cut(name, "@")
	if m := b.Registry.Models[model]; m != nil {
		return m.Versions[version]
	}
	return nil
}

// before adds a version, nil when it is not there, and what it was made from.
func (b *builder) before(name string, v *registry.ModelVersion, depth int) (id string) {
	id, known := b.graph.add(versionNode(name, v))
	if known || v == nil {
		return id
	}
	into := id
	if v.Spec.Lineage.TrainedBy != "" {
		into = b.run(v, id)
	}
	for _, d := range v.Spec.Datasets {
		if b.full() {
			return id
		}
		kind := EdgeData
		if into == id {
			kind = EdgeMade
		}
		from, _ := b.graph.add(b.dataset(d, v))
		b.graph.edge(Edge{From: from, To: into, Kind: kind})
	}
	base := baseOf(v)
	if base == "" {
		return id
	}
	if depth == 0 || b.full() {
		b.graph.Cut = true
		return id
	}
	b.way[name] = true
	cycle := b.way[base]
	from := b.before(base, b.version(base), depth-1)
	delete(b.way, name)
	b.graph.edge(Edge{From: from, To: into, Kind: EdgeBase, Cycle: cycle})
	return id
}

// baseOf is "model@version", "" without one. A version alone is of the same model.
func baseOf(v *registry.ModelVersion) string {
	base := v.Spec.Lineage.BaseVersion
	if base != "" && !strings.Contains(base, "@") {
		base = v.Model + "@" + base
	}
	return base
}

func versionNode(name string, v *registry.ModelVersion) Node {
	n := Node{Kind: KindVersion, Name: name, Missing: v == nil}
	if v == nil {
		return n
	}
	if v.Bad != nil {
		n.Facts = append(n.Facts, Fact{"marked", "bad"})
	}
	for _, metric := range slices.Sorted(maps.Keys(v.Spec.Metrics)) {
		n.Facts = append(n.Facts, Fact{metric, strconv.FormatFloat(v.Spec.Metrics[metric], 'g', -1, 64)})
	}
	n.Facts = append(n.Facts, Fact{"file", v.Path})
	return n
}

// run adds the run that made a version, its spec and its code.
func (b *builder) run(v *registry.ModelVersion, version string) (id string) {
	name, commit := v.Spec.Lineage.TrainedBy, v.Spec.Lineage.Commit
	n := Node{Kind: KindRun, Name: v.Model + "/" + name}
	training := b.trainingNamed(v.Model, name)
	run, ok := b.ledger(v.Model, name)
	if ok {
		training, commit = run.Training, cmp.Or(run.Commit, commit)
		n.Facts = runFacts(run)
	}
	n.Facts = facts(n.Facts, "commit", commit)
	id, _ = b.graph.add(n)
	b.graph.edge(Edge{From: id, To: version, Kind: EdgeMade})
	if training != "" {
		b.spec(id, training, commit)
	}
	return id
}

// ledger is the run of a model by its name.
func (b *builder) ledger(model, name string) (found gitops.Run, ok bool) {
	for _, hash := range slices.Sorted(maps.Keys(b.Runs)) {
		if r := b.Runs[hash]; r.Name == name && strings.HasPrefix(r.Training, model+"/") {
			return r, true
		}
	}
	return found, false
}

func runFacts(r gitops.Run) (out []Fact) {
	out = facts(out, "state", string(r.State), "reason", r.Reason, "message", r.Message, "environment", r.Environment)
	if !r.Started.IsZero() && !r.Ended.IsZero() {
		out = facts(out, "took", max(0, r.Ended.Sub(r.Started)).Round(time.Second).String())
	}
	return facts(out, "started", moment(r.Started), "ended", moment(r.Ended), "image", r.Image)
}

// facts adds pairs of a name and a value, but for values that say nothing.
func facts(out []Fact, pairs ...string) []Fact {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, Fact{pairs[i], pairs[i+1]})
		}
	}
	return out
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// trainingNamed is the training that a run's name, <training>-<hash>, is of, as far as the names tell; "" when they do not.
func (b *builder) trainingNamed(model, run string) string {
	if b.Registry.Trainings[model+"/"+run] != nil { // the training itself
		return model + "/" + run
	}
	i := strings.LastIndexByte(run, '-')
	if i <= 0 || strings.Trim(run[i+1:], "0123456789abcdef") != "" {
		return ""
	}
	return model + "/" + run[:i]
}

// spec adds a run's training and the code of that, at the run's commit where that is here.
func (b *builder) spec(run, key, commit string) {
	models, as := b.Registry, "now"
	if b.At != nil && commit != "" {
		model, _, _ := strings.Cut(key, "/")
		if then := b.At(commit, model); then != nil {
			models, as = then, commit
		}
	}
	t := models.Trainings[key]
	n := Node{Kind: KindTraining, Name: key, Missing: t == nil}
	if t != nil {
		n.Facts = facts(nil, "file", t.Path)
	}
	n.Facts = facts(n.Facts, asOf, as)
	id, _ := b.graph.add(n)
	b.graph.edge(Edge{From: id, To: run, Kind: EdgeSpec})
	if t != nil && t.Spec.Image != "" {
		code, _ := b.graph.add(Node{Kind: KindCode, Name: t.Spec.Image})
		b.graph.edge(Edge{From: code, To: run, Kind: EdgeCode})
	}
}

// dataset is a dataset of a version, and which others had it, too.
func (b *builder) dataset(d registry.Dataset, of *registry.ModelVersion) Node {
	n := Node{Kind: KindDataset, Name: d.Name, Facts: facts(nil, "uri", d.URI, "sha256", d.SHA256)}
	var also []string
	for _, v := range b.all {
		if v != of && slices.ContainsFunc(v.Spec.Datasets, func(o registry.Dataset) bool { return sameData(d, o) }) {
			also = append(also, v.String())
		}
	}
	const shown = 10
	if more := len(also) - shown; more > 0 {
		also = append(also[:shown], strconv.Itoa(more)+" more")
	}
	n.Facts = facts(n.Facts, "also in", strings.Join(also, ", "))
	return n
}

// sameData goes by the content where both tell it, and else by the place.
func sameData(a, b registry.Dataset) bool {
	if a.SHA256 != "" && b.SHA256 != "" {
		return a.SHA256 == b.SHA256
	}
	return a.URI != "" && a.URI == b.URI
}

// versionsOf are all of a registry, in order.
func versionsOf(r *registry.Registry) (out []*registry.ModelVersion) {
	for _, model := range slices.Sorted(maps.Keys(r.Models)) {
		versions := r.Models[model].Versions
		for _, name := range slices.Sorted(maps.Keys(versions)) {
			out = append(out, versions[name])
		}
	}
	return out
}

// after adds the versions that started from one, and from those.
func (b *builder) after(v *registry.ModelVersion, depth int) {
	name := v.String()
	for _, next := range b.all {
		if baseOf(next) != name {
			continue
		}
		if depth == 0 || b.full() {
			b.graph.Cut = true
			return
		}
		id, known := b.graph.add(versionNode(next.String(), next))
		if known {
			continue // it comes before, too: told as a cycle there
		}
		b.graph.edge(Edge{From: KindVersion + ":" + name, To: id, Kind: EdgeBase, Facts: facts(nil, "run", next.Spec.Lineage.TrainedBy)})
		b.after(next, depth-1)
	}
}

// trainings adds those that start from a version now.
func (b *builder) trainings(v *registry.ModelVersion) {
	for _, key := range slices.Sorted(maps.Keys(b.Registry.Trainings)) {
		t := b.Registry.Trainings[key]
		if t.BaseVersion == nil || t.BaseVersion.String() != v.String() || b.full() {
			continue
		}
		id, _ := b.graph.add(Node{Kind: KindTraining, Name: key, Facts: facts(nil, "file", t.Path)})
		b.graph.edge(Edge{From: b.graph.Root, To: id, Kind: EdgeStarts})
	}
}

// releases adds those that serve a version now, by the registry's files, and those that did before.
func (b *builder) releases(v *registry.ModelVersion) {
	now := map[string]bool{}
	for _, r := range b.Registry.Releases {
		if r.ModelVersion.String() != v.String() || b.full() {
			continue
		}
		name := r.Key().String()
		now[name] = true
		id, _ := b.graph.add(Node{Kind: KindRelease, Name: name, Facts: facts(nil, "file", r.Path)})
		e := Edge{From: b.graph.Root, To: id, Kind: EdgeServes}
		for _, p := range b.Past {
			if p.Release == r.Key() && p.Until.IsZero() {
				e.Facts = p.facts()
				break
			}
		}
		b.graph.edge(e)
	}
	for _, p := range b.Past {
		if now[p.Release.String()] && p.Until.IsZero() || b.full() {
			continue
		}
		id, _ := b.graph.add(Node{Kind: KindRelease, Name: p.Release.String()})
		b.graph.edge(Edge{From: b.graph.Root, To: id, Kind: EdgeServed, Facts: p.facts()})
	}
}
