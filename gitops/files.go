package gitops

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// filesSettle is how long a change of files is let come to its end: a key and its certificate are two writes.
const filesSettle = 200 * time.Millisecond

// WatchFiles calls changed after the content of one of the files became another, until ctx ends. Folders count with what is
// directly in them. It sees writes, renames, and how kubelet replaces a mounted Secret: by a symlink beside the files. Where
// notifications are not to be had, it looks every two seconds.
func WatchFiles(ctx context.Context, paths []string, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return pollFiles(ctx, paths, changed)
	}
	defer w.Close()
	seen := contents(paths)
	tick := time.NewTicker(localCheck)
	defer tick.Stop()
	for {
		for _, dir := range foldersOf(paths) {
			_ = w.Add(dir) // one that is not there yet comes with the next look; those that are watched stay so
		}
		if now := contents(paths); now != seen {
			seen = now
			changed()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.Events:
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(filesSettle):
			}
			drain(w)
		case <-w.Errors: // lost events; the files are read all the same
		case <-tick.C:
		}
	}
}

func pollFiles(ctx context.Context, paths []string, changed func()) error {
	seen := contents(paths)
	tick := time.NewTicker(localPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if now := contents(paths); now != seen {
			seen = now
			changed()
		}
	}
}

// foldersOf are what is watched: a file itself is replaced by a rename, which its folder sees.
func foldersOf(paths []string) (dirs []string) {
	for _, path := range paths {
		dirs = append(dirs, filepath.Dir(path))
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			dirs = append(dirs, path)
		}
	}
	return dirs
}

// contents is a hash of what the paths hold; what can't be read counts as missing.
func contents(paths []string) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, path := range paths {
		files := []string{path}
		if entries, err := os.ReadDir(path); err == nil {
			files = nil
			for _, e := range entries {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			fmt.Fprintf(h, "%q %d %t\n", file, len(data), err == nil)
			h.Write(data)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
