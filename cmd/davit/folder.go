package main

import (
	"context"
	"os"
	"path"
	"path/filepath"

	"github.com/davit-dev/davit/gitops"
)

// folder is where in its repository the registry lies; "" where that is all of it, or -C has no registry.
func (a *app) folder() (string, error) {
	root, err := a.root()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(root, "davit.yaml")); err != nil {
		return "", nil
	}
	return gitops.FolderOf(root)
}

// source opens the repository of -C, to be read below the registry's folder.
func (a *app) source(ctx context.Context) (*gitops.Source, error) {
	folder, err := a.folder()
	if err != nil {
		return nil, err
	}
	return gitops.Open(ctx, gitops.Config{URL: a.dir, Folder: folder})
}

// isTop says whether a folder is the root of a repository's worktree.
func isTop(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, ".git"))
	return err == nil
}

// folderToBe is where in its repository a folder is, or would be, that need not be there yet; "" outside of any.
func folderToBe(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	rest := ""
	for err == nil && dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir, rest = filepath.Dir(dir), path.Join(filepath.Base(dir), rest)
	}
	if err != nil {
		return "", err
	}
	folder, err := gitops.FolderOf(dir)
	if err != nil || folder == "" && !isTop(dir) {
		return "", err
	}
	return path.Join(folder, rest), nil
}
