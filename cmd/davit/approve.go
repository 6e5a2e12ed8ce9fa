package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/plan"
	"github.com/davit-dev/davit/registry"
	"github.com/davit-dev/davit/registry/gate"
)

// approveOptions are the flags of approve.
type approveOptions struct {
	role, key, branch string
	dryRun            bool
}

func approveCommand(a *app) *cobra.Command {
	o := &approveOptions{}
	c := &cobra.Command{
		Use:   "approve ENV/RELEASE@VERSION --as ROLE",
		Short: "Say, signed, that a release may go to a version, and commit that",
		Long: "Shows what the release will be at the version, as the branch that is checked out has it, signs that with an SSH\n" +
			"key which the environment names in the role, and commits the one file of the approval. It counts as long as what\n" +
			"it is about stays the same: the version's files and metrics, its evidence, how the release is served.\n\n" +
			"The key is --key, a private one or one that the SSH agent has, or else the one Git signs with (user.signingkey,\n" +
			"where gpg.format is ssh).",
		Args: cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&o.role, "as", "", "the role to approve in")
	f.StringVar(&o.key, "key", "", "sign with this SSH key")
	f.StringVar(&o.branch, "branch", "", "the branch that is followed (default: the remote's HEAD, or the one checked out)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be approved, and nothing else")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, version, ok := strings.Cut(args[0], "@")
		key, err := registry.ParseKey(name)
		switch {
		case err != nil || !ok || version == "":
			return usage{fmt.Errorf("%q is not ENV/RELEASE@VERSION, such as production/iris@v2", args[0])}
		case o.role == "":
			return usage{errors.New("say in which role: --as ROLE")}
		case a.rev != "":
			return usage{errors.New("an approval is committed to the branch that is checked out; check that one out instead of --rev")}
		}
		return a.approve(cmd, key, version, o)
	}
	return c
}

// approval is one that is about to be given.
type approval struct {
	head     *gitops.Snapshot
	release  *registry.Release
	evidence []string
	digest   string
}

func (a *app) approve(cmd *cobra.Command, key registry.Key, version string, o *approveOptions) error {
	ctx := cmd.Context()
	local, err := a.clone(ctx, o.branch)
	if err != nil {
		return err
	}
	w, err := a.toApprove(ctx, key, version)
	if err != nil {
		return err
	}
	from, err := a.servedNow(ctx, local, key)
	if err != nil {
		return err
	}
	w.print(cmd.OutOrStdout(), from)
	if err := w.wanted(cmd.ErrOrStderr(), o.role); err != nil || o.dryRun {
		return err
	}
	signer, done, err := a.approver(ctx, local, o.key)
	if err != nil {
		return err
	}
	defer done()
	if err := w.allowed(o.role, signer.PublicKey()); err != nil {
		return err
	}
	if has, err := gate.Approved(w.head, w.release, o.role, signer.PublicKey()); err != nil || has {
		if err == nil {
			fmt.Fprintf(cmd.OutOrStdout(), "approved already as %s by key %s; git push if others do not have it\n", plain(o.role), ssh.FingerprintSHA256(signer.PublicKey()))
		}
		return err
	}
	by, err := local.git(ctx, "var", "GIT_AUTHOR_IDENT")
	if err != nil {
		return err
	}
	by, _, _ = strings.Cut(by, ">")
	name, text, err := gate.Approve(w.head, w.release, gate.Approval{Role: o.role, By: by + ">", At: time.Now()}, signer)
	if err != nil {
		return err
	}
	commit, err := local.commitFile(ctx, name, text, fmt.Sprintf("Approve %s@%s as %s\n\nDavit-Release: %s\nDavit-Approves: %s\nDavit-Role: %s\n",
		key, version, o.role, key, version, o.role))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "approved as %s by %s>, key %s\ncommitted %s as %s; now: git push\n",
		plain(o.role), plain(by), ssh.FingerprintSHA256(signer.PublicKey()), name, short(commit))
	return err
}

// toApprove reads the release as HEAD has it, and refuses where the worktree says something else of it: people approve
// what others will get.
func (a *app) toApprove(ctx context.Context, key registry.Key, version string) (*approval, error) {
	fsys, err := a.tree(ctx, io.Discard)
	if err != nil {
		return nil, err
	}
	tree, ok := fsys.(worktree)
	if !ok || tree.checkout == nil {
		return nil, errors.New("an approval is committed, and this is not in a Git repository with a commit; pass -C DIR")
	}
	w := &approval{head: tree.checkout.head}
	if w.release, err = oneRelease(w.head, key); err != nil {
		return nil, err
	}
	if has := w.release.ModelVersion.Name; has != version {
		return nil, fmt.Errorf("%s is at %s in HEAD, and not at %s; check out the branch that promotes it, or approve %s@%s", key, has, version, key, has)
	}
	if w.digest, err = gate.Digest(w.head, w.release); err != nil {
		return nil, err
	}
	if w.evidence, err = gate.EvidenceFiles(w.head, w.release); err != nil {
		return nil, err
	}
	there, err := oneRelease(tree, key)
	if err == nil {
		var digest string
		if digest, err = gate.Digest(tree, there); err == nil && digest == w.digest {
			return w, nil
		}
	}
	dirty := slices.DeleteFunc(slices.Clone(tree.checkout.dirty), func(name string) bool {
		return !w.release.Opens(name) && !strings.HasPrefix(name, gate.EvidenceDir(w.release)+"/")
	})
	if err != nil && len(dirty) == 0 {
		return nil, err
	}
	return nil, fmt.Errorf("what is approved is what is committed, and %s differs from HEAD; commit or stash that", strings.Join(dirty, ", "))
}

// oneRelease is a sound release of a tree.
func oneRelease(fsys fs.FS, key registry.Key) (*registry.Release, error) {
	models, err := registry.LoadRelease(fsys, key)
	if err != nil {
		return nil, err
	}
	if r := models.Release(key); r != nil {
		return r, nil
	}
	if faults := models.Broken[key]; len(faults) > 0 {
		return nil, fmt.Errorf("%s has a fault: %s", key, faults[0])
	}
	return nil, fmt.Errorf("there is no release %s; davit validate tells what there is", key)
}

// servedNow is the release on the followed branch, as that is known here; nil when it has none, or that has a fault.
func (a *app) servedNow(ctx context.Context, local *clone, key registry.Key) (*registry.Release, error) {
	tip, err := local.known(ctx)
	if errors.Is(err, errNoBranch) && local.remote != "" {
		if pushed, err := local.git(ctx, "for-each-ref", "--count=1", "refs/remotes/"+local.remote+"/"); err == nil && pushed == "" {
			return nil, nil // nobody follows anything yet
		}
	}
	if err != nil {
		return nil, err
	}
	snapshot, err := a.revision(ctx, tip)
	if err != nil {
		return nil, err
	}
	models, err := registry.LoadRelease(snapshot, key)
	if errors.Is(err, registry.ErrNoRegistry) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return models.Release(key), nil
}

// print shows what is approved, from what the followed branch has.
func (w *approval) print(out io.Writer, from *registry.Release) {
	r := w.release
	was, is := "-", r.ModelVersion.String()
	var old map[string]float64
	if from != nil {
		was, old = from.ModelVersion.String(), from.ModelVersion.Spec.Metrics
	}
	line := fmt.Sprintf("%s: %s → %s", r.Key(), was, is)
	if was == is {
		line = fmt.Sprintf("%s: %s, as the followed branch has it", r.Key(), is)
	}
	fmt.Fprintln(out, plain(line))
	fmt.Fprintf(out, "  weights   %s\n", plain(plan.Describe(r.ModelVersion.Spec)))
	fmt.Fprintf(out, "  metrics   %s\n", plain(orDash(metrics(old, r.ModelVersion.Spec.Metrics))))
	fmt.Fprintf(out, "  runtime   %s\n", plain(r.Runtime.String()))
	var files []string
	for _, name := range w.evidence {
		files = append(files, path.Base(name))
	}
	fmt.Fprintf(out, "  evidence  %s\n", plain(orDash(strings.Join(files, ", "))))
	fmt.Fprintf(out, "  digest    %s\n", w.digest)
}

// wanted refuses a role that no key is in, and says where nobody asks for the approval here.
func (w *approval) wanted(stderr io.Writer, role string) error {
	roles := gate.Policy(w.release, nil).Roles
	if len(roles[role]) == 0 {
		return fmt.Errorf("no key is in role %q; add keys under roles.%s in %s, or use one of the roles there: %s", role, role, w.release.Environment.Path, orDash(strings.Join(sorted(roles), ", ")))
	}
	if gate.Gates(w.release, nil).Approvals[role] == 0 {
		fmt.Fprintf(stderr, "davit: no gate of %s or its model asks for an approval in role %s\n", w.release.Environment.Path, plain(role))
	}
	return nil
}

// allowed says whether a key is one of the role's.
func (w *approval) allowed(role string, key ssh.PublicKey) error {
	for _, line := range gate.Policy(w.release, nil).Roles[role] {
		if k, _, err := gate.ParseKey(line); err == nil && string(k.Marshal()) == string(key.Marshal()) {
			return nil
		}
	}
	return fmt.Errorf("key %s is not in role %s; use one that is under roles.%s in %s: --key FILE", ssh.FingerprintSHA256(key), role, role, w.release.Environment.Path)
}
