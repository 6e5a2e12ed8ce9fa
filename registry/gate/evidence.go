package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/davit-dev/davit/registry"
)

// EvidenceDir is the folder of what speaks for a version. What is in it is never changed, only added to.
func EvidenceDir(r *registry.Release) string {
	return path.Join(path.Dir(r.Model.Path), "evidence", r.ModelVersion.Name)
}

// EvidenceFiles lists, in order, the files in that folder, at any depth; none where there is no folder.
func EvidenceFiles(fsys fs.FS, r *registry.Release) (names []string, err error) {
	dir := EvidenceDir(r)
	err = fs.WalkDir(fsys, dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.Type()&(fs.ModeDir|fs.ModeIrregular) == 0 {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	return names, nil
}

// list gives a folder's entries, none where there is no folder: whatever else is in its place stops nobody.
func list(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err == nil || absent(err) {
		return entries, nil
	}
	if info, statErr := fs.Stat(fsys, dir); statErr == nil && !info.IsDir() {
		return nil, nil
	}
	return nil, fmt.Errorf("reading %s: %w", dir, err)
}

// absent is said by a folder on disk with ENOTDIR too, where a file stands in a parent's place.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// evidence looks for the files that must be there.
func evidence(fsys fs.FS, r *registry.Release, gates registry.Gates) (findings []Finding, err error) {
	if len(gates.Evidence) == 0 {
		return nil, nil
	}
	dir := EvidenceDir(r)
	entries, err := list(fsys, dir)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(slices.Values(gates.Evidence)) {
		f := Finding{Gate: "evidence/" + name, State: Failed, Message: fmt.Sprintf("%s needs a file %s/%s.*; add it", r.ModelVersion, dir, name)}
		for _, e := range entries {
			stem, _, _ := strings.Cut(e.Name(), ".")
			if info, err := e.Info(); stem == name && err == nil && info.Mode().IsRegular() {
				f.State, f.Message = Passed, path.Join(dir, e.Name())
				if info.Size() == 0 {
					f.State, f.Message = Failed, fmt.Sprintf("%s/%s is empty; write it", dir, e.Name())
				}
			}
		}
		findings = append(findings, f)
	}
	return findings, nil
}
