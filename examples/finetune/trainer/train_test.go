package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// attempt runs all nodes of one attempt on loopback, node 0 being reached at the address it happens to have. It
// returns how each ended and what all of them said.
func attempt(t *testing.T, s settings) ([]error, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.master = listener.Addr().String()
	var said lockedBuffer
	ended := make([]error, s.nodes)
	var all sync.WaitGroup
	for rank := range s.nodes {
		n := &node{settings: s, log: log.New(&said, "", 0)}
		if n.rank = rank; rank == 0 {
			n.listener = listener
		}
		all.Go(func() { ended[rank] = n.run(t.Context()) })
	}
	all.Wait()
	return ended, said.String()
}

// lockedBuffer is written by all nodes.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

const base = "../registry/models/chat/files/v1"

// spec is a training as its pods are told of it, with folders of its own.
func spec(t *testing.T, nodes string, edits map[string]string) settings {
	t.Helper()
	env := map[string]string{
		"DAVIT_RUN": "tune-0a1b2c3d", "DAVIT_MODEL_PATH": base, "DAVIT_CHECKPOINTS": t.TempDir(), "DAVIT_OUTPUT": t.TempDir(),
		"DAVIT_SEED": "42", "DAVIT_DATASETS": `[{"name":"dialogues","uri":"s3://datasets/dialogues.jsonl","sha256":"20c7"}]`,
		"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "NNODES": nodes, "NODE_RANK": "0", "STANDIN_STEP": "0s",
	}
	maps.Copy(env, edits)
	s, err := read([]string{"--learning_rate=2e-5", "--max_steps=40", "--save_steps=10"}, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	s.patience, s.grief = 30*time.Second, time.Millisecond
	return s
}

func model(t *testing.T, s settings) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.output, weightsFile))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func sound(t *testing.T, ended []error, said string) {
	t.Helper()
	if err := errors.Join(ended...); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
}

// TestResumedRunEndsWhereAnUninterruptedOneDoes has the last of three nodes die and all begin anew.
func TestResumedRunEndsWhereAnUninterruptedOneDoes(t *testing.T) {
	whole := spec(t, "3", nil)
	ended, said := attempt(t, whole)
	sound(t, ended, said)

	cut := spec(t, "3", map[string]string{"STANDIN_DIE": "25"})
	ended, said = attempt(t, cut)
	if want := death(1); !errors.Is(ended[2], want) || !strings.Contains(ended[2].Error(), "step 25") {
		t.Errorf("the last node ended with %v, want its death at step 25", ended[2])
	}
	if ended[0] == nil || ended[1] == nil || !strings.Contains(said, "lost node 2") {
		t.Errorf("the others did not lose it: %v\n%s", ended, said)
	}
	ended, said = attempt(t, cut)
	sound(t, ended, said)
	for _, want := range []string{"resumes from the checkpoint of step 20", "at step 20", "step 40 loss", `"steps":40`} {
		if !strings.Contains(said, want) {
			t.Errorf("nobody said %q:\n%s", want, said)
		}
	}
	if !bytes.Equal(model(t, whole), model(t, cut)) {
		t.Error("the resumed run left another model than the uninterrupted one")
	}
	if from, err := os.ReadFile(filepath.Join(base, weightsFile)); err != nil || bytes.Equal(from, model(t, whole)) {
		t.Errorf("the model is still its base (%v)", err)
	}
	for _, name := range []string{"metrics.json", "config.json"} {
		if _, err := os.Stat(filepath.Join(cut.output, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestOtherDataAndBaseGiveAnotherModel: what a run's hash is made of decides the result.
func TestOtherDataAndBaseGiveAnotherModel(t *testing.T) {
	models := map[string]string{}
	for name, edits := range map[string]map[string]string{
		"as it is": nil, "seed": {"DAVIT_SEED": "43"}, "dataset": {"DAVIT_DATASETS": `[{"name":"dialogues","sha256":"20c8"}]`}, "no base": {"DAVIT_MODEL_PATH": ""},
	} {
		s := spec(t, "2", edits)
		ended, said := attempt(t, s)
		sound(t, ended, said)
		if other := models[string(model(t, s))]; other != "" {
			t.Errorf("%s and %s give the same model", name, other)
		}
		models[string(model(t, s))] = name
	}
}

func TestCheckpoints(t *testing.T) {
	dir := t.TempDir()
	weights := make([]float64, size)
	for _, step := range []int{10, 20, 30} {
		if err := (state{Step: step, Weights: weights}).save(dir); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := checkpoints(dir); err != nil || len(names) != kept {
		t.Errorf("%v, %v are there, want the last %d", names, err, kept)
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(step int) {
		t.Helper()
		s := state{Weights: weights}
		if found, err := s.resume(dir); err != nil || found != (step > 0) || s.Step != step {
			t.Errorf("resumed %v at step %d, %v; want %d", found, s.Step, err, step)
		}
	}
	want(30)
	write("step-00000040.json.part", `{"Step": 40, "Wei`)
	want(30)
	write("step-00000030.json", `{"Step": 30, "Wei`)
	want(20)
	write("step-00000020.json", `{"Step": 20, "Weights": [1]}`)
	want(0)
	if _, err := (&state{}).resume(filepath.Join(dir, "none")); err == nil {
		t.Error("a place for checkpoints that is not there passes for an empty one")
	}
}

// TestNodesWaitForTheFirst: node 1 comes before node 0 listens, and after a stranger.
func TestNodesWaitForTheFirst(t *testing.T) {
	s := spec(t, "3", nil)
	var err error
	if s.master, err = devcluster.FreeAddress(); err != nil {
		t.Fatal(err)
	}

	heard, says := io.Pipe()
	early := &node{settings: s, log: log.New(says, "", 0)}
	early.rank = 1
	ended := make(chan error, 1)
	go func() { ended <- early.run(t.Context()); says.Close() }()
	line := make([]byte, 1000)
	if n, err := heard.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "waiting for "+s.master) {
		t.Fatalf("node 1 said %q, %v; want that it waits", line[:n], err)
	}
	go io.Copy(io.Discard, heard)

	var said lockedBuffer
	first := &node{settings: s, log: log.New(&said, "", 0)}
	if first.listener, err = net.Listen("tcp", s.master); err != nil {
		t.Fatal(err)
	}
	leader := make(chan error, 1)
	go func() { leader <- first.run(t.Context()) }()
	stranger, err := net.Dial("tcp", s.master)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	io.WriteString(stranger, `{"Run":"tune-of-before","Rank":2}`)
	if n, err := stranger.Read(line); err != io.EOF {
		t.Errorf("a node of another run was answered %q, %v", line[:n], err)
	}
	last := &node{settings: s, log: log.New(io.Discard, "", 0)}
	last.rank = 2
	if err := errors.Join(last.run(t.Context()), <-ended, <-leader); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
	if !strings.Contains(said.String(), "turned away") {
		t.Errorf("node 0 said nothing of the stranger:\n%s", &said)
	}
}
