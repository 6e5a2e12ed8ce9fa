package registry

import (
	"io/fs"
	"path"
	"slices"
	"sync"
)

// hints lists what a tree has to name, sound or not, when a fault is written about a name that is not
// among it. Each list is read at most once. With a nil fsys there is nothing.
type hints struct{ models, releases, runtimes, accelerators func() []string }

func newHints(fsys fs.FS) *hints {
	folders := func(dir string) []string {
		if fsys == nil {
			return nil
		}
		rd := &reader{fsys: fsys} // its error shows where the folder is read in earnest
		return rd.list(dir).folders()
	}
	teams := func(folder string) func() []string {
		return sync.OnceValue(func() []string {
			all := folders(folder)
			for _, team := range folders("teams") {
				all = append(all, folders(path.Join("teams", team, folder))...)
			}
			slices.Sort(all)
			return slices.Compact(all)
		})
	}
	return &hints{
		models: teams("models"), releases: teams("releases"),
		accelerators: sync.OnceValue(func() []string { return folders("accelerators") }),
		runtimes: sync.OnceValue(func() (all []string) {
			for _, name := range folders("runtimes") {
				for _, version := range folders(path.Join("runtimes", name)) {
					all = append(all, name+"@"+version)
				}
			}
			return all
		}),
	}
}
