package hostile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

// Lay writes the attack's files over a registry in a folder: the example's, whole. A file's path is a step's first word:
//
//	symlink PATH TARGET
//
// What attacks the release or the model "hostile" is laid over sound ones, in production alone.
func (a *Attack) Lay(dir string) error {
	if a.release() {
		if err := sound(dir); err != nil {
			return err
		}
	}
	for _, f := range a.files {
		text, err := a.Text(dir, string(f.Data))
		if err != nil {
			return err
		}
		if err := write(dir, f.Name, text); err != nil {
			return err
		}
	}
	for _, step := range a.steps {
		if step[0] != "symlink" {
			continue
		}
		file := filepath.Join(dir, step[1])
		if err := os.RemoveAll(file); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(step[2], file); err != nil {
			return err
		}
	}
	return nil
}

// sound copies the example's model and its release in production.
func sound(dir string) error {
	for _, name := range []string{"models/iris/model.yaml", "models/iris/versions/v1.yaml", "releases/iris/serving.yaml", "releases/iris/production.yaml"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(data), "model: iris", "model: hostile")
		if err := write(dir, strings.Replace(name, "/iris/", "/hostile/", 1), text); err != nil {
			return err
		}
	}
	return nil
}

func write(dir, name, text string) error {
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

var namespace = regexp.MustCompile(`(?m)^ *namespace: (.*)$`)

// Text is a text of the attack with what stands for something written out, as for the registry in dir.
func (a *Attack) Text(dir, text string) (string, error) {
	own := func(name string) (string, error) {
		for _, f := range a.files {
			if f.Name == name {
				return a.Text(dir, string(f.Data))
			}
		}
		return "", fmt.Errorf("no file %s", name)
	}
	t, err := template.New(a.Name).Delims("<<", ">>").Funcs(template.FuncMap{
		"repeat": strings.Repeat,
		"hex":    func(s string) (string, error) { b, err := hex.DecodeString(s); return string(b), err },
		"namespace": func(environment string) (string, error) {
			data, err := os.ReadFile(filepath.Join(dir, "environments", environment, "environment.yaml"))
			if m := namespace.FindSubmatch(data); m != nil {
				return string(m[1]), nil
			}
			return "", fmt.Errorf("environment %s has no namespace: %w", environment, err)
		},
		"sha256": func(name string) (string, error) {
			content, err := own(name)
			sum := sha256.Sum256([]byte(content))
			return hex.EncodeToString(sum[:]), err
		},
		"size": func(name string) (int, error) { content, err := own(name); return len(content), err },
	}).Parse(text)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = t.Execute(&out, nil)
	return out.String(), err
}
