package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
	"github.com/davit-dev/davit/render/catalog"
)

func runtimeCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "runtime",
		Short: "List the servers davit brings along, or copy one into the registry",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(runtimeList(a), runtimeAddCommand(a))
	return c
}

func runtimeList(a *app) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the runtimes of the catalog, and the versions that are in the registry"}
	format := outputFlag(c, "table", "json", "yaml")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		type entry struct {
			Name     string   `json:"name"`
			Versions []string `json:"versions"`
			Here     []string `json:"here"`
			Image    string   `json:"image,omitempty"`
			Feature  string   `json:"feature,omitempty"`
			About    string   `json:"about"`
		}
		var all []entry
		var rows [][]any
		for _, rt := range catalog.Runtimes() {
			here := a.folders(path.Join("runtimes", rt.Name))
			all = append(all, entry{rt.Name, rt.Versions, here, rt.Repository, rt.Feature, rt.About})
			rows = append(rows, []any{rt.Name, strings.Join(rt.Versions, ", "), orDash(strings.Join(here, ", ")), orDash(rt.Repository), rt.About})
		}
		return printData(cmd.OutOrStdout(), *format, all, []any{"NAME", "VERSIONS", "HERE", "IMAGE", "ABOUT"}, rows)
	}
	return c
}

func runtimeAddCommand(a *app) *cobra.Command {
	r := &runtimeAdd{app: a}
	c := &cobra.Command{
		Use:   "add NAME[@VERSION]",
		Short: "Copy a runtime of the catalog into the registry",
		Long: "Writes runtimes/NAME/VERSION: a Kustomize base and runtime.yaml, which are the registry's own from then on. The\n" +
			"version is the newest that the base was written for, unless one is named. The image's tag is resolved to the digest\n" +
			"it has now, at its OCI registry and with the credentials of docker login; with --digest nothing is asked. With\n" +
			"--mirror the same repository is looked for, and used, below another host. custom serves any image of your own and\n" +
			"needs --image; kserve has no image. A folder that exists is never written over.",
		Example: "  davit runtime add vllm\n" +
			"  davit runtime add triton@25.10 --mirror registry.example.com/nvcr\n" +
			"  davit runtime add vllm@0.11.2 --digest sha256:…\n" +
			"  davit runtime add custom --image registry.example.com/server:1.4",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&r.digest, "digest", "", "the image's digest, sha256:…: no OCI registry is asked")
	f.StringVar(&r.image, "image", "", "another image that serves the same way, REPOSITORY[:TAG][@DIGEST]")
	f.StringVar(&r.mirror, "mirror", "", "HOST[/PREFIX] that has the image's repository too")
	return c
}

// runtimeAdd copies one runtime.
type runtimeAdd struct {
	app                   *app
	digest, image, mirror string
}

func (r *runtimeAdd) run(cmd *cobra.Command, arg string) error {
	name, version, named := strings.Cut(arg, "@")
	rt, err := catalog.FindRuntime(name)
	if err != nil {
		return usage{err}
	}
	if !named {
		version = rt.Newest()
	}
	if err := registry.CheckName("version", version); err != nil {
		return usage{err}
	}
	ref, err := r.reference(rt, version)
	if err != nil {
		return usage{err}
	}
	dir := path.Join("runtimes", rt.Name, version)
	root, err := r.app.vacant(dir, "a runtime's version does not change below its releases: name another version, or remove the folder to have it anew")
	if err != nil {
		return err
	}
	if rt.Name != "custom" && !slices.Contains(rt.Versions, version) {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: the base of %s was written for %s; look whether its arguments and probes are those of %s\n", rt.Name, strings.Join(rt.Versions, ", "), version)
	}
	if err := r.resolve(cmd.Context(), ref); err != nil {
		return err
	}
	written, err := writeFiles(root, dir, rt.Files(ref.String(), ref.Tag))
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for _, file := range written {
		fmt.Fprintln(out, "wrote", file)
	}
	if rt.HasImage() {
		fmt.Fprintf(out, "%s@%s: %s\n", rt.Name, version, ref)
	}
	fmt.Fprintf(out, "an environment has it with this in its environment.yaml:\n  runtimes: {%s: %s}\n", rt.Name, scalar(version))
	printFeature(out, rt.Feature)
	return nil
}

var digestText = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// reference is the image that is asked for, with what is known of its tag and digest; empty for a runtime without one.
func (r *runtimeAdd) reference(rt catalog.Runtime, version string) (*image.Reference, error) {
	ref := &image.Reference{Repository: rt.Repository, Tag: rt.Tag(version), Digest: r.digest}
	switch {
	case !rt.HasImage() && r.image+r.mirror+r.digest != "":
		return nil, fmt.Errorf("%s has no image of its own: leave --image, --mirror and --digest out", rt.Name)
	case !rt.HasImage():
		return &image.Reference{}, nil
	case r.digest != "" && !digestText.MatchString(r.digest):
		return nil, fmt.Errorf("--digest %s is not sha256: and 64 hex digits", r.digest)
	case r.image != "" && r.mirror != "":
		return nil, errors.New("--image names the whole image: leave --mirror out")
	case r.image != "":
		named, err := image.ParseReference(r.image)
		if err != nil {
			return nil, fmt.Errorf("--image %s: %w", r.image, err)
		}
		if named.Digest != "" && r.digest != "" && named.Digest != r.digest {
			return nil, fmt.Errorf("--image and --digest name two digests, %s and %s", named.Digest, r.digest)
		}
		ref.Repository = named.Repository
		if named.Tag != "" || named.Digest != "" {
			ref.Tag = named.Tag
		}
		if named.Digest != "" {
			ref.Digest = named.Digest
		}
	case rt.Repository == "":
		return nil, fmt.Errorf("%s serves an image of your own; pass --image REPOSITORY:TAG", rt.Name)
	case r.mirror != "":
		mirrored := ref.Mirrored(r.mirror)
		if _, err := image.ParseReference(mirrored.Repository); err != nil {
			return nil, fmt.Errorf("--mirror %s: %w", r.mirror, err)
		}
		ref = &mirrored
	}
	if ref.Tag == "" && ref.Digest == "" {
		return nil, fmt.Errorf("--image %s has neither tag nor digest; write %[1]s:TAG", ref.Repository)
	}
	return ref, nil
}

// resolve asks for the digest of the tag, unless it is known or there is nothing to ask for.
func (r *runtimeAdd) resolve(ctx context.Context, ref *image.Reference) error {
	if ref.Repository == "" || ref.Digest != "" {
		return nil
	}
	builder, err := r.app.images(nil, nil)
	if err != nil {
		return err
	}
	if ref.Digest, err = builder.Resolve(ctx, ref.String()); err != nil {
		return fmt.Errorf("%w; pass --mirror HOST to ask another OCI registry, or --digest to ask none", err)
	}
	return nil
}
