package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/davit-dev/davit/gitops"
)

// clone is the user's repository, worked on by the user's git: it knows their name, their signing key, their hooks and
// the credentials for the remote.
type clone struct {
	dir    string
	folder string // of the registry in it, where files are named from; "" for dir itself
	branch string // the one that is followed, as far as a clone can tell
	remote string // "" for a repository without one
}

// clone finds the followed branch: the named one, the one the remote's HEAD names, or the one checked out.
func (a *app) clone(ctx context.Context, branch string) (*clone, error) {
	c := &clone{dir: a.dir, branch: branch}
	if top, err := c.git(ctx, "rev-parse", "--show-toplevel"); err == nil { // a bare repository has none
		c.dir = top
	}
	var err error
	if c.folder, err = a.folder(); err != nil {
		return nil, err
	}
	remotes, err := c.git(ctx, "remote")
	if err != nil {
		return nil, err
	}
	c.remote, _, _ = strings.Cut(remotes, "\n")
	if strings.Contains("\n"+remotes+"\n", "\norigin\n") {
		c.remote = "origin"
	}
	if c.branch == "" && c.remote != "" {
		head, _ := c.git(ctx, "symbolic-ref", "-q", "--short", "refs/remotes/"+c.remote+"/HEAD")
		c.branch = strings.TrimPrefix(head, c.remote+"/")
	}
	if c.branch == "" {
		if c.branch, err = c.git(ctx, "symbolic-ref", "-q", "--short", "HEAD"); err != nil {
			return nil, usage{errors.New("HEAD is detached; name the followed branch with --branch")}
		}
		if _, err := c.git(ctx, "rev-parse", "-q", "--verify", "refs/heads/main"); err == nil {
			c.branch = "main" // whatever branch is worked on
		}
	}
	return c, nil
}

// git runs one command of git's and gives what it printed.
func (c *clone) git(ctx context.Context, args ...string) (string, error) {
	return c.with(ctx, nil, nil, args...)
}

func (c *clone) with(ctx context.Context, env []string, stdin []byte, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stdin = c.dir, bytes.NewReader(stdin)
	cmd.Env = append(append(os.Environ(), "GIT_TERMINAL_PROMPT=0"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second // its helpers for http and ssh hold on to stderr when it is killed
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(stderr.String())
		if text == "" {
			text = err.Error()
		}
		return "", fmt.Errorf("git %s: %s", args[0], gitops.RedactText(text))
	}
	return strings.TrimSpace(string(out)), nil
}

// fetchTime is how long a remote may take.
const fetchTime = 20 * time.Second

// known is the followed branch's commit as it is known here.
func (c *clone) known(ctx context.Context) (string, error) {
	ref := "refs/heads/" + c.branch
	if c.remote != "" {
		ref = "refs/remotes/" + c.remote + "/" + c.branch
	}
	tip, err := c.git(ctx, "rev-parse", "--verify", "-q", ref+"^{commit}")
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil && c.remote == "" {
		return "", fmt.Errorf("there is %w %s with a commit here; commit, or name the followed one with --branch", errNoBranch, c.branch)
	}
	if err != nil {
		return "", fmt.Errorf("there is %w %s here; git fetch brings it, or name the followed one with --branch", errNoBranch, strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/remotes/"))
	}
	return tip, nil
}

// errNoBranch is that the followed branch is not here: nothing may have been pushed yet.
var errNoBranch = errors.New("no branch")

// fetch brings the followed branch, and the outcomes, from the remote where there is one.
func (c *clone) fetch(ctx context.Context) (tip string, err error) {
	if c.remote != "" {
		limited, cancel := context.WithTimeout(ctx, fetchTime)
		defer cancel()
		own := "refs/remotes/" + c.remote + "/"
		_, err = c.git(limited, "fetch", "-q", c.remote, "+refs/heads/"+c.branch+":"+own+c.branch, "+refs/heads/"+gitops.OutcomeBranch+"*:"+own+gitops.OutcomeBranch+"*")
		if err != nil && strings.Contains(err.Error(), "find remote ref refs/heads/"+c.branch) {
			return "", fmt.Errorf("there is %w %s at %s; name the followed one with --branch", errNoBranch, c.branch, c.remote)
		}
		if err != nil {
			return "", err
		}
	}
	return c.known(ctx)
}

// commit makes a commit with some files changed on top of base, without touching the worktree or its index.
func (c *clone) commit(ctx context.Context, base, message string, files []gitops.FileChange) (string, error) {
	dir, err := os.MkdirTemp("", "davit-index-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}
	if _, err := c.with(ctx, env, nil, "read-tree", base); err != nil {
		return "", err
	}
	lines, err := c.entries(ctx, files)
	if err != nil {
		return "", err
	}
	if _, err := c.with(ctx, env, lines, "update-index", "--index-info"); err != nil {
		return "", err
	}
	tree, err := c.with(ctx, env, nil, "write-tree")
	if err != nil {
		return "", err
	}
	args := []string{"commit-tree", "-p", base, "-F", "-"}
	if signs, _ := c.git(ctx, "config", "--type=bool", "commit.gpgsign"); signs == "true" {
		args = append(args, "-S")
	}
	return c.with(ctx, nil, []byte(message), append(args, tree)...)
}

// entries writes changes as update-index reads them: "mode hash<TAB>path", mode 0 for what goes.
func (c *clone) entries(ctx context.Context, files []gitops.FileChange) ([]byte, error) {
	var b bytes.Buffer
	for _, f := range files {
		entry := "0 " + strings.Repeat("0", 40)
		switch {
		case f.Delete:
		case !f.From.IsZero():
			line, err := c.git(ctx, "ls-tree", "--full-tree", f.From.String(), "--", path.Join(c.folder, f.Path))
			if err != nil {
				return nil, err
			}
			if fields := strings.Fields(line); len(fields) > 2 {
				entry = fields[0] + " " + fields[2]
			}
		default:
			blob, err := c.with(ctx, nil, f.Content, "hash-object", "-w", "--stdin")
			if err != nil {
				return nil, err
			}
			entry = "100644 " + blob
		}
		fmt.Fprintf(&b, "%s\t%s\n", entry, path.Join(c.folder, f.Path))
	}
	return b.Bytes(), nil
}

// publish makes a branch of a commit, at the remote where there is one. A branch that is there with the same files stays,
// and one that replaces says nothing against is replaced.
func (c *clone) publish(ctx context.Context, branch, commit string, replaces func(ctx context.Context, old string) error) error {
	limited, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	ref := "refs/heads/" + branch
	shown := ref
	if c.remote != "" {
		shown = "refs/remotes/" + c.remote + "/" + branch
		// A pattern may fit none; what is deleted there is not there any more.
		if _, err := c.git(limited, "fetch", "-q", "--prune", c.remote, "+"+ref+"*:"+shown+"*"); err != nil {
			return err
		}
	}
	old, _ := c.git(ctx, "rev-parse", "-q", "--verify", shown)
	if old != "" {
		if same, err := c.git(ctx, "diff-tree", "-r", "--name-only", old, commit); err == nil && same == "" {
			return nil
		}
		if err := replaces(ctx, old); err != nil {
			return fmt.Errorf("branch %s is there with %w; merge it, or delete it if it is of no use", branch, err)
		}
	}
	if c.remote != "" {
		if _, err := c.git(limited, "push", "-q", "--force-with-lease="+ref+":"+old, c.remote, commit+":"+ref); err != nil {
			return err
		}
		_, err := c.git(ctx, "update-ref", shown, commit) // a clone of a single branch does not follow others by itself
		return err
	}
	if trees, _ := c.git(ctx, "worktree", "list", "--porcelain"); strings.Contains(trees+"\n", "branch "+ref+"\n") {
		return fmt.Errorf("branch %s is checked out; switch to another one", branch)
	}
	if old == "" {
		old = strings.Repeat("0", 40)
	}
	_, err := c.git(ctx, "update-ref", ref, commit, old)
	return err
}

// sameTrailer lets a branch be replaced whose newest commit bears a trailer: an earlier try.
func (c *clone) sameTrailer(trailer string) func(ctx context.Context, old string) error {
	return func(ctx context.Context, old string) error {
		message, err := c.git(ctx, "log", "-1", "--format=%B", old)
		if err == nil && !strings.Contains(message, trailer) {
			err = errors.New("something else")
		}
		return err
	}
}

// earlierPromotion lets a branch be replaced whose commits since a base are all promotions by the user or by davit. Whatever
// else is on it, such as evidence and approvals, the user's own too, would be lost.
func (c *clone) earlierPromotion(base string) func(ctx context.Context, old string) error {
	return func(ctx context.Context, old string) error {
		me, err := c.git(ctx, "var", "GIT_AUTHOR_IDENT")
		if err != nil {
			return err
		}
		commits, err := c.git(ctx, "log", "--format=%h <%ae> <%ce> %(trailers:key=Davit-Promotes,valueonly,separator=%x2C)%x09%an", base+".."+old)
		if err != nil {
			return err
		}
		for line := range strings.Lines(commits) {
			hash, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			author, rest, _ := strings.Cut(rest, " ")
			committer, rest, _ := strings.Cut(rest, " ")
			promotes, name, _ := strings.Cut(rest, "\t")
			davits := author == "<"+gitops.Davit().Email+">" && committer == author
			if promotes == "" || !davits && (!strings.Contains(me, author) || !strings.Contains(me, committer)) {
				return fmt.Errorf("the work of %s (%s)", plain(name), hash)
			}
		}
		return nil
	}
}
