package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTold runs the real go test over tests that pass, fail and tell.
func TestTold(t *testing.T) {
	for name, c := range map[string]struct{ test, out, fault string }{
		"passes":   {`t.Log("\n> exec davit --token pl4nted"); t.Log("quiet")`, "ok  \texample.com/x\t", ""},
		"fails":    {`t.Log("before"); t.Error("it is wrong")`, "    x_test.go:5: before\n    x_test.go:5: it is wrong\n--- FAIL: TestIt (0.00s)\nFAIL\nFAIL\texample.com/x\t", "2 tests or packages failed"},
		"tells":    {`t.Log("passed on pl4nted-git")`, "ok  \texample.com/x\t", "a credential that a test planted was told: example.com/x TestIt: pl4nted-git"},
		"standard": {`println("Basic YWRhOnBsNG50ZWQ=")`, "ok  \texample.com/x\t", "a credential that a test planted was told: example.com/x TestIt: pl4nted in base64"},
		"exits":    {`println("until here"); os.Exit(3)`, "until here", "1 tests or packages failed"},
		"broken":   {`t.Nothing()`, "t.Nothing undefined", "1 tests or packages failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, text := range map[string]string{
				"go.mod":    "module example.com/x\n\ngo 1.26\n",
				"x_test.go": "package x\n\nimport (\"os\"; \"testing\")\nvar _ = os.Exit\nfunc TestIt(t *testing.T) { " + c.test + " }\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "go", "test", "-json", ".")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off")
			events, _ := cmd.Output()
			var out bytes.Buffer
			err := told(bytes.NewReader(events), &out)
			if !strings.Contains(out.String(), c.out) || (err == nil) != (c.fault == "") || err != nil && err.Error() != c.fault {
				t.Errorf("printed %q, and %v", out.String(), err)
			}
			if c.fault == "" && strings.Count(out.String(), "\n") != 1 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
	if err := told(strings.NewReader(""), &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
	line, _ := json.Marshal(event{Action: "output", Package: "p", Output: "pl4nted"})
	if err := told(bytes.NewReader(line), &bytes.Buffer{}); err == nil {
		t.Error("the last line is not read")
	}
}
