package main

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// TestInstallScripts runs each of testdata/install/*.txtar with a cluster of its own: they install for all of it, and take
// that away again.
func TestInstallScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("testdata/install/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) { installScript(t, script) })
	}
}

func installScript(t *testing.T, script string) {
	t.Parallel()
	dev, err := devcluster.Start(t.Context(), devcluster.Config{Nodes: 2, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Stop(); err != nil {
			t.Error(err)
		}
	})
	oci := httptest.NewServer(ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(oci.Close)
	testscript.Run(t, testscript.Params{
		Files: []string{script}, RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("KUBECONFIG", dev.Kubeconfig)
			env.Setenv("KUBECTL", dev.Bin("kubectl"))
			env.Setenv("REGISTRY", strings.TrimPrefix(oci.URL, "http://"))
			env.Values["told"] = &told{}
			return setup(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"replace": replace, "exitcode": exitCode, "until": until, "say": say, "show": show},
	})
}
