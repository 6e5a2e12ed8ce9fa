package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/examples/stage"
)

// installed is the story with davit as a pod, as davit install puts it there: it follows a repository on a forge, and
// writes with the rights of one service account for each environment. People only merge pull requests.
//
// What the node does not have is not tried: it enforces no NetworkPolicy, and there is no kube-proxy, so that forges' webhooks
// do not reach the Service.
type installed struct {
	loop
	first string // the image that v1 had at first
}

// TestRealNodeInstalled is the whole life of a model with davit in the cluster: served, promoted, damaged and rolled back by
// itself, reverted by people, trained in the cluster, and promoted again.
func TestRealNodeInstalled(t *testing.T) {
	if os.Getenv("DAVIT_E2E") == "" || os.Geteuid() != 0 {
		t.Skip("a real node needs root on Linux and minutes for its first build; set DAVIT_E2E=1")
	}
	t.Chdir("../../..")
	d := &installed{loop: loop{demo: demo{&stage.Stage{Real: true, Dir: t.TempDir()}}, t: t}}
	t.Cleanup(func() {
		if d.Cluster != nil {
			if err := d.Cluster.Stop(); err != nil {
				t.Error(err)
			}
		}
	})
	for _, step := range []stage.Step{
		{Title: "build", Do: d.build}, {Title: "start", Do: d.start}, {Title: "make the registry", Do: d.init},
		{Title: "install davit", Do: d.install}, {Title: "follow the forge", Do: d.follow},
		{Title: "v1 answers", Do: d.weak},
		{Title: "a pull request promotes v2", Do: d.promote}, {Title: "v2 answers", Do: d.good},
		{Title: "the web page, by a forwarded port", Do: d.page}, {Title: "the Service leads to the leader", Do: d.leads},
		{Title: "nothing is refused to davit", Do: d.unrefused}, {Title: "davit's pod is deleted, and another leads", Do: d.replaced},
		{Title: "the Service leads there", Do: d.leads},
		{Title: "the damaged v3 goes back by itself", Do: d.damaged}, {Title: "v2 answers again", Do: d.good},
		{Title: "the proposed revert is merged", Do: d.revertDamaged},
		{Title: "git revert of v2", Do: d.revertGood}, {Title: "v1 answers again", Do: d.weak},
		{Title: "a training is merged, and its version proposed", Do: d.train},
		{Title: "a pull request promotes it", Do: d.trained}, {Title: "the trained version answers", Do: d.good},
		{Title: "what kubectl tells", Do: d.tell}, {Title: "what davit may do", Do: d.rights},
		{Title: "nothing is refused to davit", Do: d.unrefused}, {Title: "davit doctor finds it well", Do: d.doctor},
	} {
		began := time.Now()
		if err := step.Do(t.Context()); err != nil {
			d.Diagnose()
			d.diagnose()
			t.Fatalf("%s: %v", step.Title, err)
		}
		t.Logf("%-48s %s", step.Title, time.Since(began).Round(10*time.Millisecond))
	}
}

// init makes the repository on the forge; davit install of the user's machine has no part in it.
func (d *installed) init(ctx context.Context) error {
	if err := d.makeRegistry(ctx); err != nil {
		return err
	}
	if err := d.All(ctx,
		[]string{"git", "init", "-q", "-b", "main"},
		[]string{"git", "add", "."},
		[]string{"git", "commit", "-qm", "iris v1 in staging and production"},
		[]string{d.Davit(), "validate"},
	); err != nil {
		return err
	}
	return d.publish(ctx)
}

func (d *installed) promote(ctx context.Context) error { return d.promoteTo(ctx, "v1", "v2") }

// promoteTo merges a pull request that changes production's version, and waits until that is healthy.
func (d *installed) promoteTo(ctx context.Context, from, to string) error {
	if err := d.propose(ctx, from, to); err != nil {
		return err
	}
	return d.until(ctx, "production", "healthy with "+to, func(r modelRelease) bool {
		return r.Status.Applied.Version == to && r.Status.Phase == "Healthy"
	})
}

// propose changes production's version on a branch, and merges its pull request.
func (d *installed) propose(ctx context.Context, from, to string) error {
	branch := "promote-" + to
	if err := d.Show(ctx, "git", "checkout", "-qb", branch); err != nil {
		return err
	}
	if err := d.Edit("releases/iris/production.yaml", "version: "+from, "version: "+to); err != nil {
		return err
	}
	if err := d.Show(ctx, "git", "commit", "-qam", "promote iris "+to+" to production"); err != nil {
		return err
	}
	return d.merge(ctx, branch, "promote iris "+to+" to production")
}

// replaced deletes davit's pod: its mirror goes with it, and nothing else.
func (d *installed) replaced(ctx context.Context) error {
	before, err := d.holder(ctx)
	if err != nil {
		return err
	}
	if err := d.Show(ctx, d.Cluster.Bin("kubectl"), "delete", "pods", "-n", system, "-l", "app.kubernetes.io/name=davit", "--wait=false"); err != nil {
		return err
	}
	return d.poll(ctx, "another pod leads", func(ctx context.Context) (bool, error) {
		now, err := d.holder(ctx)
		return now != "" && now != before, err
	})
}

func (d *installed) damaged(ctx context.Context) error {
	if err := d.propose(ctx, "v2", "v3"); err != nil {
		return err
	}
	return d.until(ctx, "production", "back at v2 with v3 held and its revert proposed", func(r modelRelease) bool {
		held := r.Status.Held
		return held != nil && held.Version == "v3" && strings.Contains(held.Reason, "weight") && held.Proposal != "" &&
			r.Status.Applied.Version == "v2" && r.Status.Phase == "RolledBack"
	})
}

// revertDamaged merges what davit proposed.
func (d *installed) revertDamaged(ctx context.Context) error {
	if err := d.mergeDavits(ctx, "davit/revert/production/iris"); err != nil {
		return err
	}
	return d.until(ctx, "production", "healthy with v2 and nothing held", func(r modelRelease) bool {
		return r.Status.Held == nil && r.Status.Applied.Version == "v2" && r.Status.Phase == "Healthy"
	})
}

// revertGood is what a person does about a model that is healthy and wrong. The image is the one that v1 had.
func (d *installed) revertGood(ctx context.Context) error {
	merge, err := d.Output(ctx, "git", "log", "--format=%h", "--merges", "--grep=promote iris v2", "-1")
	if err != nil {
		return err
	}
	if err := d.All(ctx, []string{"git", "revert", "--no-edit", "-m", "1", merge}, []string{"git", "push", "-q"}); err != nil {
		return err
	}
	return d.until(ctx, "production", "healthy with v1's first image", func(r modelRelease) bool {
		return r.Status.Applied.Version == "v1" && r.Status.Phase == "Healthy" && r.Status.Applied.Image == d.first
	})
}

// train merges a training's spec, and the version that its run made.
func (d *installed) train(ctx context.Context) error {
	if err := d.Show(ctx, "git", "checkout", "-qb", "train-iris"); err != nil {
		return err
	}
	if err := d.writeTraining(ctx); err != nil {
		return err
	}
	if err := d.All(ctx, []string{"git", "add", "-A"}, []string{"git", "commit", "-qm", "train iris in staging"}); err != nil {
		return err
	}
	if err := d.merge(ctx, "train-iris", "train iris in staging"); err != nil {
		return err
	}
	return d.mergeDavits(ctx, "davit/train/iris/v4")
}

func (d *installed) trained(ctx context.Context) error { return d.promoteTo(ctx, "v1", "v4") }

// tell wants of kubectl what an administrator looks at: the commit that is followed, and each release's version.
func (d *installed) tell(ctx context.Context) error {
	head, err := d.Output(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	kubectl := d.Cluster.Bin("kubectl")
	return errors.Join(
		d.Expect(ctx, []string{`models +http.* main@sha1:` + head[:12] + ` .*True`}, kubectl, "get", "modelregistries", "-n", system),
		d.Expect(ctx, []string{`^production +production.iris .*v4 +Healthy`, `^staging +staging.iris .*v1 +Healthy`}, kubectl, "get", "modelreleases", "-A"),
		d.noted(ctx),
	)
}

// noted wants the outcome of the last promotion beside its commit in Git.
func (d *installed) noted(ctx context.Context) error {
	err := d.poll(ctx, "the outcome is in Git", func(ctx context.Context) (bool, error) {
		if _, err := d.Output(ctx, "git", "fetch", "-q", "origin", "+refs/notes/davit:refs/notes/davit"); err != nil {
			return false, err
		}
		note, err := d.Output(ctx, "git", "log", "-1", "--notes=davit", "--format=%N", "--grep=promote iris v4", "--merges")
		return strings.Contains(note, `"v4"`) && strings.Contains(note, `"Healthy"`), err
	})
	if err != nil {
		return err
	}
	return d.Expect(ctx, []string{`v4 .*Healthy`, `v3 .*RolledBack`}, d.Davit(), "history", "production/iris")
}

// rights holds what davit's identity may do against what a review asks of it.
func (d *installed) rights(ctx context.Context) error {
	const davit, writer = "system:serviceaccount:" + system + ":davit", "system:serviceaccount:production:davit-releases"
	var faults []error
	for _, c := range []struct {
		as, namespace, verb, what string
		may                       bool
	}{
		{davit, "production", "create", "deployments.apps", false},
		{davit, "production", "get", "secrets", false},
		{davit, "production", "list", "secrets", false},
		{davit, system, "list", "secrets", true},
		{davit, system, "create", "secrets", false},
		{davit, system, "update", "modelregistries.davit.dev", false},
		{davit, "default", "list", "pods", false},
		{davit, "production", "impersonate", "serviceaccounts/davit-releases", true},
		{davit, "production", "impersonate", "serviceaccounts/default", false},
		{writer, "production", "create", "deployments.apps", true},
		{writer, "staging", "create", "deployments.apps", false},
		{writer, "production", "create", "rolebindings.rbac.authorization.k8s.io", false},
	} {
		cmd := d.Command(ctx, d.Cluster.Bin("kubectl"), "auth", "can-i", c.verb, c.what, "-n", c.namespace, "--as="+c.as)
		out, err := cmd.Output()
		if answer := strings.TrimSpace(string(out)); answer != map[bool]string{true: "yes", false: "no"}[c.may] {
			faults = append(faults, fmt.Errorf("may %s %s %s in %s: %s (%v), want %v", c.as, c.verb, c.what, c.namespace, answer, err, c.may))
		}
	}
	return errors.Join(faults...)
}

// unrefused wants the log of the pod that leads to tell of no right that it lacks.
func (d *installed) unrefused(ctx context.Context) error {
	log, err := d.Output(ctx, d.Cluster.Bin("kubectl"), "logs", "-n", system, "-l", "app.kubernetes.io/name=davit", "--tail=-1")
	if err != nil {
		return err
	}
	if !strings.Contains(log, "leading") {
		return fmt.Errorf("davit's log does not say that it leads: %s", log)
	}
	for line := range strings.Lines(log) {
		if strings.Contains(strings.ToLower(line), "forbidden") {
			return fmt.Errorf("davit lacks a right: %s", line)
		}
	}
	return nil
}

// doctor examines the installation as an administrator.
func (d *installed) doctor(ctx context.Context) error {
	return d.Expect(ctx, []string{
		`ok +controller +davit-system/davit is available`, `ok +controller +service account davit-system/davit may do what it has to`,
		`ok +controller +davit-system/models follows main@sha1:`,
	}, d.Davit(), "doctor")
}

// system is davit's namespace.
const system = "davit-system"
