package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/image"
)

func buildCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "build [MODEL[@VERSION]...]",
		Short: "Build and push model images; what is already there is left alone",
		Args:  cobra.ArbitraryArgs,
	}
	a.signs(c)
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
		bars := newProgress(cmd.ErrOrStderr())
		defer bars.clear()
		builder, err := a.images(bars.show, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
		if err != nil {
			return err
		}
		for _, v := range versions {
			began := time.Now()
			result, err := builder.Ensure(cmd.Context(), fsys, models.Spec.Images+"/"+v.Model, v, nil)
			bars.clear()
			if err != nil {
				return interrupted(cmd.Context(), v, fmt.Errorf("building %s: %w", v, err))
			}
			how := "already there"
			if result.Built {
				how = fmt.Sprintf("built in %s, %d bytes read, %d bytes uploaded", time.Since(began).Round(time.Millisecond), result.BytesRead, result.BytesUploaded)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  (%s)\n", v, result.Ref, how)
		}
		return nil
	}
	return c
}

// interrupted says what Ctrl-C left: nothing that anybody sees.
func interrupted(ctx context.Context, v *registry.ModelVersion, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("interrupted: nothing of %s was published; run the command again", v)
}

// images makes a builder as the environment has it. An S3 endpoint of one's own has no host name for each bucket.
// Progress and log may be nil.
func (a *app) images(progress func(image.Progress), log *slog.Logger) (*image.Builder, error) {
	key, err := a.key()
	if err != nil {
		return nil, err
	}
	gcs := os.Getenv("STORAGE_EMULATOR_HOST")
	if gcs != "" && !strings.Contains(gcs, "://") {
		gcs = "http://" + gcs
	}
	return image.New(image.Config{
		Progress: progress, Log: log, Key: key, BuilderVersion: version(), GCSEndpoint: strings.TrimSuffix(gcs, "/"),
		S3PathStyle: os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != "",
		HuggingFace: image.HuggingFace{Endpoint: strings.TrimSuffix(os.Getenv("HF_ENDPOINT"), "/"), Token: os.Getenv("HF_TOKEN")},
	})
}

// key is the one of --signing-key, if any.
func (a *app) key() (*image.Key, error) {
	if a.signingKey == "" {
		return nil, nil
	}
	data, err := os.ReadFile(a.signingKey)
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w; --signing-key names a file that cosign generate-key-pair writes", err)
	}
	key, err := image.ParseKey(data, []byte(os.Getenv("COSIGN_PASSWORD")))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.signingKey, err)
	}
	return key, nil
}

// signs gives a command the flag of who builds images.
func (a *app) signs(c *cobra.Command) {
	c.Flags().StringVar(&a.signingKey, "signing-key", "", "sign images with this private key in PEM, as cosign generate-key-pair writes it (password: COSIGN_PASSWORD)")
}

// versionsOf are the versions that arguments name: MODEL@VERSION, all of MODEL, or all there are.
func versionsOf(models *registry.Registry, args []string) (out []*registry.ModelVersion, err error) {
	all := len(args) == 0
	if all {
		args = slices.Sorted(maps.Keys(models.Models))
	}
	for _, arg := range args {
		name, version, one := strings.Cut(arg, "@")
		m := models.Models[name]
		if m == nil {
			return nil, fmt.Errorf("no model %q (have %s)", name, strings.Join(slices.Sorted(maps.Keys(models.Models)), ", "))
		}
		have := slices.Sorted(maps.Keys(m.Versions))
		switch {
		case len(have) == 0 && !all:
			return nil, fmt.Errorf("model %q has no version, or none without a fault; davit validate tells", name)
		case one && m.Versions[version] == nil:
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
