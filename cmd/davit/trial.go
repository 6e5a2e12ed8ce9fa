package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/davit-dev/davit/reconciler/cluster"
	"github.com/davit-dev/davit/reconciler/v1alpha1"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render"
)

// trial is one release about to be tried.
type trial struct {
	*tryOptions
	app     *app
	files   fs.FS
	release *registry.Release // in the try's namespace
	place   cluster.Try
}

// trial reads the release and decides where it goes.
func (a *app) trial(cmd *cobra.Command, arg, me string, o *tryOptions) (*trial, error) {
	models, err := a.load(cmd)
	if err != nil {
		return nil, err
	}
	key, err := registry.ParseKey(arg)
	if err != nil {
		return nil, usage{err}
	}
	releases, err := selected(models, []string{arg})
	if err != nil {
		return nil, err
	}
	name := cmp.Or(o.namespace, tryNamespace(me, key.Name))
	if err := registry.CheckName("namespace", name); err != nil {
		return nil, usage{fmt.Errorf("%w; name another one with --namespace", err)}
	}
	for _, env := range models.Environments {
		if env.Spec.Namespace == name {
			return nil, usage{fmt.Errorf("namespace %s is the environment %s's; name another one with --namespace", name, env.Name)}
		}
	}
	return &trial{
		tryOptions: o, app: a, files: models.FS(), release: elsewhere(releases[0], name),
		place: cluster.Try{Namespace: name, Release: key.String(), Commit: a.triedAt(cmd.Context()), By: me, Until: time.Now().Add(o.length).Truncate(time.Second)},
	}, nil
}

// elsewhere is a release in another namespace. Its revisions share one workload: there is no traffic to turn.
func elsewhere(r *registry.Release, namespace string) *registry.Release {
	release, env := *r, *r.Environment
	env.Spec.Namespace = namespace
	release.Environment = &env
	if release.Serving.Rollout.Progressive() {
		release.Serving.Rollout.Strategy = registry.InPlace
	}
	return &release
}

func (t *trial) run(cmd *cobra.Command) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	ref, err := t.image(cmd)
	if err != nil {
		return err
	}
	rendered, err := render.Release(t.files, t.release, ref)
	if err != nil {
		return fmt.Errorf("rendering %s: %w", t.place.Release, err)
	}
	made := tried(rendered.Objects, t.full)
	config, err := t.app.follow()
	if err != nil {
		return err
	}
	target, err := cluster.New(ctx, cluster.Config{REST: config, Namespaces: []string{t.place.Namespace}, Decryption: decryption})
	if err != nil {
		return err
	}
	if err := t.open(cmd, target); err != nil {
		if apierrors.IsForbidden(err) {
			return fmt.Errorf("making the namespace %s: %w; ask for the right to create and delete namespaces", t.place.Namespace, err)
		}
		return err
	}
	fmt.Fprintf(out, "trying %s, %s, in namespace %s until %s\n", t.place.Release, t.release.ModelVersion, t.place.Namespace, t.place.Until.Local().Format(time.DateTime))
	for _, note := range made.left {
		fmt.Fprintln(out, "left out:", plain(note))
	}
	t.secrets(cmd, target, made)
	mr := &v1alpha1.ModelRelease{ObjectMeta: metav1.ObjectMeta{Namespace: t.place.Namespace, Name: "try." + t.release.Name}}
	mr.Spec.Release = t.release.Name
	err = t.bring(ctx, cmd, target, mr, made)
	fmt.Fprintf(out, "\nreach it:  kubectl -n %s port-forward service/%s 8080:%s\nend it:    davit try --delete %[1]s\n", t.place.Namespace, t.release.Name, made.port)
	return err
}

// open makes or renews the namespace. One of a try that just ended goes first.
func (t *trial) open(cmd *cobra.Command, target *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := false; ; told = true {
		err := target.OpenTry(ctx, t.place)
		if !errors.Is(err, cluster.ErrTryEnding) {
			return err
		}
		if !told {
			fmt.Fprintf(cmd.OutOrStdout(), "waiting for the end of the last try in namespace %s\n", t.place.Namespace)
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// image finds the model's, or builds it.
func (t *trial) image(cmd *cobra.Command) (string, error) {
	bars := newProgress(cmd.ErrOrStderr())
	defer bars.clear()
	builder, err := t.app.images(bars.show, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
	if err != nil {
		return "", err
	}
	v := t.release.ModelVersion
	result, err := builder.Ensure(cmd.Context(), t.files, t.release.Repository(), v, nil)
	bars.clear()
	var content *image.ContentError
	var unsigned *image.UnsignedError
	switch {
	case errors.As(err, &content) || errors.As(err, &unsigned):
		return "", fmt.Errorf("building %s: %w", v, err)
	case err != nil:
		err = fmt.Errorf("building %s: %w; images go to %s, by spec.images of davit.yaml: a try needs it within reach, and a docker login that may push there", v, err, t.release.Repository())
		return "", interrupted(cmd.Context(), v, err)
	}
	if result.Built {
		fmt.Fprintf(cmd.OutOrStdout(), "built %s, %d bytes uploaded\n", v, result.BytesUploaded)
	}
	return result.Ref, nil
}

// secrets says which of those the pods need are not there: they were the environment's.
func (t *trial) secrets(cmd *cobra.Command, target *cluster.Cluster, made *triedObjects) {
	for _, needed := range []struct {
		names []string
		kind  string
	}{{made.secrets, "generic %s --from-literal=KEY=VALUE"}, {made.pulls, "docker-registry %s --docker-server=HOST --docker-username=NAME --docker-password=PASSWORD"}} {
		for _, name := range needed.names {
			there, err := target.HasSecret(cmd.Context(), t.place.Namespace, name)
			switch {
			case err != nil && !apierrors.IsForbidden(err):
				fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s\n", plainLines(err.Error()))
			case !there:
				fmt.Fprintf(cmd.OutOrStdout(), "Secret %s is not here; its pods wait for: kubectl -n %s create secret "+needed.kind+"\n", name, t.place.Namespace, name)
			}
		}
	}
}

// bring applies the objects and waits until they are ready, or can't be.
func (t *trial) bring(ctx context.Context, cmd *cobra.Command, target *cluster.Cluster, mr *v1alpha1.ModelRelease, made *triedObjects) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	changed := make(chan struct{}, 1)
	watcher, err := target.Watch(ctx, func(string, string) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	set, err := target.Apply(ctx, mr, made.objects, cluster.ApplyOptions{OnImmutable: cluster.Recreate})
	if err != nil {
		return fmt.Errorf("applying to namespace %s: %w", t.place.Namespace, err)
	}
	if mr.Status.Inventory = set.Inventory; !t.wait {
		fmt.Fprintln(cmd.OutOrStdout(), "applied")
		return nil
	}
	return t.await(ctx, cmd, target, func() cluster.Health {
		return watcher.Health(ctx, mr, cluster.HealthOptions{StartupTimeout: t.release.Serving.Rollout.StartupTimeout.Or(10 * time.Minute)})
	}, changed)
}

// await prints how it fares whenever that changes.
func (t *trial) await(ctx context.Context, cmd *cobra.Command, target *cluster.Cluster, health func() cluster.Health, changed <-chan struct{}) error {
	began, told := time.Now(), ""
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		h := health()
		if line := fmt.Sprintf("%-12s %s", h.State, h.Sentence()); line != told && ctx.Err() == nil {
			told = line
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", time.Now().Format(time.TimeOnly), plainLines(strings.TrimSpace(line)))
		}
		switch h.State {
		case cluster.Ready:
			return t.smoke(ctx, cmd, target, time.Since(began))
		case cluster.Failed:
			return fmt.Errorf("%s: %s; kubectl -n %s logs -l %s=%s tells more; change the files and run the command again",
				h.Reason, h.Message, t.place.Namespace, cluster.LabelRelease, t.release.Name)
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return fmt.Errorf("not ready within %s: %s; kubectl -n %s get pods,events tells more, and --timeout waits longer", t.timeout, h.Message, t.place.Namespace)
			}
			return errors.New("interrupted; what was applied goes on until its end")
		case <-changed:
		case <-tick.C:
		}
	}
}

// smoke asks the model what its release would be asked.
func (t *trial) smoke(ctx context.Context, cmd *cobra.Command, target *cluster.Cluster, took time.Duration) error {
	test := t.release.Serving.SmokeTest
	if test == nil {
		fmt.Fprintf(cmd.OutOrStdout(), "ready after %s\n", duration(took))
		return nil
	}
	err := target.SmokeTest(ctx, cluster.Smoke{Namespace: t.place.Namespace, Service: t.release.Name, Path: test.Path, Body: test.Body, Expect: test.Expect})
	if err != nil {
		return fmt.Errorf("%w; a release of it would fail", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "ready after %s, and the smoke test passes\n", duration(took))
	return nil
}
