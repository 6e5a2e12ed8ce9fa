package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/registry"
)

func codeownersCommand(a *app) *cobra.Command {
	o := &codeowners{app: a}
	c := &cobra.Command{
		Use:   "codeowners",
		Short: "Print CODEOWNERS: who has to review what, from davit.yaml, model.yaml and team.yaml",
		Long: "A team's folder belongs to the owners in its team.yaml; a model at the root, and the releases of it, to those in\n" +
			"its model.yaml; all else to spec.owners of davit.yaml: environments and their policies, runtimes, accelerators.\n" +
			"approvals/ belongs to nobody, since a signature there says by itself who it is from. Owners are written as the\n" +
			"forge knows them: @user, @organisation/team or an email address; a plain name is a team of --organisation.\n\n" +
			"--write replaces the lines between \"" + ownersBegin + "\" and \"" + ownersEnd + "\"; what stands around them is yours. The file is\n" +
			"the one there is, or .github/CODEOWNERS, .gitlab/CODEOWNERS or CODEOWNERS, by what the repository has. --check\n" +
			"exits 1 when its lines are others; in which order teams or models follow each other does not count.",
	}
	f := c.Flags()
	f.BoolVar(&o.write, "write", false, "write the file")
	f.BoolVar(&o.check, "check", false, "exit 1 when the file differs from what would be written")
	f.StringVar(&o.file, "file", "", "the file to write or check, from the repository's root")
	f.StringVar(&o.organisation, "organisation", "", "the organisation, or GitLab group, whose teams plain names are")
	c.MarkFlagsMutuallyExclusive("write", "check")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd) }
	return c
}

// codeowners is what davit codeowners was asked for.
type codeowners struct {
	app                *app
	write, check       bool
	file, organisation string
}

func (o *codeowners) run(cmd *cobra.Command) error {
	fsys, err := o.app.tree(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	models, err := registry.Load(fsys)
	if err != nil {
		return err
	}
	root, err := o.app.root()
	if err != nil {
		return err
	}
	folder, err := gitops.FolderOf(root)
	if err != nil {
		return err
	}
	lines, faults := ownership(models, o.organisation, folder)
	for _, f := range faults {
		fmt.Fprintln(cmd.ErrOrStderr(), plainLines(f.String()))
	}
	if len(faults) > 0 {
		return exit(exitInvalid) // without a line of its own, what has a fault would be somebody else's
	}
	if len(models.Spec.Owners) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "davit: nobody owns environments and their policies; name who does under spec.owners of davit.yaml")
	}
	if !o.write && !o.check {
		_, err := fmt.Fprint(cmd.OutOrStdout(), lines)
		return err
	}
	for range strings.Count(folder, "/") + min(len(folder), 1) {
		root = filepath.Dir(root) // to the repository's root, where forges look
	}
	if o.file == "" {
		o.file = ownersFile(root)
	}
	if !filepath.IsLocal(o.file) {
		return usage{fmt.Errorf("--file %s is outside the repository; name it from the root", o.file)}
	}
	full := filepath.Join(root, filepath.FromSlash(o.file))
	if o.check {
		whole, done, err := wholeTree(fsys, root)
		if err != nil {
			return err
		}
		defer done()
		return o.compare(cmd, whole, lines)
	}
	return o.put(cmd, full, lines)
}

// wholeTree is all of the repository that a registry was read from: of the commit, or as it lies there.
func wholeTree(fsys fs.FS, root string) (whole fs.FS, done func(), err error) {
	if snapshot, ok := fsys.(*gitops.Snapshot); ok {
		return snapshot.Whole(), func() {}, nil
	}
	opened, err := os.OpenRoot(root)
	if err != nil {
		return nil, nil, err
	}
	return opened.FS(), func() { opened.Close() }, nil
}

// compare says whether the file in the tree that was read has those lines.
func (o *codeowners) compare(cmd *cobra.Command, fsys fs.FS, lines string) error {
	data, err := fs.ReadFile(fsys, filepath.ToSlash(o.file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, is, _, found := section(string(data))
	switch {
	case !found:
		return fmt.Errorf("%s has no lines of davit's; davit codeowners --write writes them", o.file)
	case canonical(is) != canonical(lines):
		return fmt.Errorf("%s is not what the registry's owners make it; davit codeowners --write writes it anew", o.file)
	}
	fmt.Fprintln(cmd.OutOrStdout(), o.file, "is as the registry's owners make it")
	return nil
}

// put writes the lines into the file, whose own ones stay.
func (o *codeowners) put(cmd *cobra.Command, full, lines string) error {
	data, err := os.ReadFile(full)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	before, _, after, found := section(string(data))
	if !found && len(data) > 0 {
		return fmt.Errorf("%s was written by somebody else; put the two lines\n  %s\n  %s\nwhere davit's are to be (of two lines that match a file the last one counts), and run the command again", o.file, ownersBegin, ownersEnd)
	}
	if err := os.WriteFile(full, []byte(before+lines+after), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "wrote", o.file)
	local := &clone{dir: filepath.Dir(full)}
	if attr, err := local.git(cmd.Context(), "check-attr", "merge", "--", filepath.Base(full)); err == nil && !strings.HasSuffix(attr, ": union") {
		fmt.Fprintf(cmd.OutOrStdout(), "next: echo '/%s merge=union' >> .gitattributes, or two teams that come at once conflict here\n", filepath.ToSlash(o.file))
	}
	return nil
}

// ownersFile is where the forge looks: the file that is there, or where one would be written.
func ownersFile(root string) string {
	has := func(name string) bool {
		_, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	const hub, lab, top, docs = ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"
	places := []string{hub, top, docs, lab} // in the order in which the forges look
	there := slices.IndexFunc(places, has)
	switch {
	case there >= 0:
		return places[there]
	case has(".github"):
		return hub
	case has(".gitlab"), has(".gitlab-ci.yml"):
		return lab
	}
	return top
}
