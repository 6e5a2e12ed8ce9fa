package devcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// record is what a supervisor leaves on disk about what it started, so that another process can clean up after
// a supervisor that was killed. It is rewritten before each thing it names comes to life.
type record struct {
	ID         string     `json:"id"`
	Dir        string     `json:"dir"`
	Keep       bool       `json:"keep"` // the folder is the user's: remove only what was made in it
	Supervisor identity   `json:"supervisor"`
	Processes  []identity `json:"processes"`
	Bridge     string     `json:"bridge,omitempty"`
	Cgroup     string     `json:"cgroup,omitempty"` // below every cgroup hierarchy
}

// identity names a process for good: pids are used again, a pid with its start time is not.
type identity struct {
	Name  string `json:"name"`
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

func identify(name string, pid int) identity { return identity{name, pid, startTime(pid)} }

func (i identity) alive() bool { return i.PID > 0 && i.Start != 0 && startTime(i.PID) == i.Start }

// recordDir holds one file per running cluster of this user.
func recordDir() (string, error) {
	cache, err := cacheRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "run")
	return dir, os.MkdirAll(dir, 0o755)
}

func (r *record) path() (string, error) {
	dir, err := recordDir()
	return filepath.Join(dir, r.ID+".json"), err
}

func (r *record) save() error {
	path, err := r.path()
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return fmt.Errorf("recording cluster %s: %w", r.ID, err)
	}
	return os.Rename(path+".new", path)
}

func (r *record) forget() error {
	path, err := r.path()
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// records returns those that can be read; a file that is being removed is no error.
func records() ([]*record, error) {
	dir, err := recordDir()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*record
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		r := &record{}
		if json.Unmarshal(data, r) == nil && filepath.IsAbs(r.Dir) {
			all = append(all, r)
		}
	}
	return all, nil
}
