package registry

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	lockKind   = "TrainingLock"
	lockEnding = ".lock"
)

// LockPath is where the training's lock is, or would be.
func (t *Training) LockPath() string {
	return strings.TrimSuffix(t.Path, ".yaml") + lockEnding + ".yaml"
}

// WithLock gives the file of a training's lock and its text, the same each time for the same lock. [Load] reads it as that
// lock, which fits the training; what it would find a fault in, or does not fit, is an error.
func (t *Training) WithLock(l Lock) (name string, text []byte, err error) {
	doc := lockDocument{APIVersion: APIVersion, Kind: lockKind}
	doc.Spec.Tick = l.Tick.UTC().Format(time.RFC3339)
	for _, d := range l.Datasets {
		doc.Spec.Datasets = append(doc.Spec.Datasets, writtenLocked(d))
	}
	out := bytes.NewBufferString("# Written by davit at the training's schedule; do not edit. Without it the training waits for its next time.\n")
	enc := yaml.NewEncoder(out)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return "", nil, err
	}
	name = t.LockPath()
	read, faults := ParseLock(name, out.Bytes())
	if len(faults) > 0 {
		return "", nil, errors.New(faults[0].String())
	}
	if with := (Training{Spec: t.Spec, Lock: read}); !with.Locked() {
		return "", nil, fmt.Errorf("%s: what the datasets of %s are does not fit what its spec says of them", name, t.Key())
	}
	return name, out.Bytes(), nil
}

type lockDocument struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Spec       struct {
		Tick     string          `yaml:"tick"`
		Datasets []writtenLocked `yaml:"datasets,omitempty"`
	} `yaml:"spec"`
}

type writtenLocked struct {
	Name   string `yaml:"name"`
	From   string `yaml:"from"`
	URI    string `yaml:"uri"`
	SHA256 string `yaml:"sha256,omitempty"`
}

// ParseLock reads the text of a lock's file, or tells its faults.
func ParseLock(name string, text []byte) (*Lock, []Fault) {
	rd := &reader{cache: newCache()}
	spec := lockSpec{}
	doc, faults := rd.document(name, text, lockKind, trainingOfLock(name), &spec)
	return spec.lock(doc, faults)
}

// lockSpec is a [Lock] as it is read.
type lockSpec struct {
	Tick     Moment          `yaml:"tick"`
	Datasets []LockedDataset `yaml:"datasets"`
}

// lock checks what was read of a file; doc is nil where nothing was.
func (s lockSpec) lock(doc *document, faults []Fault) (*Lock, []Fault) {
	if doc == nil {
		return nil, faults
	}
	c := faultsOf{doc: doc}
	if s.Tick.IsZero() {
		c.add([]string{"tick"}, "spec.tick is missing; remove the file, and davit writes it anew at the schedule's next time")
	}
	for i, d := range s.Datasets {
		field := []string{"datasets", strconv.Itoa(i)}
		if d.Name == "" || d.From == "" || d.URI == "" {
			c.add(field, "a locked dataset needs name, from and uri; remove the file, and davit writes it anew at the schedule's next time")
		}
		if err := checkSource(d.URI); err != nil {
			c.add(field, "%v", err)
		}
		if d.SHA256 != "" && !digestHex.MatchString(d.SHA256) {
			c.add(field, "sha256 of dataset %q is not 64 lower-case hex digits", d.Name)
		}
	}
	if len(c.faults) > 0 {
		return nil, c.faults
	}
	return &Lock{Tick: s.Tick.UTC(), Datasets: s.Datasets}, nil
}

// trainingOfLock is the training that a lock's file belongs to.
func trainingOfLock(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".yaml"), lockEnding)
}

// lock reads the lock of a training that is sound so far.
func (rd *reader) lock(t *Training) []Fault {
	name := t.LockPath()
	spec := lockSpec{}
	doc, faults := rd.file(name, lockKind, t.Name, &spec)
	if doc != nil && t.Spec.Schedule == nil {
		return []Fault{{name, 1, fmt.Sprintf("training %q has no schedule, and nothing to lock; remove the file", t.Name)}}
	}
	t.Lock, faults = spec.lock(doc, faults)
	return faults
}

// lonelyLocks are those that no training is beside.
func lonelyLocks(dir string, locks, trainings []string) (faults []Fault) {
	for _, name := range locks {
		if !slices.Contains(trainings, name) {
			faults = append(faults, Fault{path.Join(dir, name+lockEnding+".yaml"), 1, fmt.Sprintf("there is no training %q for this lock; remove the file%s", name, closest(name, trainings))})
		}
	}
	return faults
}

// splitLocks tells the trainings' files of a folder from their locks.
func splitLocks(stems []string) (trainings, locks []string) {
	for _, name := range stems {
		if of, is := strings.CutSuffix(name, lockEnding); is {
			locks = append(locks, of)
		} else {
			trainings = append(trainings, name)
		}
	}
	return trainings, locks
}
