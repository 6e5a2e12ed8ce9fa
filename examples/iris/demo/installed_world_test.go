package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/davit-dev/davit/deploy/devcluster"
)

// patience is how long the story waits for a step of davit's.
const patience = 3 * time.Minute

// install installs davit with an image of its own, as an administrator does, and prepares the environments' namespaces.
func (d *installed) install(ctx context.Context) error {
	ref, err := d.PushDavit(ctx, "davit")
	if err != nil {
		return err
	}
	if err := d.Expect(ctx, []string{`davit runs in namespace davit-system`}, d.Davit(), "install", "--image", ref,
		"--environment", "staging=staging", "--environment", "production=production"); err != nil {
		return err
	}
	for _, namespace := range []string{"staging", "production"} {
		if err := d.Show(ctx, d.Cluster.Bin("kubectl"), "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"); err != nil {
			return err
		}
	}
	return nil
}

// follow tells davit of the repository, with a token for its forge, until v1 is healthy in both environments.
func (d *installed) follow(ctx context.Context) error {
	token, err := d.token(ctx)
	if err != nil {
		return err
	}
	var environments []any
	for _, name := range []string{"staging", "production"} {
		environments = append(environments, map[string]any{
			"name": name, "namespaces": []string{name}, "serviceAccount": map[string]any{"namespace": name, "name": "davit-releases"},
		})
	}
	if err := d.applyObjects(ctx,
		secret("git", map[string]string{"username": devcluster.ForgeUser, "password": devcluster.ForgePassword}),
		secret("forge", map[string]string{"token": token}),
		map[string]any{
			"apiVersion": "davit.dev/v1alpha1", "kind": "ModelRegistry", "metadata": map[string]any{"name": "models", "namespace": system},
			"spec": map[string]any{
				"url": d.Cluster.PodForge + repository + ".git", "branch": "main", "interval": "1s", "credentials": "git",
				"forge": map[string]any{"kind": "Gitea", "url": d.Cluster.PodForge, "secret": "forge"}, "environments": environments,
			},
		}); err != nil {
		return err
	}
	for _, name := range []string{"staging", "production"} {
		if err := d.until(ctx, name, "healthy with v1", func(r modelRelease) bool {
			d.first = r.Status.Applied.Image
			return r.Status.Applied.Version == "v1" && r.Status.Phase == "Healthy"
		}); err != nil {
			return err
		}
	}
	return nil
}

func secret(name string, data map[string]string) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name, "namespace": system}, "stringData": data}
}

func (d *installed) applyObjects(ctx context.Context, objects ...map[string]any) error {
	data, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": objects})
	if err != nil {
		return err
	}
	file := filepath.Join(d.Dir, "objects.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	return d.Show(ctx, d.Cluster.Bin("kubectl"), "apply", "-f", file)
}

// modelRelease is what the story looks at of one.
type modelRelease struct {
	Status struct {
		Phase, Message string
		Applied        struct{ Version, Image string }
		Held           *struct{ Version, Reason, Proposal string }
	}
}

// until waits for a state of an environment's iris.
func (d *installed) until(ctx context.Context, environment, what string, is func(modelRelease) bool) error {
	var last string
	err := d.poll(ctx, environment+"/iris is "+what, func(ctx context.Context) (bool, error) {
		out, err := d.Output(ctx, d.Cluster.Bin("kubectl"), "get", "modelrelease", environment+".iris", "-n", environment, "-o", "json", "--ignore-not-found")
		if err != nil || out == "" {
			return false, err
		}
		var r modelRelease
		err = json.Unmarshal([]byte(out), &r)
		last = fmt.Sprintf("%+v", r.Status)
		return is(r), err
	})
	if err != nil {
		return fmt.Errorf("%w; it is %s", err, last)
	}
	return nil
}

// poll asks again until something is so.
func (d *installed) poll(ctx context.Context, what string, so func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		ok, err := so(ctx)
		if ok && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not so in %s: %s (%v)", patience, what, err)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// holder is the pod that leads.
func (d *installed) holder(ctx context.Context) (string, error) {
	return d.Output(ctx, d.Cluster.Bin("kubectl"), "get", "lease", "davit", "-n", system, "-o", "jsonpath={.spec.holderIdentity}")
}

// pull is a pull request of the forge.
type pull struct {
	Number int
	Title  string
	Head   struct{ Ref string }
}

// merge pushes a branch, opens its pull request and merges that; what comes of it is pulled.
func (d *installed) merge(ctx context.Context, branch, title string) error {
	if err := d.Show(ctx, "git", "push", "-q", "origin", branch); err != nil {
		return err
	}
	var made pull
	if err := d.api(ctx, http.MethodPost, "/repos"+repository+"/pulls", map[string]any{"head": branch, "base": "main", "title": title}, &made); err != nil {
		return err
	}
	return d.mergePull(ctx, made)
}

// mergeDavits merges the pull request that davit opens of a branch.
func (d *installed) mergeDavits(ctx context.Context, branch string) error {
	var found pull
	if err := d.poll(ctx, "davit opened a pull request of "+branch, func(ctx context.Context) (bool, error) {
		var open []pull
		err := d.api(ctx, http.MethodGet, "/repos"+repository+"/pulls?state=open", nil, &open)
		for _, p := range open {
			if p.Head.Ref == branch {
				found = p
			}
		}
		return found.Number != 0, err
	}); err != nil {
		return err
	}
	return d.mergePull(ctx, found)
}

// mergePull merges one as soon as the forge has looked at it.
func (d *installed) mergePull(ctx context.Context, p pull) error {
	d.t.Logf("    merging #%d: %s", p.Number, p.Title)
	if err := d.poll(ctx, "the pull request is merged", func(ctx context.Context) (bool, error) {
		err := d.api(ctx, http.MethodPost, fmt.Sprintf("/repos%s/pulls/%d/merge", repository, p.Number), map[string]any{"Do": "merge"}, nil)
		return err == nil, err
	}); err != nil {
		return err
	}
	return d.All(ctx, []string{"git", "checkout", "-q", "main"}, []string{"git", "pull", "-q", "--ff-only"})
}

// diagnose shows what davit's pod said; it goes with the cluster.
func (d *installed) diagnose() {
	if d.Cluster == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, args := range [][]string{
		{"describe", "pods", "-n", system},
		{"logs", "-n", system, "-l", "app.kubernetes.io/name=davit", "--tail=200"},
		{"get", "modelregistries,modelreleases", "-A", "-o", "yaml"},
	} {
		_ = d.Show(ctx, d.Cluster.Bin("kubectl"), args...)
	}
}
