package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

func buildCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "build [MODEL[@VERSION]...]",
		Short: "Build and push model images; what is already there is left alone",
		Args:  cobra.ArbitraryArgs,
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		models, err := a.load(cmd)
		if err != nil {
			return err
		}
		fsys := models.FS()
		versions, err := versionsOf(models, args)
		if err != nil {
			return err
		}
		builder, err := images(progress(cmd.ErrOrStderr()))
		if err != nil {
			return err
		}
		for _, v := range versions {
			began := time.Now()
			result, err := builder.Ensure(cmd.Context(), fsys, models.Spec.Images+"/"+v.Model, v)
			if err != nil {
				return fmt.Errorf("building %s: %w", v, err)
			}
			how := "already there"
			if result.Built {
				how = fmt.Sprintf("built in %s, %d bytes uploaded", time.Since(began).Round(time.Millisecond), result.BytesUploaded)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  (%s)\n", v, result.Ref, how)
		}
		return nil
	}
	return c
}

// images makes a builder as the environment has it. An S3 endpoint of one's own has no host name for each bucket.
func images(progress func(image.Progress)) (*image.Builder, error) {
	return image.New(image.Config{
		Progress: progress, S3PathStyle: os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != "",
	})
}

// versionsOf are the versions that arguments name: MODEL@VERSION, all of MODEL, or all there are.
func versionsOf(models *registry.Registry, args []string) (out []*registry.ModelVersion, err error) {
	if len(args) == 0 {
		args = slices.Sorted(maps.Keys(models.Models))
	}
	for _, arg := range args {
		name, version, one := strings.Cut(arg, "@")
		m := models.Models[name]
		if m == nil {
			return nil, fmt.Errorf("no model %q (have %s)", name, strings.Join(slices.Sorted(maps.Keys(models.Models)), ", "))
		}
		have := slices.Sorted(maps.Keys(m.Versions))
		if one && m.Versions[version] == nil {
			return nil, fmt.Errorf("no version %q of model %q (have %s)", version, name, strings.Join(have, ", "))
		}
		for _, v := range have {
			if !one || v == version {
				out = append(out, m.Versions[v])
			}
		}
	}
	return out, nil
}

// progress draws one line that is written over on a terminal; elsewhere it is nil, and results are lines.
func progress(w io.Writer) func(image.Progress) {
	file, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	var mu sync.Mutex
	var drawn time.Time
	return func(p image.Progress) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case p.Done == p.Total:
			fmt.Fprint(w, "\r\x1b[K")
		case time.Since(drawn) > 100*time.Millisecond:
			drawn = time.Now()
			fmt.Fprintf(w, "\r\x1b[K%s %s %3d%%", p.Version, p.File, 100*p.Done/max(p.Total, 1))
		}
	}
}
