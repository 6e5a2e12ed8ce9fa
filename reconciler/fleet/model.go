package fleet

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/history"
	"github.com/davit-dev/davit/reconciler/lineage"
	"github.com/davit-dev/davit/registry"
)

// Model is one model: its versions, and where each serves and served.
type Model struct {
	ModelInBrief
	Registry string   `json:"registry"`
	Tip      *Tip     `json:"tip,omitempty"`
	License  string   `json:"license,omitempty"`
	Inputs   []Tensor `json:"inputs"`
	Outputs  []Tensor `json:"outputs"`
	// Path is the file it is written in.
	Path string `json:"path"`
	// History are its versions, newest first; Metrics the names of what they are measured by, those that most versions have
	// first.
	History []Version `json:"history"`
	Metrics []string  `json:"metrics"`
	// Trainings are those that make versions of it.
	Trainings []string `json:"trainings"`
	// Lineage is that of the version that was asked for, or of the newest; nil when there is none.
	Lineage   *lineage.Graph `json:"lineage,omitempty"`
	LineageOf string         `json:"lineageOf,omitempty"`
	// Card is the model card, in Markdown, CardCut that only its beginning is here. Whoever wrote it may be anybody.
	Card    string `json:"card,omitempty"`
	CardCut bool   `json:"cardCut,omitempty"`
	// Notes say what could not be had.
	Notes []string `json:"notes,omitempty"`
}

// Title is the model's name.
func (m *Model) Title() string { return m.Model + " · model" }

// Tensor is an input or output.
type Tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// Version is a version of a model.
type Version struct {
	Version      string             `json:"version"`
	Format       string             `json:"format,omitempty"`
	Architecture string             `json:"architecture,omitempty"`
	Parameters   int64              `json:"parameters,omitempty"`
	Precision    string             `json:"precision,omitempty"`
	Quantization string             `json:"quantization,omitempty"`
	Files        int                `json:"files"`
	Bytes        int64              `json:"bytes"`
	Metrics      map[string]float64 `json:"metrics,omitempty"`
	Datasets     []Dataset          `json:"datasets,omitempty"`
	// TrainedBy is the run that made it, BaseVersion what that started from.
	TrainedBy   string `json:"trainedBy,omitempty"`
	BaseVersion string `json:"baseVersion,omitempty"`
	// Bad says why it is not to be promoted any more.
	Bad *Bad `json:"bad,omitempty"`
	// Merged is when its file came to the branch, by Commit, of Author; unknown where a shallow clone begins with it.
	Merged  time.Time `json:"merged,omitzero"`
	Author  string    `json:"author,omitempty"`
	Merger  string    `json:"merger,omitempty"`
	Commit  string    `json:"commit,omitempty"`
	URL     string    `json:"url,omitempty"`
	Subject string    `json:"subject,omitempty"`
	// Serves are the releases that serve it now, or that get it, Served when it served, newest first.
	Serves     []Serving `json:"serves"`
	Served     []Served  `json:"served"`
	MoreServed int       `json:"moreServed,omitempty"`
}

// Dataset is what a version was made with.
type Dataset struct {
	Name   string `json:"name"`
	URI    string `json:"uri,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

// Bad is that a version was found bad.
type Bad struct {
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Served is a time in which a release served a version.
type Served struct {
	Environment string    `json:"environment"`
	Release     string    `json:"release"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until,omitzero"`
	// Outcome is the last that was noted, Intent says that none was: the branch asked for it at that time.
	Outcome string `json:"outcome,omitempty"`
	State   State  `json:"state"`
	Intent  bool   `json:"intent,omitempty"`
}

// What of a model is told at most.
const (
	mostCard   = 64 << 10
	mostServed = 20
)

// Model is one model with the lineage of one of its versions, the newest when version is "". It is nil when there is no such
// model.
func (f *Fleet) Model(ctx context.Context, v Viewer, name, model, version string) (*Model, error) {
	r := f.of(name)
	if r == nil {
		return nil, nil
	}
	l := r.look()
	if l.models == nil || l.models.Models[model] == nil {
		return nil, nil
	}
	c, err := l.chronicle(ctx)
	if err != nil {
		return nil, err
	}
	m := l.models.Models[model]
	serves := l.servings(v)[model]
	out := &Model{
		ModelInBrief: brief(m, c, serves), Registry: name, Tip: l.tip(), License: plain(m.Spec.License), Inputs: tensors(m.Spec.Inputs), Outputs: tensors(m.Spec.Outputs),
		Path: m.Path, History: []Version{}, Trainings: l.trainingsOf(model),
	}
	out.Card, out.CardCut = card(l.models.FS(), path.Join(path.Dir(m.Path), "README.md"))
	past := &modelPast{look: l, chronicle: c, seen: v.in(name), revisions: c.of(model)}
	all := c.versions(m)
	for _, mv := range all {
		out.History = append(out.History, past.version(mv, serves))
	}
	out.Metrics = metricNames(all)
	mv := m.Versions[version]
	if mv == nil && len(all) > 0 {
		mv = all[0]
	}
	if mv != nil {
		var known map[string]gitops.Run
		known, out.Notes = l.ledger(ctx, v, f.cfg.Now())
		out.Lineage, out.LineageOf = past.lineage(ctx, mv, known), mv.Name
	}
	return out, ctx.Err()
}

func tensors(all []registry.Tensor) []Tensor {
	out := []Tensor{}
	for _, t := range all {
		out = append(out, Tensor{plain(t.Name), plain(t.Datatype), t.Shape})
	}
	return out
}

// card is a model's card as the commit has it.
func card(files fs.FS, name string) (text string, cut bool) {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		return "", false // most have none
	}
	if cut = len(data) > mostCard; cut {
		data = data[:mostCard]
	}
	return plain(strings.ToValidUTF8(string(data), "�")), cut
}

func (l *look) trainingsOf(model string) []string {
	out := []string{}
	for key := range l.models.Trainings {
		if of, training, _ := strings.Cut(key, "/"); of == model {
			out = append(out, training)
		}
	}
	slices.Sort(out)
	return out
}

// metricNames are those of versions, the ones that most have first.
func metricNames(all []*registry.ModelVersion) []string {
	count := map[string]int{}
	for _, v := range all {
		for name := range v.Spec.Metrics {
			count[name]++
		}
	}
	names := slices.Sorted(maps.Keys(count))
	slices.SortStableFunc(names, func(a, b string) int { return count[b] - count[a] })
	return append([]string{}, names...)
}

// of are the changes of a model's releases, newest first.
func (c *chronicle) of(model string) (out []history.Revision) {
	if c == nil {
		return nil
	}
	for _, d := range c.deeds {
		for _, r := range c.effects[d.hash.String()] {
			if path.Base(r.ToModel) == model || path.Base(r.FromModel) == model {
				out = append(out, r)
			}
		}
	}
	return out
}

// modelPast is what is known of a model's versions.
type modelPast struct {
	*look
	*chronicle
	seen      func(environment string) bool
	revisions []history.Revision
}

func (p *modelPast) version(v *registry.ModelVersion, serves []Serving) Version {
	s := v.Spec
	out := Version{
		Version: v.Name, Format: plain(s.Format), Architecture: plain(s.Architecture), Parameters: s.Parameters, Precision: plain(s.Precision),
		Quantization: plain(s.Quantization), Files: len(s.Files), Metrics: s.Metrics, TrainedBy: plain(s.Lineage.TrainedBy),
		BaseVersion: plain(s.Lineage.BaseVersion), Serves: []Serving{}, Served: []Served{},
	}
	for _, file := range s.Files {
		out.Bytes += file.Size
	}
	for _, d := range s.Datasets {
		out.Datasets = append(out.Datasets, Dataset{plain(d.Name), plain(d.URI), d.SHA256})
	}
	if v.Bad != nil {
		out.Bad = &Bad{plain(v.Bad.Spec.Reason), plain(v.Bad.Spec.By), v.Bad.Spec.At.Time}
	}
	if d := p.madeBy(v); d != nil {
		hash := d.hash.String()
		out.Merged, out.Commit, out.Author, out.Subject, out.URL = d.when, hash, plain(d.who.Author.Name), plain(d.who.Subject), p.CommitURL(hash)
		if !d.who.ByRule {
			out.Merger = plain(d.who.Merger())
		}
	}
	for _, r := range serves {
		if r.Version == v.Name || r.Next == v.Name {
			out.Serves = append(out.Serves, r)
		}
	}
	past := p.periods(v)
	for _, s := range slices.Backward(past) {
		if len(out.Served) == mostServed {
			out.MoreServed = len(past) - mostServed
			break
		}
		out.Served = append(out.Served, Served{s.Release.Environment, s.Release.Name, s.From, s.Until, s.Outcome, StateOf(s.Outcome), s.Intent})
	}
	return out
}

func (p *modelPast) madeBy(v *registry.ModelVersion) *deed {
	if p.chronicle == nil {
		return nil
	}
	return p.made[v.Path]
}

// periods are when a version served, oldest first, in environments that may be seen. Of a release that has outcomes, what the
// branch asked for without one is no time in which it served.
func (p *modelPast) periods(v *registry.ModelVersion) []lineage.Period {
	noted := map[registry.Key]bool{}
	for _, r := range p.revisions {
		noted[r.Release] = noted[r.Release] || len(r.Events) > 0
	}
	return slices.DeleteFunc(lineage.PastOf(p.revisions, v), func(s lineage.Period) bool {
		return !p.seen(s.Release.Environment) || s.Intent && noted[s.Release]
	})
}

// lineage is a version's, without releases that may not be seen. Runs that are not among those that are known are told as the
// version does.
func (p *modelPast) lineage(ctx context.Context, v *registry.ModelVersion, known map[string]gitops.Run) *lineage.Graph {
	g := lineage.New(lineage.Sources{Registry: p.models, Past: p.periods(v), Runs: known, At: p.then(ctx)}, v)
	hidden := map[string]bool{}
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n lineage.Node) bool {
		environment, _, _ := strings.Cut(n.Name, "/")
		if n.Kind == lineage.KindRelease && !p.seen(environment) {
			hidden[n.ID] = true
			return true
		}
		return false
	})
	g.Edges = slices.DeleteFunc(g.Edges, func(e lineage.Edge) bool { return hidden[e.From] || hidden[e.To] })
	return g
}
