package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// state is all that an attempt needs of the one before.
type state struct {
	Step    int
	Loss    float64
	Weights []float64
}

const checkpointName = "step-%08d.json" // so that names are in the order of steps

// kept is how many checkpoints stay: the newest, and the one before should that be damaged.
const kept = 2

// save writes a checkpoint in full or not at all: what dies in between leaves a file that resume does not look at.
func (s state) save(dir string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	name := filepath.Join(dir, fmt.Sprintf(checkpointName, s.Step))
	file, err := os.Create(name + ".part")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return err
	}
	names, err := checkpoints(dir)
	for _, old := range names[:max(len(names)-kept, 0)] {
		if err == nil {
			err = os.Remove(old)
		}
	}
	return err
}

// resume reads the newest sound checkpoint into s; false when there is none.
func (s *state) resume(dir string) (bool, error) {
	names, err := checkpoints(dir)
	if err != nil {
		return false, err
	}
	for _, name := range slices.Backward(names) {
		data, err := os.ReadFile(name)
		if err != nil {
			return false, err
		}
		var found state
		if json.Unmarshal(data, &found) == nil && found.Step > 0 && len(found.Weights) == len(s.Weights) {
			*s = found
			return true, nil
		}
	}
	return false, nil
}

// checkpoints are the files' names, the oldest first.
func checkpoints(dir string) ([]string, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err // Glob takes it for an empty folder
	}
	return filepath.Glob(filepath.Join(dir, "step-*.json"))
}
