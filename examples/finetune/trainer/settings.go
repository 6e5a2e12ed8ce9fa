package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// settings are what the pod tells the trainer.
type settings struct {
	run         string
	rank, nodes int
	master      string // host:port of node 0
	port        string
	model       string // the base version's folder; "" to begin from zeros
	checkpoints string // a folder; "" keeps none
	output      string
	data        [2]uint64 // what the seed and the datasets stand for

	rate      float64
	steps     int
	saveEvery int

	step    time.Duration // how long each takes
	dieAt   int           // 0 for never
	dieWith death
	// patience is how long nodes wait for each other at the start, and one that has lost another before it fails.
	// In NCCL the second takes minutes, and until then only its pod knows why the other has gone.
	patience, grief time.Duration
}

// read takes the hyperparameters from the arguments, as davit passes them, and the rest from davit's and torchrun's
// variables. It reports every fault.
func read(args []string, env func(string) string) (settings, error) {
	s := settings{
		run: env("DAVIT_RUN"), model: env("DAVIT_MODEL_PATH"), checkpoints: env("DAVIT_CHECKPOINTS"), output: env("DAVIT_OUTPUT"),
		port: env("MASTER_PORT"), master: net.JoinHostPort(env("MASTER_ADDR"), env("MASTER_PORT")),
		patience: 10 * time.Minute, grief: 10 * time.Second,
	}
	flags := flag.NewFlagSet("trainer", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it, and is what becomes of the pod's message
	flags.Float64Var(&s.rate, "learning_rate", 2e-5, "")
	flags.IntVar(&s.steps, "max_steps", 100, "")
	flags.IntVar(&s.saveEvery, "save_steps", 10, "steps from one checkpoint to the next")
	faults := []error{flags.Parse(args)}
	number := func(value string, names ...string) int {
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			faults = append(faults, fmt.Errorf("%s is %q, which is no number", strings.Join(names, " and "), value))
		}
		return n
	}
	rank := env("NODE_RANK")
	if rank == "" {
		rank = env("RANK")
	}
	s.rank, s.nodes = number(rank, "NODE_RANK", "RANK"), number(env("NNODES"), "NNODES")
	number(s.port, "MASTER_PORT")
	if s.rank >= s.nodes {
		faults = append(faults, fmt.Errorf("there is no node %d of %d", s.rank, s.nodes))
	}
	if s.steps < 1 || s.saveEvery < 1 {
		faults = append(faults, errors.New("max_steps and save_steps are at least 1"))
	}
	if s.output == "" {
		faults = append(faults, errors.New("DAVIT_OUTPUT is missing"))
	}
	if strings.Contains(s.checkpoints, "://") {
		faults = append(faults, fmt.Errorf("checkpoints at %s: the stand-in knows folders only", s.checkpoints))
	}
	return s, errors.Join(append(faults, s.readData(env), s.readOwn(env))...)
}

// readData reads the seed, and takes the datasets' digests for their content.
func (s *settings) readData(env func(string) string) (err error) {
	if seed := env("DAVIT_SEED"); seed != "" {
		n, err := strconv.ParseInt(seed, 10, 64)
		if err != nil {
			return fmt.Errorf("DAVIT_SEED: %w", err)
		}
		s.data[0] = uint64(n)
	}
	var datasets []struct{ Name, SHA256 string }
	if text := env("DAVIT_DATASETS"); text != "" {
		if err := json.Unmarshal([]byte(text), &datasets); err != nil {
			return fmt.Errorf("DAVIT_DATASETS: %w", err)
		}
	}
	sum := sha256.Sum256(fmt.Append(nil, datasets))
	s.data[1] = binary.LittleEndian.Uint64(sum[:])
	return nil
}

// readOwn reads the variables that no real trainer has.
func (s *settings) readOwn(env func(string) string) (err error) {
	s.step = 100 * time.Millisecond
	if text := env("STANDIN_STEP"); text != "" {
		if s.step, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("STANDIN_STEP: %w", err)
		}
	}
	at, code, coded := strings.Cut(env("STANDIN_DIE"), ":")
	if at == "" {
		return nil
	}
	s.dieWith = exitFailed
	if s.dieAt, err = strconv.Atoi(at); err == nil && coded {
		var n int
		n, err = strconv.Atoi(code)
		s.dieWith = death(n)
	}
	if err != nil {
		return fmt.Errorf("STANDIN_DIE is a step, or a step and an exit code such as 25:2: %w", err)
	}
	return nil
}
