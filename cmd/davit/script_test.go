package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/davit-dev/davit/deploy/devcluster/planted"
)

func TestMain(m *testing.M) {
	// What the race detector is built into sleeps for a second at each exit, and the scripts run davit a thousand times.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	testscript.Main(m, map[string]func(){"davit": patient, "davit-measured": measured})
}

// patient is davit on a machine that may stand still for seconds: how long it waits for an answer shows only where IMPATIENT is set.
func patient() {
	if os.Getenv("IMPATIENT") == "" {
		patience, answerTime, clusterTime, patienceOfChecks = time.Minute, time.Minute, time.Minute, 2*time.Minute
	}
	main()
}

// TestScripts runs testdata/*.txtar: what a user types and what comes back. Each script has the example's
// registry committed in $WORK/models, and an OCI registry at $REGISTRY.
func TestScripts(t *testing.T) {
	t.Parallel()
	oci := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(oci)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	asked, askedBlob := make(chan struct{}, 10), make(chan struct{}, 10)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "396") // of which half comes, and then nothing
		w.Write(make([]byte, 198))
		w.(http.Flusher).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	stalled := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // the same OCI registry, whose blobs never come
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			askedBlob <- struct{}{}
			<-r.Context().Done()
			return
		}
		oci.ServeHTTP(w, r)
	}))
	t.Cleanup(stalled.Close)
	hangs, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangs.Close() })
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REGISTRY", host)
			env.Setenv("SLOW", slow.URL)
			env.Setenv("HANGS", hangs.Addr().String())
			env.Setenv("STALLED", strings.TrimPrefix(stalled.URL, "http://"))
			return setup(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"replace": replace, "exitcode": exitCode, "untagged": untagged, "push": push,
			"asked": waitFor(asked), "askedblob": waitFor(askedBlob), // that $SLOW, or a blob of $STALLED, is being read
		},
	})
}

func waitFor(done <-chan struct{}) func(ts *testscript.TestScript, _ bool, _ []string) {
	return func(ts *testscript.TestScript, _ bool, _ []string) {
		select {
		case <-done:
		case <-time.After(2 * time.Minute):
			ts.Fatalf("nobody reads")
		}
	}
}

// setup is what all scripts have.
func setup(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		env.Setenv("GIT_"+who+"_NAME", "Ada")
		env.Setenv("GIT_"+who+"_EMAIL", "ada@example.com")
		env.Setenv("GIT_"+who+"_DATE", "2026-01-02T03:04:05Z")
	}
	env.Defer(func() {
		if err := planted.Git(env.WorkDir + "/models"); err != nil {
			env.T().Fatal(err)
		}
	})
	return os.CopyFS(env.WorkDir+"/models", os.DirFS("../../examples/iris/registry"))
}

// untagged REPOSITORY wants no tag there.
func untagged(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: untagged REPOSITORY")
	}
	tags, err := crane.ListTags(args[0])
	if status, ok := errors.AsType[*transport.Error](err); ok && status.StatusCode == http.StatusNotFound {
		return
	}
	if err != nil || len(tags) > 0 {
		ts.Fatalf("tags %q, %v", tags, err)
	}
}

// push REF pushes an image that stands in for a server's, another one for each reference.
func push(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: push REF")
	}
	img, err := crane.Image(map[string][]byte{"server": []byte(args[0])})
	ts.Check(err)
	ts.Check(crane.Push(img, args[0]))
	digest, err := img.Digest()
	ts.Check(err)
	ts.Setenv("DIGEST", digest.String())
}

// replace FROM TO FILE edits a file.
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FROM TO FILE")
	}
	text := ts.ReadFile(args[2])
	if !strings.Contains(text, args[0]) {
		ts.Fatalf("%s does not contain %q", args[2], args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.ReplaceAll(text, args[0], strings.ReplaceAll(args[1], `\n`, "\n"))), 0o644))
}

// exitcode N COMMAND… wants the exit code N.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	if err == nil {
		ts.Fatalf("exit code 0, want %s", args[0])
	}
	if want := "exit status " + args[0]; err.Error() != want {
		ts.Fatalf("%v, want %s", err, want)
	}
}
