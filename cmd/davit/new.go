package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/davit-dev/davit/registry"
)

func newCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "new MODEL FILE|FOLDER|URI...",
		Short: "Write a model, its first version and a release of it, under one owner",
		Long: "Does what davit add does, and writes the release MODEL beside it: a Serving, and the environments' files that name the\n" +
			"version; with --team and --owner the team's file, too, if there is none. Nothing that exists is written over.",
		Args: cobra.MinimumNArgs(2),
	}
	flags := versionFlags(c)
	n := &newModel{app: a}
	f := c.Flags()
	f.StringVar(&n.version, "version", "v1", "name of the version")
	f.StringSliceVar(&n.environments, "env", nil, "environments to release it in (default: staging, or the only one)")
	f.StringVar(&n.runtime, "runtime", "", "runtime that serves it (default: the only one)")
	f.StringVar(&n.accelerator, "accelerator", "", "kind of GPU")
	f.IntVar(&n.gpus, "gpus", 0, "number of GPUs")
	f.StringVar(&n.team, "team", "", "put all of it into teams/TEAM")
	f.StringSliceVar(&n.owners, "owner", nil, "who answers for the model; may be repeated")
	c.RunE = func(cmd *cobra.Command, args []string) error { return n.run(cmd, flags, args[0], args[1:]) }
	return c
}

// newModel is what davit new writes beside the version.
type newModel struct {
	app                    *app
	version, runtime, team string
	accelerator            string
	gpus                   int
	environments, owners   []string
}

func (n *newModel) run(cmd *cobra.Command, flags versionOptions, model string, sources []string) error {
	base := ""
	if n.team != "" {
		if err := registry.CheckName("team", n.team); err != nil {
			return usage{err}
		}
		base = path.Join("teams", n.team)
	}
	if err := errors.Join(registry.CheckName("model", model), registry.CheckName("release", model)); err != nil {
		return usage{err}
	}
	models, release := path.Join(base, "models", model), path.Join(base, "releases", model)
	root, err := n.app.root()
	if err != nil {
		return err
	}
	for _, dir := range []string{models, release} {
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(dir))); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists; davit add writes a new version of a model", dir)
		}
	}
	v, err := n.app.newVersion(cmd, flags, model, n.version)
	if err != nil {
		return err
	}
	if err := n.choose(root); err != nil {
		return err
	}
	v.dir, v.owners = models, n.owners
	if err := v.addAll(cmd.Context(), sources); err != nil {
		return err
	}
	written, err := v.write(cmd.Context(), *flags.metrics)
	if err == nil {
		if err = errors.Join(n.owned(v, base, &written), n.release(v, release, &written)); err != nil {
			v.remove(written)
			written = nil
		}
	}
	for _, name := range written {
		fmt.Fprintln(cmd.OutOrStdout(), "wrote", name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), v)
	return n.validate(cmd, v.root, model)
}

// choose fills in what there is only one of.
func (n *newModel) choose(root string) error {
	models, err := registry.Load(os.DirFS(root))
	if err != nil {
		return err
	}
	environments := slices.Sorted(maps.Keys(models.Environments))
	switch {
	case len(n.environments) > 0:
		for _, name := range n.environments {
			if models.Environments[name] == nil {
				return usage{fmt.Errorf("no environment %q (have %s)", name, strings.Join(environments, ", "))}
			}
		}
	case slices.Contains(environments, "staging"):
		n.environments = []string{"staging"}
	case len(environments) == 1:
		n.environments = environments
	default:
		return usage{fmt.Errorf("pass --env: there are the environments %s", strings.Join(environments, ", "))}
	}
	if n.runtime != "" {
		return nil
	}
	runtimes := map[string]bool{}
	for name := range models.Runtimes {
		name, _, _ = strings.Cut(name, "@")
		runtimes[name] = true
	}
	names := slices.Sorted(maps.Keys(runtimes))
	if len(names) != 1 {
		return usage{fmt.Errorf("pass --runtime: there are the runtimes %s", strings.Join(names, ", "))}
	}
	n.runtime = names[0]
	return nil
}

// owned writes the file of a team that has none yet, where it is known whose it is.
func (n *newModel) owned(v *newVersion, dir string, written *[]string) error {
	if n.team == "" || len(n.owners) == 0 {
		return nil
	}
	name := path.Join(dir, "team.yaml")
	if _, err := os.Lstat(filepath.Join(v.root, filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	type spec struct {
		Owners []string `yaml:"owners"`
	}
	data, err := yaml.Marshal(struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Spec       spec   `yaml:"spec"`
	}{registry.APIVersion, "Team", spec{n.owners}})
	if err != nil {
		return err
	}
	return v.put(name, data, written)
}

// release writes the Serving and the environments' files.
func (n *newModel) release(v *newVersion, dir string, written *[]string) error {
	type spec struct {
		Model       string `yaml:"model,omitempty"`
		Runtime     string `yaml:"runtime,omitempty"`
		Accelerator string `yaml:"accelerator,omitempty"`
		GPUs        int    `yaml:"gpus,omitempty"`
	}
	type document struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Spec       spec   `yaml:"spec"`
	}
	serving, err := yaml.Marshal(document{registry.APIVersion, "Serving", spec{Model: v.model, Runtime: n.runtime, Accelerator: n.accelerator, GPUs: n.gpus}})
	if err != nil {
		return err
	}
	files := map[string][]byte{"serving": serving}
	for _, env := range n.environments {
		files[env] = releaseText(n.version)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := v.put(path.Join(dir, name+".yaml"), files[name], written); err != nil {
			return err
		}
	}
	return nil
}

// releaseText is a Release. The blank lines keep a promotion and an edit of another field apart: git takes changes of
// neighbouring lines for a conflict.
func releaseText(version string) []byte {
	return fmt.Appendf(nil, "apiVersion: %s\nkind: Release\nspec:\n\n  version: %s\n\n", registry.APIVersion, scalar(version))
}

// validate says at once what is still missing, an accelerator or an environment's runtime version, say.
func (n *newModel) validate(cmd *cobra.Command, root, model string) error {
	models, err := registry.Load(os.DirFS(root))
	if err != nil {
		return err
	}
	var faults []registry.Fault
	for _, env := range n.environments {
		faults = append(faults, models.Broken[registry.Key{Environment: env, Name: model}]...)
	}
	for _, fault := range models.Faults { // a team's first model has no team.yaml beside it
		if n.team != "" && fault.Path == path.Join("teams", n.team, "team.yaml") && !slices.Contains(faults, fault) {
			faults = append(faults, fault)
		}
	}
	for _, fault := range faults {
		fmt.Fprintln(cmd.ErrOrStderr(), plainLines(fault.String()))
		err = exit(exitInvalid)
	}
	return err
}
