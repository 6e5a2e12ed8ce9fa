package main

import (
	"bufio"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestMain is the trainer itself in a process that a test starts.
func TestMain(m *testing.M) {
	if os.Getenv("TEST_AS_TRAINER") != "" {
		main()
	}
	os.Exit(m.Run())
}

// process prepares a trainer on a node alone, whose other one never comes.
func process(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	all := map[string]string{
		"TEST_AS_TRAINER": "1", "DAVIT_RUN": "tune", "DAVIT_OUTPUT": t.TempDir(), "NODE_RANK": "1", "NNODES": "2",
		"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9", "STANDIN_STEP": "0s", // discard: nobody listens there
	}
	maps.Copy(all, env)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		cmd.Env = append(cmd.Env, name+"="+all[name])
	}
	return cmd
}

func TestExitCodes(t *testing.T) {
	alone := map[string]string{"NODE_RANK": "0", "NNODES": "1", "MASTER_PORT": "0"}
	for _, c := range []struct {
		name string
		env  map[string]string
		args []string
		code int
		want string
	}{
		{"done", alone, nil, 0, "metrics"},
		{"no such argument", alone, []string{"--lerning_rate=1"}, 2, "flag provided but not defined: -lerning_rate"},
		{"no numbers", map[string]string{"NODE_RANK": "", "NNODES": "two", "STANDIN_DIE": "soon"}, []string{"--max_steps=0"}, 2,
			"NODE_RANK and RANK is \"\", which is no number\nNNODES is \"two\", which is no number\nthere is no node 0 of 0\nmax_steps and save_steps are at least 1\nSTANDIN_DIE is a step"},
		{"rank", map[string]string{"NODE_RANK": "", "RANK": "2"}, nil, 2, "there is no node 2 of 2"},
		{"an object store", map[string]string{"DAVIT_CHECKPOINTS": "s3://bucket/tune"}, nil, 2, "checkpoints at s3://bucket/tune: the stand-in knows folders only"},
		{"no base", merged(alone, "DAVIT_MODEL_PATH", "/nowhere"), nil, 1, "/nowhere/model.safetensors"},
		{"no place for checkpoints", merged(alone, "DAVIT_CHECKPOINTS", "/nowhere"), nil, 1, "looking for checkpoints: stat /nowhere"},
		{"dies", merged(alone, "STANDIN_DIE", "25"), nil, 1, "step 25: dies here"},
		{"dies for good", merged(alone, "STANDIN_DIE", "25:2"), nil, 2, "step 25: dies here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := process(t, c.env, c.args...).CombinedOutput()
			if code := exitCode(t, err); code != c.code || !strings.Contains(string(out), c.want) {
				t.Errorf("exit code %d, want %d; want %q in\n%s", code, c.code, c.want, out)
			}
		})
	}
}

// TestTerminated: what Go does at SIGTERM by itself is exit code 2, which would end the run for good.
func TestTerminated(t *testing.T) {
	cmd := process(t, nil)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || !strings.HasPrefix(line, "node 1: waiting for 127.0.0.1:9") {
		t.Fatalf("it said %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.ReadString('\n'); err != nil {
		t.Error(err)
	}
	if code := exitCode(t, cmd.Wait()); code != 143 {
		t.Errorf("exit code %d at SIGTERM, want 143", code)
	}
}

func merged(env map[string]string, name, value string) map[string]string {
	env = maps.Clone(env)
	env[name] = value
	return env
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err == nil {
		return 0
	}
	return exit.ExitCode()
}
