package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
)

// commitFile writes one file into the worktree and commits it and nothing else, whatever is staged.
func (c *clone) commitFile(ctx context.Context, name string, text []byte, message string) (commit string, err error) {
	name = path.Join(c.folder, name)
	root, err := os.OpenRoot(c.dir) // a link in the repository leads nowhere else
	if err != nil {
		return "", err
	}
	defer root.Close()
	before, readErr := root.ReadFile(name)
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	if err := root.WriteFile(name, text, 0o644); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = c.git(ctx, "add", "-f", "--", name)
	if err == nil {
		_, err = c.with(ctx, nil, []byte(message), "commit", "-q", "--only", "-F", "-", "--", name)
	}
	if err == nil {
		return c.git(ctx, "rev-parse", "HEAD")
	}
	if readErr == nil {
		return "", errors.Join(err, root.WriteFile(name, before, 0o644))
	}
	_, reset := c.git(ctx, "rm", "-q", "--cached", "--force", "--ignore-unmatch", "--", name)
	return "", errors.Join(err, reset, root.Remove(name))
}
