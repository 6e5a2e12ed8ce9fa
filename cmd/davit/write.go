package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/davit-dev/davit/registry"
)

// reader ends when ctx does: hashing and copying take minutes.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// write puts the files down, the version last, and lists what it wrote. When something is wrong nothing stays.
func (v *newVersion) write(ctx context.Context, metrics map[string]string) (written []string, err error) {
	defer func() {
		if err != nil {
			v.remove(written)
			written = nil
		}
	}()
	data, err := v.yaml(metrics)
	if err != nil {
		return written, err
	}
	for _, place := range slices.Sorted(maps.Keys(v.copies)) {
		if err := v.copy(ctx, place, &written); err != nil {
			return written, err
		}
	}
	model := path.Join(v.dir, "model.yaml")
	if _, err := os.Stat(filepath.Join(v.root, filepath.FromSlash(model))); errors.Is(err, os.ErrNotExist) {
		owners, err := json.Marshal(append([]string{}, v.owners...)) // JSON is YAML
		if err != nil {
			return written, err
		}
		if err := v.put(model, []byte("apiVersion: "+registry.APIVersion+"\nkind: Model\nspec:\n  description: \"\"\n  owners: "+string(owners)+"\n"), &written); err != nil {
			return written, err
		}
	}
	return written, v.put(v.file(), data, &written)
}

func (v *newVersion) remove(written []string) {
	for _, name := range written {
		_ = os.Remove(filepath.Join(v.root, filepath.FromSlash(name)))
	}
}

// create makes a file that must not exist.
func (v *newVersion) create(name string, written *[]string) (*os.File, error) {
	full := filepath.Join(v.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		*written = append(*written, name)
	}
	return f, err
}

func (v *newVersion) put(name string, data []byte, written *[]string) error {
	f, err := v.create(name, written)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// copy brings a file from outside into the repository.
func (v *newVersion) copy(ctx context.Context, place string, written *[]string) error {
	from, err := os.Open(v.copies[place])
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := v.create(place, written)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, &reader{ctx, from})
	return errors.Join(err, f.Close())
}

func (v *newVersion) yaml(metrics map[string]string) ([]byte, error) {
	k := v.about
	spec := registry.ModelVersionSpec{
		Format: k.Format, Architecture: k.Architecture, Parameters: k.Parameters, Precision: k.Precision, Quantization: k.Quantization,
		Opset: k.Opset, Files: v.files, Metrics: map[string]float64{},
	}
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		text := metrics[name]
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, usage{fmt.Errorf("--metric %s=%s: not a number; write one such as --metric accuracy=0.93", name, text)}
		}
		spec.Metrics[name] = value
	}
	return registry.VersionText(v.file(), spec)
}
