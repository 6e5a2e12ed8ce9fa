// Package hostile is a corpus of attacks on a registry, for tests: what somebody may merge who has one folder of it. Each
// is laid over examples/iris/registry, beside the release iris that must go on. It knows nothing of what refuses them.
package hostile

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed corpus/*.txtar
var corpus embed.FS

// Attack is one file of the corpus: a sentence of what it tries, lines of steps (see [Attack.Lay] and [Attack.Commit]), and
// the files it lays over a registry. In files and wants, <<repeat "text" 100>>, <<hex "8004">>, <<namespace "production">>,
// and <<sha256 "path">> and <<size "path">> of its own files stand for what they say.
type Attack struct {
	Name string
	// Want is what davit validate says, by whole lines, and the controller one of them. Later is what the controller says
	// instead, or what only it can know: what was granted, and what is in the weights. At least one of them is there.
	Want, Later []string
	steps       [][]string
	files       []txtar.File
}

// Corpus reads all attacks, ordered by name.
func Corpus() ([]*Attack, error) {
	entries, err := fs.ReadDir(corpus, "corpus")
	if err != nil {
		return nil, err
	}
	var all []*Attack
	for _, e := range entries {
		data, err := corpus.ReadFile("corpus/" + e.Name())
		if err != nil {
			return nil, err
		}
		a, err := parse(strings.TrimSuffix(e.Name(), ".txtar"), data)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// kinds are the steps and how many arguments each has.
var kinds = map[string]int{"symlink": 2, "submodule": 1, "entry": 3, "bomb": 1, "blob": 2}

func parse(name string, data []byte) (*Attack, error) {
	in := txtar.Parse(data)
	a := &Attack{Name: name}
	about, steps, _ := strings.Cut(strings.TrimSpace(string(in.Comment)), "\n")
	if about == "" {
		return nil, fmt.Errorf("%s.txtar:1: the first line says what the attack tries", name)
	}
	for line := range strings.Lines(steps) {
		step := strings.Fields(line)
		if n, ok := kinds[step[0]]; !ok || len(step) != n+1 {
			return nil, fmt.Errorf("%s.txtar: no step %q", name, strings.TrimSpace(line))
		}
		a.steps = append(a.steps, step)
	}
	for _, f := range in.Files {
		lines := strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		switch f.Name {
		case "want":
			a.Want = lines
		case "later":
			a.Later = lines
		default:
			a.files = append(a.files, f)
		}
	}
	if len(a.Want)+len(a.Later) == 0 {
		return nil, fmt.Errorf("%s.txtar: neither want nor later", name)
	}
	return a, nil
}

// Linked says that it is a link in a worktree, which leads out of it there.
func (a *Attack) Linked() bool {
	return slices.ContainsFunc(a.steps, func(step []string) bool { return step[0] == "symlink" })
}

// release says whether the release named hostile, and its model, are laid under it.
func (a *Attack) release() bool {
	below := func(name string) bool {
		name = path.Clean(name) + "/"
		return strings.HasPrefix(name, "releases/hostile/") || strings.HasPrefix(name, "models/hostile/")
	}
	return slices.ContainsFunc(a.files, func(f txtar.File) bool { return below(f.Name) }) ||
		slices.ContainsFunc(a.steps, func(step []string) bool { return below(step[1]) })
}
