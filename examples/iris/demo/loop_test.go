package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
	"github.com/davit-dev/davit/examples/stage"
)

// loop is the story with a forge, in which after one merge nobody types anything.
type loop struct {
	demo
	t      *testing.T
	merged time.Time
}

// TestRealNodeLoop goes from the merge of a training to a prediction by the version that it made: the run, the version's
// pull request, its merge, the promotion's pull request, its merge and the rollout are davit's. It is a real node, a real
// OCI registry and a real forge.
func TestRealNodeLoop(t *testing.T) {
	if os.Getenv("DAVIT_E2E") == "" || os.Geteuid() != 0 {
		t.Skip("a real node needs root on Linux and minutes for its first build; set DAVIT_E2E=1")
	}
	t.Chdir("../../..")
	l := &loop{demo: demo{&stage.Stage{Real: true, Dir: t.TempDir()}}, t: t}
	t.Cleanup(func() {
		l.StopSync() // before its cluster goes
		if l.Cluster != nil {
			if err := l.Cluster.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	for _, step := range []stage.Step{
		{Title: "build", Do: l.build}, {Title: "start", Do: l.start}, {Title: "make the registry", Do: l.init},
		{Title: "follow the forge", Do: l.follow}, {Title: "v1 answers", Do: l.weak},
		{Title: "merge the training", Do: l.push}, {Title: "the loop", Do: l.unattended},
		{Title: "the trained version answers", Do: l.good}, {Title: "what answers is what was trained", Do: l.same},
		{Title: "what the forge has", Do: l.pulls},
	} {
		began := time.Now()
		if err := step.Do(t.Context()); err != nil {
			l.Diagnose()
			l.tellLedger()
			t.Fatalf("%s: %v", step.Title, err)
		}
		t.Logf("%-40s %s", step.Title, time.Since(began).Round(10*time.Millisecond))
	}
	t.Logf("%-40s %s", "from the merge to the prediction", time.Since(l.merged).Round(10*time.Millisecond))
}

func (l *loop) start(ctx context.Context) error {
	return l.Start(ctx, devcluster.Config{GPUs: 8, Forge: true})
}

// repository is the registry's on the forge.
const repository = "/" + devcluster.ForgeUser + "/models"

// clone is its URL with the password.
func (l *loop) clone() string {
	return strings.Replace(l.Cluster.Forge, "://", "://"+devcluster.ForgeUser+":"+devcluster.ForgePassword+"@", 1) + repository + ".git"
}

func (l *loop) init(ctx context.Context) error {
	if err := l.demo.init(ctx); err != nil {
		return err
	}
	return l.publish(ctx)
}

// publish makes the repository on the forge, and pushes.
func (l *loop) publish(ctx context.Context) error {
	if err := l.api(ctx, http.MethodPost, "/user/repos", map[string]any{"name": "models", "default_branch": "main"}, nil); err != nil {
		return err
	}
	return l.All(ctx, []string{"git", "remote", "add", "origin", l.clone()}, []string{"git", "push", "-q", "-u", "origin", "main"})
}

// follow has davit sync follow the forge, with a token for it, until v1 is healthy.
func (l *loop) follow(ctx context.Context) error {
	token, err := l.token(ctx)
	if err != nil {
		return err
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	l.t.Setenv("DAVIT_FORGE_TOKEN", token)
	l.t.Setenv("XDG_CACHE_HOME", filepath.Join(l.Dir, "cache")) // for the mirror
	err = l.StartSync(ctx, "--repo", l.clone(), "--forge", "Gitea", "--interval", "1s")
	if l.t.Setenv("XDG_CACHE_HOME", cache); err != nil {
		return err
	}
	_, err = l.Until(ctx, `production/iris +v1 +Healthy`, time.Now())
	return err
}

// token makes one for the forge, with no more rights than davit needs.
func (l *loop) token(ctx context.Context) (string, error) {
	var token struct {
		SHA1 string `json:"sha1"`
	}
	scopes := map[string]any{"name": "davit", "scopes": []string{"write:repository", "write:issue", "read:user"}}
	err := l.api(ctx, http.MethodPost, "/users/"+devcluster.ForgeUser+"/tokens", scopes, &token)
	return token.SHA1, err
}

// push merges the training and the rule that takes its versions on, and pushes: the last that anybody types.
func (l *loop) push(ctx context.Context) error {
	if err := l.Show(ctx, "git", "checkout", "-qb", "train-iris"); err != nil {
		return err
	}
	if err := l.writeTraining(ctx); err != nil {
		return err
	}
	for _, e := range [][3]string{
		{training, "  version: v{n}\n", "  version: v{n}\n  merge: auto\n"},
		{environment, "  bake: 5s\n", "  bake: 5s\n  autoMerge: true\n"},
		{"environments/production/environment.yaml", "  bake: 5s\n", "  bake: 5s\n  autoMerge: true\n"},
		{"releases/iris/production.yaml", "  version: v1\n", "  version: v1\n  promote: {from: training/softmax, merge: auto}\n"},
	} {
		if err := l.Edit(e[0], e[1], e[2]); err != nil {
			return err
		}
	}
	err := l.All(ctx,
		[]string{"git", "add", "-A"},
		[]string{"git", "commit", "-qm", "train iris, and serve what comes of it"},
		[]string{l.Davit(), "validate"},
		[]string{l.Davit(), "plan", "--base", "main"},
		[]string{"git", "checkout", "-q", "main"},
		[]string{"git", "merge", "-q", "--no-ff", "-m", "Merge how iris is trained", "train-iris"},
		[]string{"git", "push", "-q"},
	)
	l.merged = time.Now()
	return err
}

// unattended waits for what davit does by itself, in its order.
func (l *loop) unattended(ctx context.Context) error {
	for _, step := range [][2]string{
		{"the run is claimed", `msg="a run is claimed"`},
		{"its objects are there", `msg="a run started"`},
		{"it ended", `msg="a run ended".* state=Succeeded`},
		{"its version is proposed", `msg="a version is proposed".* version=v4 `},
		{"and merged", `msg="a version was merged by its training".* version=v4 `},
		{"the promotion is proposed", `msg="a promotion is proposed" release=production/iris version=v4 `},
		{"and merged", `msg="a promotion was merged by its rule" release=production/iris version=v4 `},
		{"production is healthy with it", `production/iris +v4 +Healthy`},
	} {
		took, err := l.Until(ctx, step[1], l.merged)
		if err != nil {
			return fmt.Errorf("%s: %w", step[0], err)
		}
		l.t.Logf("    %-36s after %s", step[0], took.Round(10*time.Millisecond))
	}
	return nil
}

// same wants production's image to be that of the run, by its digest, and the pods to be that version's.
func (l *loop) same(ctx context.Context) error {
	s, err := l.status(ctx)
	if err != nil {
		return err
	}
	run, err := l.run(ctx)
	if err != nil {
		return err
	}
	if s.Status.Phase != "Healthy" || s.Status.Applied.Version != "v4" || run.Version != "v4" || run.Image == "" || s.Status.Applied.Image != run.Image {
		return fmt.Errorf("production is %+v, and the run made %+v", s.Status, run)
	}
	pods, err := l.Output(ctx, l.Cluster.Bin("kubectl"), "get", "pods", "-n", "production", "-l", "davit.dev/version=v4",
		"--field-selector=status.phase=Running", "-o", "jsonpath={.items[*].spec.volumes[*].image.reference}")
	if err == nil && !strings.Contains(pods, run.Image) {
		err = fmt.Errorf("pods mount %q, want %s", pods, run.Image)
	}
	return err
}

// run is the ledger's only one.
func (l *loop) run(ctx context.Context) (run struct{ Version, Image, State string }, err error) {
	if err := l.Show(ctx, "git", "fetch", "-q", "origin", "refs/davit/runs:refs/davit/runs"); err != nil {
		return run, err
	}
	files, err := l.Output(ctx, "git", "ls-tree", "-r", "--name-only", "refs/davit/runs")
	if err != nil || len(strings.Fields(files)) != 1 {
		return run, fmt.Errorf("the ledger has the runs %q (%w)", files, err)
	}
	text, err := l.Output(ctx, "git", "show", "refs/davit/runs:"+files)
	if err == nil {
		err = json.Unmarshal([]byte(text), &run)
	}
	return run, err
}

// pulls wants both pull requests merged by davit, and the main branch to have what they bring.
func (l *loop) pulls(ctx context.Context) error {
	var all []struct {
		Title  string
		Merged bool
		Head   struct{ Label string }
	}
	if err := l.api(ctx, http.MethodGet, "/repos"+repository+"/pulls?state=all", nil, &all); err != nil {
		return err
	}
	for _, pr := range all {
		l.t.Logf("    %s, merged: %v", pr.Title, pr.Merged)
		if !pr.Merged {
			return fmt.Errorf("pull request %q is not merged", pr.Title)
		}
	}
	if len(all) != 2 {
		return fmt.Errorf("the forge has %d pull requests, want one of the version and one of the promotion", len(all))
	}
	if err := l.Show(ctx, "git", "pull", "-q", "--ff-only"); err != nil {
		return err
	}
	log, err := l.Output(ctx, "git", "log", "--format=%s%n%b", "-8", "origin/main")
	if n := strings.Count(log, "Davit-Merged-By-Rule: auto"); err == nil && n != 2 {
		err = fmt.Errorf("%d commits are merged by a rule, want 2:\n%s", n, log)
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(l.Models(), "models/iris/versions/v4.yaml")); err != nil {
		return err
	}
	return l.All(ctx, []string{l.Davit(), "status"}, []string{l.Davit(), "history", "production/iris"}, []string{l.Davit(), "lineage", "iris@v4"})
}

// tellLedger shows how far a run came.
func (l *loop) tellLedger() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if run, err := l.run(ctx); err == nil {
		l.t.Logf("the ledger says %+v", run)
	}
	_ = l.Show(ctx, l.Cluster.Bin("kubectl"), "describe", "jobs,pods", "-n", "staging", "-l", "davit.dev/training=softmax")
	_ = l.Show(ctx, "git", "ls-remote", "origin")
}

// api asks the forge.
func (l *loop) api(ctx context.Context, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, l.Cluster.Forge+"/api/v1"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.SetBasicAuth(devcluster.ForgeUser, devcluster.ForgePassword)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode > 299 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(answer, into)
}
