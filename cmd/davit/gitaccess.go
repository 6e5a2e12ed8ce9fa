package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/pflag"

	"github.com/davit-dev/davit/gitops"
	"github.com/davit-dev/davit/reconciler/credentials"
)

// gitOptions say how the repository of --repo is reached.
type gitOptions struct{ folder, ca, identity, knownHosts string }

func (o *gitOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.folder, "git-credentials", "", "folder with what opens the --repo URL, in files named as the keys of a ModelRegistry's credentials: username, password, bearerToken, ca.crt, …")
	f.StringVar(&o.ca, "git-ca", "", "file with certificate authorities of the --repo URL, beside the system's")
	f.StringVar(&o.identity, "ssh-identity", "", "private key for a --repo URL over ssh (default: the agent's)")
	f.StringVar(&o.knownHosts, "known-hosts", "", "file with the keys of ssh hosts (default: known_hosts in ~/.ssh)")
}

// files are what is named.
func (o *gitOptions) files() (all []string) {
	for _, name := range []string{o.folder, o.ca, o.identity, o.knownHosts} {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// apply has a repository reached by the files, which are read anew for each session.
func (o *gitOptions) apply(repository string, to *gitops.Config) error {
	if len(o.files()) == 0 {
		return nil
	}
	if repository == "" || gitops.IsLocal(repository) {
		return usage{errors.New("--git-credentials, --git-ca, --ssh-identity and --known-hosts are for the URL of --repo")}
	}
	to.Access = credentials.New(credentials.Config{URL: repository, Keys: o.keys(repository), KeysName: "reading the credentials of --repo"}).Access
	if ssh := !strings.HasPrefix(repository, "http"); ssh && o.identity == "" && o.folder == "" {
		to.Access = o.agent
	}
	return nil
}

// agent leaves the key to ssh's agent.
func (o *gitOptions) agent(context.Context) (gitops.Access, error) {
	known, err := os.ReadFile(o.knownHosts)
	return gitops.Access{KnownHosts: known}, err
}

// keys reads the files as if they were a Secret's keys.
func (o *gitOptions) keys(repository string) func(context.Context) (credentials.Keys, error) {
	return func(context.Context) (credentials.Keys, error) {
		keys := credentials.Keys{}
		if o.folder != "" {
			entries, err := os.ReadDir(o.folder)
			if err != nil {
				return nil, fmt.Errorf("--git-credentials: %w", err)
			}
			for _, e := range entries {
				file := filepath.Join(o.folder, e.Name())
				if info, err := os.Stat(file); err == nil && info.IsDir() { // kubelet's own
					continue
				}
				if keys[e.Name()], err = os.ReadFile(file); err != nil {
					return nil, fmt.Errorf("--git-credentials: %w", err)
				}
			}
		}
		for key, file := range map[string]string{"ca.crt": o.ca, "identity": o.identity, "known_hosts": o.known(repository, keys)} {
			if file == "" {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			keys[key] = data
		}
		return keys, nil
	}
}

// known is the file of known hosts: the named one, or the user's for an ssh repository where nothing else has them.
func (o *gitOptions) known(repository string, keys credentials.Keys) string {
	home, err := os.UserHomeDir()
	if o.knownHosts != "" || strings.HasPrefix(repository, "http") || len(keys["known_hosts"]) > 0 || err != nil {
		return o.knownHosts
	}
	file := filepath.Join(home, ".ssh", "known_hosts")
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

// follow has the repository looked at when the files change, until stop is called.
func (o *gitOptions) follow(ctx context.Context, source *gitops.Source) (stop func()) {
	if len(o.files()) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { _ = gitops.WatchFiles(ctx, o.files(), source.Notify) })
	return func() {
		cancel()
		watching.Wait()
	}
}
