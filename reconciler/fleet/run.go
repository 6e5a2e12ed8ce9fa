package fleet

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/registry"
)

// RunPage is one run: what it was started for, and how it stands.
type RunPage struct {
	Registry string   `json:"registry"`
	Training Training `json:"training"`
	Run      Run      `json:"run"`
	// Asked is the commit that asked for it; nil before there is a run, or where the commit is gone.
	Asked *Tip `json:"asked,omitempty"`
	// Path is the training's file at that commit.
	Path string `json:"path,omitempty"`
	// Spec is what the run was started with, in the order of the documentation; empty where the commit does not tell any more.
	Spec []Field `json:"spec"`
	// Inputs are what it trains on, by what never changes.
	Inputs []Input          `json:"inputs"`
	Pods   []cluster.RunPod `json:"pods"`
	// Logs says that the viewer may see what its containers write, Lines are the last of that.
	Logs  bool      `json:"logs"`
	Lines []LogLine `json:"lines,omitempty"`
	// After is where Lines end: a stream that goes on after them names it.
	After string   `json:"after,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Title is the run's name.
func (p *RunPage) Title() string { return p.Run.Run.Run + " · run" }

// Field is a name with its value.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Input is a dataset, or the version that training started from.
type Input struct {
	Name string `json:"name"`
	// URI is without credentials.
	URI string `json:"uri"`
	// Digest is its content's, sha256:…; "" where only the spec's own word says what it is.
	Digest string `json:"digest,omitempty"`
}

// lastLines is how many lines of its log a run's page has.
const lastLines = 200

// RunPage tells of a run by its training, "model/name", and its own name. It is nil when there is no such run, or not for this
// viewer. withLines has the last lines of its log read.
func (f *Fleet) RunPage(ctx context.Context, v Viewer, name, training, run string, withLines bool) *RunPage {
	r := f.of(name)
	if r == nil || run == "" {
		return nil
	}
	l, now := r.look(), f.cfg.Now()
	all, notes := l.allRuns(ctx, v, now)
	i := slices.IndexFunc(all, func(r RunsRun) bool { return r.Training == training && r.Run == run })
	if i < 0 {
		return nil
	}
	out := &RunPage{Registry: name, Run: l.tell(&all[i], now), Training: *l.training(training, now), Spec: []Field{}, Inputs: []Input{}, Pods: []cluster.RunPod{}, Notes: notes}
	l.asked(ctx, out)
	c, namespace := l.place(out.Run.Environment)
	if c == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if pods, err := c.RunPods(ctx, namespace, run); err != nil {
		out.Notes = append(out.Notes, "The cluster does not tell of its pods: "+gitops.RedactText(err.Error()))
	} else if len(pods) > 0 {
		out.Pods = pods
	}
	if out.Logs = v.seesLogs(name, out.Run.Environment); !out.Logs {
		for i := range out.Pods { // a message may be what a container wrote last
			out.Pods[i].Message = ""
		}
		out.Run.Message = ""
	} else if withLines && len(out.Pods) > 0 {
		out.lines(ctx, c, namespace)
	}
	return out
}

// place is where an environment is; a nil cluster where it is nowhere.
func (l *look) place(environment string) (*cluster.Cluster, string) {
	if l.models == nil || l.models.Environments[environment] == nil {
		return nil, ""
	}
	return l.Cluster(environment), l.models.Environments[environment].Spec.Namespace
}

// asked reads what the run was started for, from the commit that asked for it.
func (l *look) asked(ctx context.Context, out *RunPage) {
	t := l.asks(out.Run.Training, out.Run.Hash)
	if hash := gitops.ParseHash(out.Run.Commit); out.Run.Commit != "" && l.Source().Has(hash) {
		if c, err := l.Source().Commit(ctx, hash); err == nil {
			out.Asked = l.tipOf(c)
		}
		if t == nil {
			t = l.askedAt(ctx, hash, out.Run.Training, out.Run.Hash)
		}
	}
	if t != nil {
		out.Path, out.Spec, out.Inputs = t.Path, specOf(t), inputsOf(t)
	}
}

// asks is the training, or the trial, of the branch that has a hash; nil where none has.
func (l *look) asks(training, hash string) *registry.Training {
	t := l.models.Trainings[training]
	if t == nil || hash == "" || t.Waits() {
		return nil
	}
	trials, err := l.trials.get(l.models, t)
	if err != nil {
		return nil
	}
	for i, trial := range trials {
		if trial.Hash == hash {
			return t.Trials()[i]
		}
	}
	return nil
}

// askedAt is the same of an older commit, of which only what concerns the model is read.
func (l *look) askedAt(ctx context.Context, commit gitops.Hash, training, hash string) *registry.Training {
	model, _, _ := strings.Cut(training, "/")
	models := l.then(ctx)(commit.String(), model)
	if models == nil {
		return nil
	}
	t := models.Trainings[training]
	if t == nil || t.Waits() {
		return nil
	}
	for _, trial := range t.Trials() {
		if h, err := trial.RunHash(models.FS()); err == nil && h == hash {
			return trial
		}
	}
	return nil
}

// specOf tells a training's spec. Of variables only the names are told: what people write into them is theirs.
func specOf(t *registry.Training) (all []Field) {
	s := &t.Spec
	add := func(name, value string) {
		if value != "" && value != "0" {
			all = append(all, Field{name, plain(value)})
		}
	}
	add("image", s.Image)
	add("command", strings.Join(s.Command, " "))
	add("accelerator", s.Accelerator)
	add("gpus", counted(s.GPUs))
	add("nodes", counted(t.Nodes()))
	for _, name := range sortedNames(s.Hyperparameters) {
		value := s.Hyperparameters[name]
		if value.True {
			value.Value = "true"
		}
		all = append(all, Field{"--" + name, plain(value.Value)})
	}
	for _, name := range sortedNames(s.Env) {
		from := "set"
		if e := s.Env[name]; e.Secret != "" {
			from = "from Secret " + e.Secret
		}
		add("env "+name, from)
	}
	for _, name := range sortedNames(s.Resources) {
		add(name, string(s.Resources[name]))
	}
	if s.Seed != nil {
		all = append(all, Field{"seed", counted(int(*s.Seed))})
	}
	add("baseVersion", s.BaseVersion)
	add("queue", s.Queue)
	add("priority", s.Priority)
	if s.Checkpoints != nil {
		add("checkpoints", gitops.RedactText(s.Checkpoints.Claim+s.Checkpoints.URI))
	}
	add("retries", counted(s.Retries))
	add("deadline", s.Deadline.Or(registry.DefaultDeadline).String())
	add("version", s.Version)
	add("merge", s.Merge)
	add("attempt", counted(s.Attempt))
	return all
}

// inputsOf are a training's datasets, as its lock has them where there is one, and its base version.
func inputsOf(t *registry.Training) []Input {
	all := []Input{}
	digest := func(sha string) string {
		if sha == "" {
			return ""
		}
		return "sha256:" + sha
	}
	if v := t.BaseVersion; v != nil {
		in := Input{Name: "base version", URI: plain(t.Spec.BaseVersion)}
		for _, f := range v.Spec.Files {
			if len(v.Spec.Files) == 1 {
				in.Digest = digest(f.SHA256)
			}
		}
		all = append(all, in)
	}
	locked := map[string]registry.LockedDataset{}
	if t.Lock != nil && t.Spec.Schedule != nil {
		for _, d := range t.Lock.Datasets {
			locked[d.Name] = d
		}
	}
	for _, d := range t.Spec.Datasets {
		in := Input{Name: d.Name, URI: d.URI, Digest: digest(d.SHA256)}
		if was, is := locked[d.Name]; is {
			in.URI, in.Digest = was.URI, digest(was.SHA256)
		}
		in.URI = plain(gitops.RedactText(in.URI))
		all = append(all, in)
	}
	return all
}

// lines reads the last lines.
func (p *RunPage) lines(ctx context.Context, c *cluster.Cluster, namespace string) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	after := Cursor{}
	err := c.RunLines(ctx, namespace, p.Run.Run.Run, cluster.LogQuery{Tail: lastLines}, func(l cluster.LogLine) {
		if after.take(l); !l.Rest {
			p.Lines = append(p.Lines, logLine(l, p.Run.Nodes))
		}
	})
	if err != nil {
		p.Notes = append(p.Notes, "Not all of its log can be read: "+gitops.RedactText(err.Error()))
	}
	slices.SortStableFunc(p.Lines, func(a, b LogLine) int { return a.At.Compare(b.At) })
	p.Lines = p.Lines[max(len(p.Lines)-lastLines, 0):]
	p.After = after.String()
}
