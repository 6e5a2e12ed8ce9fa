package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// maxTermination is how many bytes Kubernetes keeps of a container's termination message.
const maxTermination = 4096

// How long the publisher waits between attempts.
const (
	publishBackoff    = time.Second
	maxPublishBackoff = time.Minute
)

// publishRunCommand is what the last container of a training's pods runs.
func publishRunCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:    "publish-run",
		Hidden: true, // the reconciler's own, with nothing in it for people
		Short:  "Publish what a training's run left, from within its pod",
		Long: "Makes a model image of the files in DAVIT_OUTPUT (/output), pushes it where DAVIT_PUBLISH says, and then the run's\n" +
			"result. metrics.json there, an object of numbers, is no file of the model: it has the run's metrics. What begins\n" +
			"with a dot is passed over. Of several nodes (NODE_RANK) the first one publishes. Credentials are those of\n" +
			"DOCKER_CONFIG. While the OCI registry can't be reached it tries again until it is ended. Exit code 3 says that\n" +
			"the files are no model. The termination message has {digest, metrics}, or the reason.",
		Args: cobra.NoArgs,
	}
	a.signs(c)
	message := c.Flags().String("termination-log", "/dev/termination-log", "the file of the container's termination message")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if rank := os.Getenv("NODE_RANK"); rank != "" && rank != "0" {
			return nil
		}
		result, err := a.publishRun(cmd.Context(), cmd.ErrOrStderr())
		if err != nil {
			return terminated(*message, cmd.ErrOrStderr(), err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s published, %s\n", result.Run, result.Digest)
		return writeTermination(*message, termination(result))
	}
	return c
}

// publishRun publishes the run that the environment tells of.
func (a *app) publishRun(ctx context.Context, stderr io.Writer) (result image.RunResult, err error) {
	text := os.Getenv(registry.PublishVariable)
	if text == "" {
		return result, usage{fmt.Errorf("%s is not set; davit sets it in the pods of a training's run", registry.PublishVariable)}
	}
	var spec registry.RunSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return result, &image.ContentError{Err: fmt.Errorf("%s: %w", registry.PublishVariable, err)}
	}
	output, err := os.OpenRoot(cmp.Or(os.Getenv("DAVIT_OUTPUT"), "/output"))
	if err != nil {
		return result, err
	}
	defer output.Close()
	key, err := a.key()
	if err != nil {
		return result, err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	builder, err := image.New(image.Config{Key: key, BuilderVersion: version(), Log: log})
	if err != nil {
		return result, err
	}
	for wait := publishBackoff; ; wait = min(2*wait, maxPublishBackoff) {
		result, err = builder.PublishRun(ctx, spec, output.FS())
		if _, content := errors.AsType[*image.ContentError](err); err == nil || content {
			return result, err
		}
		if ctx.Err() == nil {
			log.Warn("publishing failed, it is tried again", "run", spec.Run, "after", wait, "err", plainLines(err.Error()))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return result, fmt.Errorf("interrupted before run %s was published: %w", spec.Run, err)
		}
	}
}

// terminated says why nothing is published, where people and the reconciler look.
func terminated(message string, stderr io.Writer, err error) error {
	if _, ok := errors.AsType[usage](err); ok {
		return err
	}
	reason := plainLines(err.Error())
	written := writeTermination(message, []byte(strings.ToValidUTF8(reason[:min(len(reason), maxTermination)], "")))
	if _, content := errors.AsType[*image.ContentError](err); !content {
		return errors.Join(err, written)
	}
	fmt.Fprintf(stderr, "davit: %s\n", reason)
	if written != nil {
		fmt.Fprintf(stderr, "davit: %v\n", written)
	}
	return exit(registry.NotAModel)
}

func writeTermination(file string, data []byte) error {
	if err := os.WriteFile(file, data, 0o644); err != nil {
		return fmt.Errorf("writing the termination message: %w", err)
	}
	return nil
}

// termination is the message of a run that was published, with as many metrics, by name, as fit.
func termination(result image.RunResult) []byte {
	names := slices.Sorted(maps.Keys(result.Version.Metrics))
	for n := len(names); ; n-- {
		metrics := map[string]float64{}
		for _, name := range names[:n] {
			metrics[name] = result.Version.Metrics[name]
		}
		data, err := json.Marshal(struct {
			Digest  string             `json:"digest"`
			Metrics map[string]float64 `json:"metrics"`
		}{result.Digest, metrics})
		if err == nil && len(data) <= maxTermination || n == 0 {
			return data
		}
	}
}
