package planted

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Files searches every file below dir, and dir itself when it is one, and is an error that names those that hold a planted word.
// What is not there holds none.
func Files(dir string) error {
	var found []error
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return gone(err)
		}
		file, err := os.Open(name)
		if err != nil {
			return gone(err)
		}
		defer file.Close()
		var w Writer
		if _, err := io.Copy(&w, file); err != nil {
			return err
		}
		if w.Found != "" {
			found = append(found, fmt.Errorf("%s holds %s", name, w.Found))
		}
		return nil
	})
	return errors.Join(append(found, err)...)
}

// gone is nil for what ended while it was looked for.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Git searches all objects of a repository, whether a reference leads to them or not: files, messages, notes. A folder that is none
// holds none.
func Git(dir string) error {
	if exec.Command("git", "-C", dir, "rev-parse", "--git-dir").Run() != nil {
		return nil
	}
	cmd := exec.Command("git", "-C", dir, "cat-file", "--batch-all-objects", "--unordered", "--batch")
	var w Writer
	cmd.Stdout = &w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("reading the objects of %s: %w", dir, err)
	}
	if w.Found != "" {
		return fmt.Errorf("the repository %s holds %s", dir, w.Found)
	}
	return nil
}
