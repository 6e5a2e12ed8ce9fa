package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// TestWorkflows runs testdata/ci/*.txtar: what davit init --ci writes, and each of its scripts in a clone, by the shell that
// the forge takes. $API answers as a forge does that is asked for the pull requests of a branch, and keeps what is posted;
// posted wants that.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(pulls))
	t.Cleanup(api.Close)
	var box sync.Map
	forge := httptest.NewServer(comments(&box))
	t.Cleanup(forge.Close)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/ci", RequireExplicitExec: true, UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("API", api.URL)
			env.Setenv("FORGE", forge.URL)
			return setup(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"replace": replace, "exitcode": exitCode, "step": step, "job": job,
			"posted": func(ts *testscript.TestScript, neg bool, args []string) { posted(ts, &box, neg, args) },
		},
	})
}

// pulls are two of a branch that grace's fork calls patch & co: one of an older commit, one of somebody else's fork.
func pulls(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.URL.Path != "/repos/ml/models/pulls" || q.Get("state") != "open" || r.Header.Get("Authorization") != "Bearer pl4nted-forge" {
		http.Error(w, "not found", http.StatusNotFound)
		return
	}
	pull := func(number, repository int, commit string) any {
		return map[string]any{"number": number, "head": map[string]any{"sha": commit, "repo": map[string]any{"id": repository}}}
	}
	list := []any{}
	if q.Get("head") == "grace:patch & co" {
		list = append(list, pull(7, 70, "old"), pull(8, 70, "new"), pull(9, 71, "new"), pull(10, 70, "twice"), pull(11, 70, "twice"))
	}
	_ = json.NewEncoder(w).Encode(list)
}

// comments is the part of GitHub's and GitLab's API that davit posts a comment by, for a token that may not read its user.
func comments(box *sync.Map) http.Handler {
	mux := http.NewServeMux()
	note := func(w http.ResponseWriter, r *http.Request) {
		var sent struct{ Body string }
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		box.Store(r.URL.Path, sent.Body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintln(w, "{}")
	}
	none := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "[]") }
	mux.HandleFunc("GET /api/v3/repos/ml/models/issues/8/comments", none)
	mux.HandleFunc("POST /api/v3/repos/ml/models/issues/8/comments", note)
	mux.HandleFunc("GET /api/v4/projects/ml%2Fmodels/merge_requests/8/notes", none)
	mux.HandleFunc("POST /api/v4/projects/ml%2Fmodels/merge_requests/8/notes", note)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintln(w, `{"message": "Resource not accessible by integration"}`)
	})
	return mux
}

// posted PATH TEXT wants a comment with that text to have come there.
func posted(ts *testscript.TestScript, box *sync.Map, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: posted PATH TEXT")
	}
	body, _ := box.Load(args[0])
	if text, _ := body.(string); strings.Contains(text, args[1]) == neg {
		ts.Fatalf("at %s: %q", args[0], text)
	}
}

// workflow is what a script of GitHub's is looked for in.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Permissions map[string]string
		Steps       []struct{ Name, Uses, Run string }
	}
}

// step FILE JOB NAME OUT writes the script of a step to a file.
func step(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: step FILE JOB NAME OUT")
	}
	var w workflow
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &w))
	for _, s := range w.Jobs[args[1]].Steps {
		if s.Name == args[2] && s.Run != "" {
			ts.Check(os.WriteFile(ts.MkAbs(args[3]), []byte(s.Run), 0o644))
			return
		}
	}
	ts.Fatalf("%s: job %s has no step %s that runs anything", args[0], args[1], args[2])
}

// job FILE NAME OUT writes the script of a job of GitLab's to a file.
func job(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: job FILE NAME OUT")
	}
	var jobs map[string]struct{ Script []string }
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &jobs))
	if len(jobs[args[1]].Script) == 0 {
		ts.Fatalf("%s has no job %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(strings.Join(jobs[args[1]].Script, "\n")+"\n"), 0o644))
}

// TestWorkflowRights holds each workflow to the rights that it needs: what runs a pull request's files may only read, and
// what may write neither checks out nor names anything that a pull request chose.
func TestWorkflowRights(t *testing.T) {
	files, err := pipeline{host: "github", version: "v0.3.0"}.files("")
	if err != nil {
		t.Fatal(err)
	}
	rights := map[string]string{}
	for name, data := range files {
		var w workflow
		if err := yaml.Unmarshal(data, &w); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rights[name] = fmt.Sprint(w.Permissions)
		for _, job := range w.Jobs {
			rights[name] += fmt.Sprint(job.Permissions)
			for _, s := range job.Steps {
				if strings.Contains(s.Run, "${{") {
					t.Errorf("%s: %q puts a value into a script, which runs it; it comes by env", name, s.Name)
				}
				if strings.Contains(name, "comment") && strings.Contains(s.Uses, "checkout") {
					t.Errorf("%s checks out", name)
				}
			}
		}
		if strings.Contains(string(data), "DAVIT_VERSION") || !strings.Contains(string(data), "cmd/davit@v0.3.0") {
			t.Errorf("%s installs another version than v0.3.0", name)
		}
	}
	want := map[string]string{
		".github/workflows/davit.yaml":         "map[contents:read]map[]",
		".github/workflows/davit-comment.yaml": "map[]map[actions:read pull-requests:write]",
	}
	if fmt.Sprint(rights) != fmt.Sprint(want) {
		t.Errorf("rights %v, want %v", rights, want)
	}
}
