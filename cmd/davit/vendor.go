package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
)

// vacant is the registry's root, if the folder dir is not in it yet.
func (a *app) vacant(dir, advice string) (root string, err error) {
	if root, err = a.root(); err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(root, "davit.yaml")); err != nil {
		return "", registry.ErrNoRegistry
	}
	switch _, err := os.Lstat(filepath.Join(root, filepath.FromSlash(dir))); {
	case err == nil:
		return "", fmt.Errorf("%s exists; %s", dir, advice)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return root, nil
}

// folders lists a folder's folders in the registry, none where there is no registry.
func (a *app) folders(dir string) []string {
	names := []string{}
	root, err := a.root()
	if err != nil {
		return names
	}
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(dir)))
	if err != nil {
		return names
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

// writeFiles makes files below root/dir, none of which exists, and lists them. When something is wrong none stays.
func writeFiles(root, dir string, files map[string][]byte) (written []string, err error) {
	defer func() {
		if err != nil {
			for _, name := range written {
				_ = os.Remove(filepath.Join(root, filepath.FromSlash(name)))
			}
			written = nil
		}
	}()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		place := path.Join(dir, name)
		full := filepath.Join(root, filepath.FromSlash(place))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return written, err
		}
		f, err := os.OpenFile(full, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return written, err
		}
		written = append(written, place)
		_, err = f.Write(files[name])
		if err := errors.Join(err, f.Close()); err != nil {
			return written, err
		}
	}
	return written, nil
}

// scalar is a text as YAML has it: "25.10" is a number without quotes.
func scalar(text string) string {
	data, err := yaml.Marshal(text)
	if err != nil {
		return text
	}
	return strings.TrimSpace(string(data))
}

// printFeature says what an environment must declare.
func printFeature(w io.Writer, feature string) {
	if feature != "" {
		fmt.Fprintf(w, "  capabilities: {features: [%s]}\n", feature)
	}
}
