package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"
)

// runHashLength is how much of its hash a run's name bears: with it the name of a training of 40 characters still
// makes pod names.
const runHashLength = 8

// RunHash is a hash, 64 hex digits, over what a run's result depends on. Equal hashes mean one run, which happens
// once. In it are:
//   - the model's and the training's name;
//   - image, command, hyperparameters, env, datasets, seed;
//   - accelerator (its name), gpus, nodes: sums of floating-point numbers depend on how they are spread;
//   - of the base version its files' paths, digests and sizes, whatever it is called;
//   - the files of the training's own Component, which may change all of these;
//   - the attempt, unless it is 0: by another number all of these run once more;
//   - of a scheduled training the datasets as they are locked, and where it trains on unchanged ones, too, the lock's time.
//
// Not in it is what decides only where, when and how long it runs: the environment and its Component, the
// accelerator's, resources, queue, priority, topology, checkpoints, retries, fatalExitCodes, deadline, ttl, output; nor what
// comes after it: version, merge, keep, onRemove.
// A sweep has no run of its own: those are its Trials'.
// fsys is the tree the training was loaded from; it is read for the Component alone.
func (t *Training) RunHash(fsys fs.FS) (string, error) {
	s := &t.Spec
	b := appendLine(nil, "run", "1") // the format of what follows
	line := func(word string, parts ...string) {
		b = appendLine(b, word, "")
		for _, p := range parts {
			b = appendLine(b, "-", p)
		}
	}
	line("training", t.Model, t.Name)
	line("image", s.Image)
	line("command", s.Command...)
	for _, name := range sortedKeys(s.Hyperparameters) {
		h := s.Hyperparameters[name]
		line("hyperparameter", name, h.Value, h.JSON)
	}
	for _, name := range sortedKeys(s.Env) {
		e := s.Env[name]
		line("env", name, e.Value, e.Secret, e.Key)
	}
	for _, d := range t.Datasets() {
		line("dataset", d.Name, d.URI, d.SHA256)
	}
	if s.Seed != nil {
		line("seed", strconv.FormatInt(*s.Seed, 10))
	}
	line("nodes", s.Accelerator, strconv.Itoa(s.GPUs), strconv.Itoa(t.Nodes()))
	if t.BaseVersion != nil {
		for _, f := range t.BaseVersion.Spec.Files {
			line("base", f.Path, f.SHA256, strconv.FormatInt(f.Size, 10))
		}
	}
	if t.Component != "" {
		paths, err := filesBelow(fsys, t.Component)
		if err != nil {
			return "", err
		}
		slices.Sort(paths)
		if b, err = appendBlobs(b, fsys, paths); err != nil {
			return "", fmt.Errorf("hashing the run of %s: %w", t.Key(), err)
		}
	}
	if s.Attempt > 0 { // left out of the hashes of those that never had one
		line("attempt", strconv.Itoa(s.Attempt))
	}
	if s.Schedule != nil && s.Schedule.Unchanged == unchangedTrain && t.Locked() {
		line("tick", t.Lock.Tick.UTC().Format(time.RFC3339))
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// RunName is the name of the run with that hash: "<training>-<its first 8 digits>".
func (t *Training) RunName(hash string) string { return t.Name + "-" + hash[:runHashLength] }
