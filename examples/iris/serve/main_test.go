package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// TestMain makes the test binary a server when asked, so that exit codes and
// signals are tested on a real process.
func TestMain(m *testing.M) {
	if os.Getenv("IRIS_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(t *testing.T, model string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "IRIS_TEST_MAIN=1", "DAVIT_MODEL_PATH="+model)
	return cmd
}

func TestBadModelsExit(t *testing.T) {
	for _, test := range []struct{ model, want string }{
		{registryFiles + "v3", "model.safetensors: tensor \"weight\" ends at byte 9999 of 92\n"},
		{registryFiles + "v0", "opening model: stat ../registry/models/iris/files/v0/model.safetensors: no such file or directory\n"},
		{"", "no model: set DAVIT_MODEL_PATH or --model-path\n"},
	} {
		cmd := command(t, test.model, "--port=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || stderr.String() != test.want {
			t.Errorf("%q: %v, stderr %q, want exit 1 and %q", test.model, err, stderr.String(), test.want)
		}
	}
}

func TestServesUntilTerminated(t *testing.T) {
	cmd := command(t, registryFiles+"v1", "--port=0", "--model-name=flowers")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stderr)
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	port := regexp.MustCompile(`address=\S*:(\d+)`).FindStringSubmatch(line)
	if port == nil {
		t.Fatalf("no address in %q", line)
	}
	resp, err := http.Get("http://127.0.0.1:" + port[1] + "/v2/models/flowers/ready")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("ready: %s", resp.Status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v after SIGTERM: %s", err, rest)
	}
}
