package gitops

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/config"
)

// LFS is where the content behind the snapshot's Git LFS pointers is: the server's address, with user and password where
// the repository's has them, or nil if there is none; and the folder of objects that are here already, which need not
// exist. The address is the repository's own (git-lfs's docs/api/server-discovery.md), or what .lfsconfig says. The latter
// is part of the commit: it may name no other host, which would get the credentials.
func (s *Snapshot) LFS() (server *url.URL, objects string, err error) {
	return s.source.lfs(s.Whole())
}

// Origin is the repository's address, without credentials, and the commit.
func (s *Snapshot) Origin() (repository, commit string) {
	return s.source.Origin(), s.commit.Hash.String()
}

// Origin is the repository's address without credentials: the remote's, or for a local repository that of its remote
// "origin", or its folder.
func (s *Source) Origin() string {
	address := s.address
	if s.mirror == nil {
		address = s.store.common
		if data, err := os.ReadFile(filepath.Join(s.store.common, "config")); err == nil {
			if cfg, err := parseConfig(data); err == nil {
				address = cmp.Or(cfg.Section("remote").Subsection("origin").Option("url"), "file://"+filepath.ToSlash(s.Path()))
			}
		}
	}
	return Redact(address)
}

// LFS is that of the worktree, whose files are given.
func (s *Source) LFS(files fs.FS) (server *url.URL, objects string, err error) {
	if s.folder != "" && s.root != "" {
		root, err := os.OpenRoot(s.root)
		if err != nil {
			return nil, "", err
		}
		defer root.Close()
		files = root.FS()
	}
	return s.lfs(files)
}

func (s *Source) lfs(files fs.FS) (server *url.URL, objects string, err error) {
	objects = filepath.Join(s.store.common, "lfs/objects")
	own, configured, err := s.ownLFS()
	if err != nil || configured {
		return own, objects, err
	}
	data, err := fs.ReadFile(files, ".lfsconfig") // git-lfs reads that at the repository's root alone
	if errors.Is(err, fs.ErrNotExist) {
		return own, objects, nil
	}
	if err != nil {
		return nil, "", err
	}
	server, err = namedLFS(own, data)
	if err != nil {
		return nil, "", fmt.Errorf(".lfsconfig: %w", err)
	}
	return server, objects, nil
}

// namedLFS is the server that a .lfsconfig names, at the host of the repository's own; that one where it names none.
func namedLFS(own *url.URL, lfsconfig []byte) (*url.URL, error) {
	text, err := lfsURL(lfsconfig)
	if err != nil || text == "" {
		return own, err
	}
	named, err := url.Parse(text)
	if err != nil || named.Scheme != "http" && named.Scheme != "https" || named.User != nil {
		return nil, errors.New("lfs.url is not an http or https address without credentials")
	}
	if own == nil || named.Hostname() != own.Hostname() {
		return nil, fmt.Errorf("lfs.url is at %s, which is not the repository's host; files from elsewhere need their own address as source", named.Hostname())
	}
	if named.Scheme == own.Scheme && named.Host == own.Host {
		named.User = own.User
	}
	return named, nil
}

// ownLFS is the server that goes with the repository's address; configured says that the user named it, in the
// repository's own config.
func (s *Source) ownLFS() (server *url.URL, configured bool, err error) {
	remote := s.address
	if s.mirror == nil {
		data, err := os.ReadFile(filepath.Join(s.store.common, "config"))
		if err != nil {
			return nil, false, err
		}
		text, err := lfsURL(data)
		if err != nil {
			return nil, false, fmt.Errorf("reading the repository's config: %w", err)
		}
		if text != "" {
			if server, err = url.Parse(text); err != nil {
				err = errors.New("lfs.url in the repository's config is not an address") // url.Parse's errors quote the credentials
			}
			return server, true, err
		}
		cfg, err := parseConfig(data)
		if err != nil {
			return nil, false, err
		}
		remote = cfg.Section("remote").Subsection("origin").Option("url")
	}
	return discoverLFS(remote), false, nil
}

func lfsURL(data []byte) (string, error) {
	cfg, err := parseConfig(data)
	if err != nil {
		return "", err
	}
	return cfg.Section("lfs").Option("url"), nil
}

func parseConfig(data []byte) (*config.Config, error) {
	cfg := config.New()
	return cfg, config.NewDecoder(bytes.NewReader(data)).Decode(cfg)
}

// remoteURL is the repository's address, or for a local one that of its remote "origin"; empty when it has none.
func (s *Source) remoteURL() (string, error) {
	if s.mirror != nil {
		return s.address, nil
	}
	data, err := os.ReadFile(filepath.Join(s.store.common, "config"))
	if err != nil {
		return "", err
	}
	cfg, err := parseConfig(data)
	if err != nil {
		return "", err
	}
	return cfg.Section("remote").Subsection("origin").Option("url"), nil
}

// isSSH says whether a remote is reached by ssh.
func isSSH(remote string) bool {
	return !strings.Contains(remote, "://") && !IsLocal(remote) || strings.HasPrefix(remote, "ssh://") || strings.HasPrefix(remote, "git+ssh://")
}

// discoverLFS adds .git/info/lfs to a remote; that of an ssh remote is looked for over https, unless its host says
// where it is. nil for a path.
func discoverLFS(remote string) *url.URL {
	u, err := url.Parse(remote)
	host, dir, scp := strings.Cut(remote, ":")
	switch {
	case remote == "" || IsLocal(remote):
		return nil
	case strings.Contains(remote, "://") && err != nil:
		return nil
	case !strings.Contains(remote, "://") && scp:
		_, name, ok := strings.Cut(host, "@")
		if !ok {
			name = host
		}
		u = &url.URL{Scheme: "https", Host: name, Path: "/" + strings.TrimPrefix(dir, "/")}
	case u.Scheme == "ssh" || u.Scheme == "git+ssh":
		host = u.Hostname()
		if strings.Contains(host, ":") { // IPv6
			host = "[" + host + "]"
		}
		u = &url.URL{Scheme: "https", Host: host, Path: u.Path}
	case u.Scheme != "http" && u.Scheme != "https":
		return nil
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), ".git") + ".git/info/lfs"
	if _, err := url.Parse(u.String()); err != nil || u.Host == "" {
		return nil // what stands for the host can't be one
	}
	return u
}
