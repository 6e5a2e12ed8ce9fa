package forge

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// kinds are the hosts whose kind is known.
var kinds = map[string]string{"github.com": GitHub, "gitlab.com": GitLab, "codeberg.org": Gitea, "gitea.com": Gitea}

// sshHosts take ssh at port 443, for networks that close 22; their forge is elsewhere.
var sshHosts = map[string]string{"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}

// place is a repository on a forge: the forge's address in a browser, and owner/name (groups/…/name on GitLab).
type place struct {
	url  *url.URL
	repo string
}

// repoName keeps a repository's path from meaning anything else inside an API's path.
var repoName = regexp.MustCompile(`^[A-Za-z0-9_~-][\w.~-]*(/[A-Za-z0-9_~-][\w.~-]*)+$`)

// locate takes a clone URL apart. Its errors hold no credentials.
func locate(repository, base string) (place, error) {
	clone, err := parseClone(repository)
	if err != nil {
		return place{}, err
	}
	at := &url.URL{Scheme: "https", Host: clone.Host}
	if clone.Scheme == "http" {
		at.Scheme = "http"
	}
	if clone.Scheme == "ssh" {
		at.Host = clone.Hostname()
		if host, ok := sshHosts[at.Host]; ok {
			at.Host = host
		} else if strings.Contains(at.Host, ":") { // IPv6
			at.Host = "[" + at.Host + "]"
		}
		if _, err := url.Parse(at.String()); err != nil {
			return place{}, errors.New("malformed repository URL")
		}
	}
	path := strings.Trim(clone.Path, "/")
	if base != "" {
		if at, err = url.Parse(base); err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil {
			return place{}, errors.New("the forge's url must be http(s)://host[/path], without credentials")
		}
		at.Path = strings.TrimSuffix(at.Path, "/")
		at.RawQuery, at.Fragment = "", ""
		// A forge under a path has it in its http clone URLs, not in those for ssh.
		path = strings.TrimPrefix(path, strings.TrimPrefix(at.Path, "/")+"/")
	}
	path = strings.TrimSuffix(path, ".git")
	if !repoName.MatchString(path) {
		return place{}, fmt.Errorf("no owner/name in the path of the repository at %s", clone.Host)
	}
	return place{url: at, repo: path}, nil
}

// parseClone reads the URLs that git clones from; host:path is ssh.
func parseClone(repository string) (*url.URL, error) {
	if !strings.Contains(repository, "://") {
		host, path, ok := strings.Cut(repository, ":")
		if !ok || strings.Contains(host, "/") || len(host) < 2 {
			return nil, errors.New("a forge needs a remote repository: its https or ssh clone URL")
		}
		u, err := url.Parse("ssh://" + strings.ToLower(host[strings.LastIndex(host, "@")+1:]))
		if err != nil || u.Hostname() == "" {
			return nil, errors.New("malformed repository URL")
		}
		u.Path = path
		return u, nil
	}
	u, err := url.Parse(repository)
	if err != nil {
		return nil, errors.New("malformed repository URL") // url.Parse's errors quote the credentials
	}
	u.User, u.Host = nil, strings.ToLower(u.Host)
	switch u.Scheme {
	case "http", "https", "ssh":
	case "git+ssh", "ssh+git":
		u.Scheme = "ssh"
	default:
		return nil, fmt.Errorf("a forge needs a remote repository: its https or ssh clone URL, not %s://", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("no host in the repository URL")
	}
	return u, nil
}

// githubAPI is where GitHub's API is: on a host of its own, or under a path on GitHub Enterprise Server.
func githubAPI(at *url.URL) string {
	if at.Hostname() == "github.com" || strings.HasSuffix(at.Hostname(), ".ghe.com") {
		return at.Scheme + "://api." + at.Host
	}
	return at.JoinPath("api/v3").String()
}
