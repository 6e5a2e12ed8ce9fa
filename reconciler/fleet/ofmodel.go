package fleet

import (
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/runs"
)

// RunsRun is a run as package runs has it.
type RunsRun = runs.Run

// ofModel is as much of a tree as a model's trainings are made of: no release, and no other model.
type ofModel struct {
	*gitops.Snapshot
	model string
}

// ReadDir leaves out what is of no interest.
func (m ofModel) ReadDir(name string) ([]fs.DirEntry, error) {
	all, err := m.Snapshot.ReadDir(name)
	parts := strings.Split(name, "/")
	switch last := parts[len(parts)-1]; {
	case err != nil:
	case last == "releases" && (len(parts) == 1 || len(parts) == 3 && parts[0] == "teams"):
		return nil, nil
	case last == "models" && (len(parts) == 1 || len(parts) == 3 && parts[0] == "teams"):
		all = slices.DeleteFunc(slices.Clone(all), func(e fs.DirEntry) bool { return e.Name() != m.model })
	}
	return all, err
}

func counted(n int) string { return strconv.Itoa(n) }

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
