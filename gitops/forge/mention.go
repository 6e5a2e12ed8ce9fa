package forge

import (
	"net/url"
	"regexp"
	"strings"
)

// MentionURL is where a browser finds what a word of a commit's message names: #12, a pull request or an issue, as forges
// lead from one to the other, !12, a merge request of GitLab's, either with another repository of the same forge before it, or
// an address on that forge. cfg's Kind, URL and Repository count. It is empty for all else: whoever writes a commit leads
// nobody elsewhere.
func MentionURL(cfg Config, word string) string {
	at, err := locate(cfg.Repository, cfg.URL)
	if err != nil {
		return ""
	}
	if strings.Contains(word, "://") {
		return at.own(word)
	}
	m := mention.FindStringSubmatch(word)
	if m == nil || m[1] != "" && !repoName.MatchString(m[1]) {
		return ""
	}
	repo := at.repo
	if m[1] != "" {
		repo = m[1]
	}
	kind := cfg.Kind
	if kind == "" {
		kind = kinds[at.url.Hostname()]
	}
	under := ""
	switch kind + m[2] {
	case GitHub + "#":
		under = "pull"
	case Gitea + "#":
		under = "pulls"
	case GitLab + "#":
		under = "-/issues"
	case GitLab + "!":
		under = "-/merge_requests"
	default:
		return ""
	}
	return at.url.JoinPath(repo, under, m[3]).String()
}

var mention = regexp.MustCompile(`^([\w.~/-]*)([#!])([0-9]{1,9})$`)

// own is an address that is one of the forge's, and "" for another.
func (p place) own(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != p.url.Scheme || u.User != nil || !strings.EqualFold(u.Host, p.url.Host) {
		return ""
	}
	if base := strings.TrimSuffix(p.url.Path, "/"); u.Path != base && !strings.HasPrefix(u.Path, base+"/") {
		return ""
	}
	return u.String()
}
