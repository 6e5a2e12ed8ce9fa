package image

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/davit-dev/davit/registry"
)

const (
	// metricsFile, at the output's root, has the run's metrics, and is no file of the model.
	metricsFile = "metrics.json"
	// maxMetricsFile in bytes, and maxMetrics, are more than anybody compares.
	maxMetricsFile, maxMetrics = 16 << 10, 200
	// maxWord is how many bytes the name of a metric, or what a header says, may have.
	maxWord = 128
)

// trainerOutput is what a run's trainer left, as the files of a version.
type trainerOutput struct {
	fs.FS
	spec registry.RunSpec
}

func (o trainerOutput) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(o.FS, name) }

func (o trainerOutput) ReadLink(name string) (string, error) { return fs.ReadLink(o.FS, name) }

// trained is the version that a run's output is, with sources in it. It has the run's name, until a person gives it one.
func (b *Builder) trained(ctx context.Context, spec registry.RunSpec, output fs.FS) (*registry.ModelVersion, error) {
	v := &registry.ModelVersion{Model: spec.Model, Name: spec.Run, Path: "output of run " + spec.Run}
	v.Spec.Lineage = registry.Lineage{TrainedBy: spec.Run, BaseVersion: spec.BaseVersion}
	for _, d := range spec.Datasets {
		v.Spec.Datasets = append(v.Spec.Datasets, registry.Dataset(d))
	}
	names, err := b.outputFiles(output)
	if err != nil {
		return nil, outputError(v, "", err)
	}
	var about Knowledge
	first := "" // of the files that have a format
	for _, name := range names {
		f, known, err := inspectOutput(ctx, output, name)
		if err != nil {
			return nil, outputError(v, name, err)
		}
		if about.Format != "" && known.Format != "" && known.Format != about.Format {
			return nil, outputError(v, "", contentErrorf("has two formats, %s (%s) and %s (%s); leave the files of one of them", about.Format, first, known.Format, name))
		}
		if known.Format != "" {
			first = cmp.Or(first, name)
		}
		about = about.Merge(known)
		v.Spec.Files = append(v.Spec.Files, f)
	}
	v.Spec.Format, v.Spec.Parameters, v.Spec.Opset = about.Format, about.Parameters, about.Opset
	v.Spec.Architecture, v.Spec.Precision, v.Spec.Quantization = wordOf(about.Architecture), wordOf(about.Precision), wordOf(about.Quantization)
	if v.Spec.Metrics, err = b.metrics(output); err != nil {
		return nil, outputError(v, metricsFile, err)
	}
	return v, check(v)
}

// outputError is an error of reading the output. What the publisher may not read stays so.
func outputError(v *registry.ModelVersion, file string, err error) error {
	if content, ok := errors.AsType[*ContentError](err); ok {
		return &ContentError{Path: v.Path, File: file, Err: content.Err}
	}
	if errors.Is(err, fs.ErrPermission) {
		return &ContentError{Path: v.Path, File: file, Err: fmt.Errorf("%w; the trainer must leave what the publisher's user may read", err)}
	}
	if file != "" {
		return fmt.Errorf("%s: file %q: %w", v.Path, file, err)
	}
	return fmt.Errorf("%s: %w", v.Path, err)
}

// outputFiles lists the files of the model. As by davit add, what begins with a dot is passed over.
func (b *Builder) outputFiles(output fs.FS) (names []string, err error) {
	err = fs.WalkDir(output, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == "lost+found": // a volume's own, which only root may read
			return fs.SkipDir
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			b.cfg.Log.Info("passed over, since its name begins with a dot", "file", name)
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || name == metricsFile:
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			return contentErrorf("%s is a symbolic link, which is not followed; leave the file itself", name)
		case !d.Type().IsRegular():
			return contentErrorf("%s is neither a file nor a folder; remove it", name)
		}
		if names = append(names, name); len(names) > MaxFiles {
			return contentErrorf("has more than %d files, which is what an image holds; leave the model alone there, without checkpoints", MaxFiles)
		}
		return checkOutputPath(name)
	})
	if err == nil && len(names) == 0 {
		err = contentErrorf("there is no file; the trainer must leave the model's in the folder that DAVIT_OUTPUT names")
	}
	return names, err
}

// checkOutputPath refuses what can't be a file of a version whose source is an image.
func checkOutputPath(name string) error {
	err := registry.CheckFile(registry.File{Path: name})
	if err == nil {
		err = checkPath(name)
	}
	if err == nil && strings.ContainsAny(name, "?#") {
		err = errors.New("the path has a ? or #, which an address can't have; rename it")
	}
	if err != nil {
		return contentErrorf("file %q: %w", name, err)
	}
	return nil
}

// inspectOutput reads a file through.
func inspectOutput(ctx context.Context, output fs.FS, name string) (f registry.File, k Knowledge, err error) {
	in, err := openRepository(output, registry.File{Source: name})
	if err != nil {
		return f, k, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	r := &watched{ctx: ctx, r: in}
	seen, err := Inspect(name, r)
	if err != nil && r.err == nil { // what was read is at fault
		err = &ContentError{Err: err}
	}
	return registry.File{Path: name, Source: name, SHA256: seen.SHA256, Size: seen.Size}, seen.Knowledge, err
}

// watched ends when ctx does, and keeps what reading failed for.
type watched struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	if w.err = w.ctx.Err(); w.err != nil {
		return 0, w.err
	}
	n, err := w.r.Read(p)
	if err != io.EOF {
		w.err = err
	}
	return n, err
}

// notJSON is what Python's json writes for numbers that JSON does not have.
var notJSON = regexp.MustCompile(`:\s*(?:NaN|-?Infinity)\s*([,}])`)

// metrics are the numbers of the metrics' file. A run is not lost for what is wrong with them: that is told and passed over.
func (b *Builder) metrics(output fs.FS) (map[string]float64, error) {
	info, err := fs.Lstat(output, metricsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ignored := func(why string) { b.cfg.Log.Warn("metrics are ignored", "file", metricsFile, "why", why) }
	if !info.Mode().IsRegular() || info.Size() > maxMetricsFile {
		ignored(fmt.Sprintf("it is not a file of at most %d bytes", maxMetricsFile))
		return nil, nil
	}
	in, err := output.Open(metricsFile)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, maxMetricsFile))
	if err != nil {
		return nil, err
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal(notJSON.ReplaceAll(data, []byte(":null$1")), &values); err != nil {
		ignored(`it is not an object of numbers, such as {"accuracy": 0.96}: ` + err.Error())
		return nil, nil
	}
	return numbers(values, b.cfg.Log), nil
}

// numbers are the metrics among values, the first by name if there are too many.
func numbers(values map[string]json.RawMessage, log *slog.Logger) map[string]float64 {
	out := map[string]float64{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		var n *float64
		switch err := json.Unmarshal(values[name], &n); {
		case err != nil || n == nil:
			log.Warn("metric is ignored", "metric", name, "why", "it is not a number")
		case name == "" || wordOf(name) != name:
			log.Warn("metric is ignored", "metric", name, "why", fmt.Sprintf("its name is not a word of at most %d bytes", maxWord))
		case len(out) == maxMetrics:
			log.Warn("metric is ignored", "metric", name, "why", fmt.Sprintf("there are %d before it", maxMetrics))
		default:
			out[name] = *n
		}
	}
	return out
}

// wordOf is a text that is fit to stand in a file; "" when it is too long or has what can't be printed.
func wordOf(text string) string {
	if len(text) > maxWord || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return ""
	}
	return text
}

// checkMetrics says what can't be metrics.
func checkMetrics(metrics map[string]float64) error {
	if len(metrics) > maxMetrics {
		return contentErrorf("has %d metrics, of at most %d", len(metrics), maxMetrics)
	}
	for _, name := range slices.Sorted(maps.Keys(metrics)) { // so that the same one is told each time
		n := metrics[name]
		if name == "" || wordOf(name) != name || math.IsNaN(n) || math.IsInf(n, 0) {
			return contentErrorf("metric %q = %v can't be one", name, n)
		}
	}
	return nil
}
