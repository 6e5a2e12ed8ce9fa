package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// workflows are what davit init --ci writes, by forge.
//
//go:embed all:ci
var workflows embed.FS

// pipeline is what runs on a forge for each pull request.
type pipeline struct {
	host    string // github, gitlab, or "" for none
	version string // of davit, as go install names it
}

// moduleVersion fits what go install takes after the @, and nothing that a shell or YAML would read otherwise.
var moduleVersion = regexp.MustCompile(`^[A-Za-z0-9][-A-Za-z0-9._+/]*$`)

// files are the workflows by their place, seen from the registry: at the root of its repository, of which it is the folder.
// None without a forge.
func (p pipeline) files(folder string) (map[string][]byte, error) {
	places := map[string]map[string]string{
		"": nil,
		"github": {
			"ci/github/davit.yaml":         ".github/workflows/davit.yaml",
			"ci/github/davit-comment.yaml": ".github/workflows/davit-comment.yaml",
		},
		"gitlab": {"ci/gitlab/gitlab-ci.yaml": ".gitlab-ci.yml"},
	}
	from, known := places[p.host]
	switch {
	case !known:
		return nil, usage{fmt.Errorf("--ci %q is not known; use github or gitlab", p.host)}
	case !moduleVersion.MatchString(p.version):
		return nil, usage{fmt.Errorf("--davit-version %q is not a version; use latest, a tag such as v0.3.0, or a commit", p.version)}
	}
	up, in := "", ""
	if folder != "" {
		up, in = strings.Repeat("../", 1+strings.Count(folder, "/")), "-C "+folder+" "
	}
	if p.host != "" && folder != "" && !moduleVersion.MatchString(folder) {
		return nil, usage{fmt.Errorf("--ci writes no workflows for the folder %q, whose name a shell could read otherwise", folder)}
	}
	files := map[string][]byte{}
	for name, place := range from {
		data, err := workflows.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for _, command := range []string{"validate", "plan"} { // those that read the registry
			data = bytes.ReplaceAll(data, []byte("davit "+command+" --base"), []byte("davit "+in+command+" --base"))
		}
		files[up+place] = bytes.ReplaceAll(data, []byte("DAVIT_VERSION"), []byte(p.version))
	}
	return files, nil
}

// write adds the workflows to a registry that exists.
func (p pipeline) write(cmd *cobra.Command, dir string, files map[string][]byte) error {
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(name))); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists already and is left as it is; davit init NEW --ci %s writes to another folder what to take over from", path.Join(dir, name), p.host)
		}
	}
	if _, err := writeFiles(dir, "", files); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; next:\n  git -C %s add %s, commit and push: the next pull request is planned\n", strings.Join(names, " and "), dir, strings.Join(names, " "))
	return nil
}
