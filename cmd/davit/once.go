package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/reconciler"
)

// once takes the tip to the end and says by its exit code whether every release came out healthy.
func once(cmd *cobra.Command, loop *reconciler.Reconciler, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	if err := loop.Once(ctx); err != nil {
		return uninstalled(err)
	}
	unwell := loop.Unwell()
	for _, key := range slices.Sorted(maps.Keys(unwell)) {
		fmt.Fprintf(cmd.ErrOrStderr(), "davit: %s: %s\n", key, plainLines(strings.TrimSpace(unwell[key])))
	}
	if len(unwell) > 0 {
		return exit(exitFailed)
	}
	return nil
}
