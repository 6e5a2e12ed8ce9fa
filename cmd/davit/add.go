package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

func addCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "add MODEL VERSION FILE|URI...",
		Short: "Write a new version of a model: hash and inspect its files",
		Long: "Reads each file once, from the repository or at an https://, s3://, gs:// or azblob:// address, and writes versions/VERSION.yaml in the model's\n" +
			"folder, at the root or in a team's, with its sha256, size and format. A file outside the repository is copied\n" +
			"into files/VERSION there. Makes the model, as models/MODEL, when there is none. A version that exists is never written over.",
		Args: cobra.MinimumNArgs(3),
	}
	metrics := c.Flags().StringToString("metric", nil, "a metric, NAME=VALUE; may be repeated")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		root, err := a.root()
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(root, "davit.yaml")); err != nil {
			return registry.ErrNoRegistry
		}
		v := newVersion{root: root, model: args[0], version: args[1]}
		if err := v.check(); err != nil {
			return err
		}
		for _, source := range args[2:] {
			if err := v.add(cmd.Context(), source); err != nil {
				return fmt.Errorf("adding %s: %w", source, err)
			}
		}
		written, err := v.write(*metrics)
		for _, name := range written {
			fmt.Fprintln(cmd.OutOrStdout(), "wrote", name)
		}
		if err == nil {
			fmt.Fprintln(cmd.OutOrStdout(), &v)
		}
		return err
	}
	return c
}

// newVersion is a ModelVersion being put together.
type newVersion struct {
	root, model, version string
	dir                  string // the model's folder
	about                image.Knowledge
	files                []registry.File
	copies               map[string]string // place in the repository -> file it comes from
}

// String tells what the version is, as far as its files do.
func (v *newVersion) String() string {
	var total int64
	for _, f := range v.files {
		total += f.Size
	}
	parts := []string{counted(len(v.files), "file"), fmt.Sprintf("%d bytes", total)}
	for _, text := range []string{v.about.Format, v.about.Architecture, v.about.Precision, v.about.Quantization} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if v.about.Parameters > 0 {
		parts = append(parts, image.ParamSize(v.about.Parameters)+" parameters in "+counted(v.about.Tensors, "tensor"))
	}
	text := v.model + "@" + v.version + ": " + strings.Join(parts, ", ")
	for _, f := range v.files {
		if kind := registry.CarriesCode(f.Path); kind != "" {
			text += fmt.Sprintf("\n%s carries code (%s): environments refuse it unless they say allowCode: [%s]", f.Path, kind, kind)
		}
	}
	return text
}

func (v *newVersion) file() string {
	return path.Join(v.dir, "versions", v.version+".yaml")
}

func (v *newVersion) check() error {
	for what, name := range map[string]string{"model": v.model, "version": v.version} {
		if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
			return usage{fmt.Errorf("%s %q is not a name", what, name)}
		}
	}
	if err := v.find(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(v.root, filepath.FromSlash(v.file()))); err == nil {
		return fmt.Errorf("%s exists, and a version never changes; choose another name", v.file())
	}
	return nil
}

// find sets the model's folder: where it is, or models/MODEL for a new one.
func (v *newVersion) find() error {
	fsys := os.DirFS(v.root)
	teams, err := fs.ReadDir(fsys, "teams")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	places := []string{path.Join("models", v.model)}
	for _, team := range teams {
		places = append(places, path.Join("teams", team.Name(), "models", v.model))
	}
	for _, dir := range places {
		switch info, err := fs.Stat(fsys, dir); {
		case err != nil || !info.IsDir():
		case v.dir != "":
			return fmt.Errorf("model %q is in %s and in %s; remove one of them", v.model, v.dir, dir)
		default:
			v.dir = dir
		}
	}
	if v.dir == "" {
		v.dir = places[0]
	}
	return nil
}

// add hashes one source.
func (v *newVersion) add(ctx context.Context, source string) error {
	place := source
	var r io.ReadCloser
	if strings.Contains(source, "://") {
		builder, err := images(nil)
		if err != nil {
			return err
		}
		if r, err = builder.Open(ctx, source); err != nil {
			return err
		}
	} else {
		f, err := os.Open(source)
		if err != nil {
			return err
		}
		if place, err = v.placeOf(source); err != nil {
			return errors.Join(err, f.Close())
		}
		r = f
	}
	name := path.Base(strings.SplitN(filepath.ToSlash(source), "?", 2)[0])
	file, err := image.Inspect(name, r)
	if err := errors.Join(err, r.Close()); err != nil {
		return err
	}
	if slices.ContainsFunc(v.files, func(f registry.File) bool { return f.Path == name }) {
		return fmt.Errorf("two files are called %s", name)
	}
	v.about = v.about.Merge(file.Knowledge)
	v.files = append(v.files, registry.File{Path: name, Source: place, SHA256: file.SHA256, Size: file.Size})
	return nil
}

// placeOf is a file's path from the repository's root; one outside is to be copied in.
func (v *newVersion) placeOf(file string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if rel, err := filepath.Rel(v.root, abs); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel), nil
	}
	place := path.Join(v.dir, "files", v.version, filepath.Base(file))
	if v.copies == nil {
		v.copies = map[string]string{}
	}
	v.copies[place] = abs
	return place, nil
}

// write puts the files down, the version last, and lists what it wrote.
func (v *newVersion) write(metrics map[string]string) (written []string, err error) {
	put := func(name string, data []byte) error {
		full := filepath.Join(v.root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		written = append(written, name)
		return errors.Join(err, f.Close())
	}
	for place, from := range v.copies {
		data, err := os.ReadFile(from)
		if err != nil {
			return written, err
		}
		if err := put(place, data); err != nil {
			return written, err
		}
	}
	model := path.Join(v.dir, "model.yaml")
	if _, err := os.Stat(filepath.Join(v.root, filepath.FromSlash(model))); errors.Is(err, os.ErrNotExist) {
		if err := put(model, []byte("apiVersion: "+registry.APIVersion+"\nkind: Model\nspec:\n  description: \"\"\n  owners: []\n")); err != nil {
			return written, err
		}
	}
	data, err := v.yaml(metrics)
	if err != nil {
		return written, err
	}
	return written, put(v.file(), data)
}

func (v *newVersion) yaml(metrics map[string]string) ([]byte, error) {
	type file struct {
		Path   string `yaml:"path"`
		Source string `yaml:"source"`
		SHA256 string `yaml:"sha256"`
		Size   int64  `yaml:"size"`
	}
	var doc struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Spec       struct {
			Format       string             `yaml:"format,omitempty"`
			Architecture string             `yaml:"architecture,omitempty"`
			Parameters   int64              `yaml:"parameters,omitempty"`
			Precision    string             `yaml:"precision,omitempty"`
			Quantization string             `yaml:"quantization,omitempty"`
			Files        []file             `yaml:"files"`
			Metrics      map[string]float64 `yaml:"metrics,omitempty"`
		} `yaml:"spec"`
	}
	doc.APIVersion, doc.Kind = registry.APIVersion, "ModelVersion"
	spec := &doc.Spec
	spec.Format, spec.Architecture, spec.Parameters = v.about.Format, v.about.Architecture, v.about.Parameters
	spec.Precision, spec.Quantization = v.about.Precision, v.about.Quantization
	for _, f := range v.files {
		doc.Spec.Files = append(doc.Spec.Files, file(f))
	}
	for name, text := range metrics {
		var value float64
		if _, err := fmt.Sscan(text, &value); err != nil {
			return nil, usage{fmt.Errorf("--metric %s=%s: not a number", name, text)}
		}
		if doc.Spec.Metrics == nil {
			doc.Spec.Metrics = map[string]float64{}
		}
		doc.Spec.Metrics[name] = value
	}
	return yaml.Marshal(doc)
}
