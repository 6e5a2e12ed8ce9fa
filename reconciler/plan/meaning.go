package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

// mean says what of a release is another, in the words of its files.
func (p *pair) mean() {
	was := p.was
	if was == nil {
		was = &registry.Release{Model: &registry.Model{}, ModelVersion: &registry.ModelVersion{}, Runtime: &registry.Runtime{}}
	}
	from, to := was.ModelVersion, p.is.ModelVersion
	p.Model = edit(from.Model, to.Model)
	if from.Model != to.Model || from.Name != to.Name {
		p.Metrics = metrics(from.Spec.Metrics, to.Spec.Metrics)
	}
	if !sameFiles(from.Spec.Files, to.Spec.Files) {
		p.Weights = &Weights{To: Describe(to.Spec), FromBytes: size(from.Spec), ToBytes: size(to.Spec)}
		if p.was != nil {
			p.Weights.From = Describe(from.Spec)
		}
	}
	p.Runtime = edit(runtimeOf(was), runtimeOf(p.is))
	p.Accelerator = edit(acceleratorOf(was), acceleratorOf(p.is))
	gpus := 0
	if p.was != nil {
		p.Moved = edit(was.Team, p.is.Team)
		gpus = was.GPUs()
		p.Replicas = edit(replicas(was), replicas(p.is))
		p.Strategy = edit(strategy(was), strategy(p.is))
	}
	p.GPUs = counts(gpus, p.is.GPUs())
}

// meant says whether mean found what no object shows: another model, whose digest is not known, or another team.
func (p *pair) meant() bool {
	return p.Model != nil || p.Weights != nil || p.From != p.To || p.Moved != nil
}

func edit(from, to string) *Edit {
	if from == to {
		return nil
	}
	return &Edit{from, to}
}

func counts(from, to int) *Count {
	if from == to {
		return nil
	}
	return &Count{from, to}
}

func runtimeOf(r *registry.Release) string {
	if r.Runtime == nil || r.Runtime.Name == "" {
		return ""
	}
	return r.Runtime.String()
}

func acceleratorOf(r *registry.Release) string {
	if r.Accelerator == nil {
		return ""
	}
	return r.Accelerator.Name
}

func strategy(r *registry.Release) string {
	if r.Serving.Rollout.Strategy == "" {
		return registry.InPlace
	}
	return r.Serving.Rollout.Strategy
}

func replicas(r *registry.Release) string {
	switch s := r.Serving; {
	case s.Autoscale != nil:
		return fmt.Sprintf("%d to %d by %s", s.Autoscale.Min, s.Autoscale.Max, s.Autoscale.Metric)
	case s.Replicas != nil:
		return strconv.Itoa(*s.Replicas)
	}
	return ""
}

// metrics are those of both that differ, by name.
func metrics(from, to map[string]float64) (out []Metric) {
	names := slices.Sorted(maps.Keys(from))
	names = slices.AppendSeq(names, maps.Keys(to))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		m := Metric{Name: name}
		f, had := from[name]
		t, has := to[name]
		if had && has && f == t {
			continue
		}
		if had {
			m.From = &f
		}
		if has {
			m.To = &t
		}
		out = append(out, m)
	}
	return out
}

// sameFiles compares what is in an image: where it comes from does not matter.
func sameFiles(a, b []registry.File) bool {
	return slices.EqualFunc(a, b, func(a, b registry.File) bool { return a.Path == b.Path && a.SHA256 == b.SHA256 && a.Size == b.Size })
}

func size(s registry.ModelVersionSpec) (total int64) {
	for _, f := range s.Files {
		total += f.Size
	}
	return total
}

// Describe is a model in a line: its files, and what they tell of it.
func Describe(s registry.ModelVersionSpec) string {
	files := "1 file"
	if len(s.Files) != 1 {
		files = fmt.Sprintf("%d files", len(s.Files))
	}
	parts := []string{files, bytes(size(s))}
	for _, text := range []string{s.Format, s.Architecture, s.Precision, s.Quantization} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if s.Opset > 0 {
		parts = append(parts, fmt.Sprintf("opset %d", s.Opset))
	}
	if s.Parameters > 0 {
		parts = append(parts, image.ParamSize(s.Parameters)+" parameters")
	}
	return strings.Join(parts, ", ")
}

// bytes is a size as people read it.
func bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, i := float64(n)/unit, 0
	for ; value >= unit && i < 4; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.4g %ciB", value, "KMGTP"[i])
}

// image says what is known of a version's image.
func (c *comparison) image(v *registry.ModelVersion) *Image {
	if c.Built == nil {
		return &Image{State: NotAsked}
	}
	switch digest, known := c.Built(v); {
	case !known:
		return &Image{State: NotAsked}
	case digest == "":
		return &Image{State: NotBuilt}
	default:
		return &Image{State: Built, Digest: digest}
	}
}

// own says whether one of a release's own files differs.
func (c *comparison) own(was, is *registry.Release) bool {
	from, err := was.OwnKey(c.before.FS())
	if err != nil {
		return true
	}
	to, err := is.OwnKey(c.after.FS())
	return err != nil || from != to
}
