package forge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// request is one that go-scm has no method for. Its path is relative to the API's base.
type request struct {
	method string
	path   string
	body   fields
}

type fields map[string]string

func (f fields) reader() io.Reader {
	data, _ := json.Marshal(f) // a map of strings can't fail
	return bytes.NewReader(data)
}

// dialect is how a forge wants to be told. Unknown keys of answers are ignored, so one type reads all three.
type dialect interface {
	create(pr PullRequest) request
	edit(number int, title, body string) request
	close(number int) request
	merge(number int, method string, m Merge) request
	comment(number int, text string) request
	editComment(number, id int, text string) request
	status(commit string, s Status) request
	// statuses lists the newest of each context.
	statuses(commit string) request
	// details gives what go-scm leaves out of a pull request.
	details(number int) request
	// of lists the pull requests that a commit came from.
	of(commit string) request
}

// hub is GitHub's dialect, which Gitea speaks too.
// https://docs.github.com/en/rest, https://docs.gitea.com/api/1.26/
type hub struct{ prefix, repo, pulls string }

func (h hub) path(format string, args ...any) string {
	return h.prefix + "repos/" + h.repo + "/" + fmt.Sprintf(format, args...)
}

func (h hub) create(pr PullRequest) request {
	return request{http.MethodPost, h.path("pulls"), fields{"head": pr.Branch, "base": pr.Base, "title": pr.Title, "body": pr.Body}}
}

func (h hub) edit(number int, title, body string) request {
	return request{http.MethodPatch, h.path("pulls/%d", number), fields{"title": title, "body": body}}
}

func (h hub) close(number int) request {
	return request{http.MethodPatch, h.path("pulls/%d", number), fields{"state": "closed"}}
}

// merge is Gitea's where the API has a prefix: the two differ in it.
func (h hub) merge(number int, method string, m Merge) request {
	if h.prefix != "" {
		return request{http.MethodPost, h.path("pulls/%d/merge", number), fields{
			"Do": method, "head_commit_id": m.Head, "MergeTitleField": m.Title, "MergeMessageField": m.Message,
		}}
	}
	return request{http.MethodPut, h.path("pulls/%d/merge", number), fields{
		"merge_method": method, "sha": m.Head, "commit_title": m.Title, "commit_message": m.Message,
	}}
}

func (h hub) comment(number int, text string) request {
	return request{http.MethodPost, h.path("issues/%d/comments", number), fields{"body": text}}
}

func (h hub) editComment(_, id int, text string) request {
	return request{http.MethodPatch, h.path("issues/comments/%d", id), fields{"body": text}}
}

func (h hub) status(commit string, s Status) request {
	return request{http.MethodPost, h.path("statuses/%s", commit), fields{
		"context": s.Context, "state": string(s.State), "description": s.Description, "target_url": s.URL,
	}}
}

func (h hub) statuses(commit string) request {
	return request{http.MethodGet, h.path("commits/%s/status?per_page=%[2]d&limit=%[2]d", commit, pageSize), nil}
}

func (h hub) details(number int) request {
	return request{http.MethodGet, h.path("pulls/%d", number), nil}
}

func (h hub) of(commit string) request {
	return request{http.MethodGet, h.path("commits/%s/%s", commit, h.pulls), nil}
}

// lab is GitLab's dialect. https://docs.gitlab.com/api/rest/
type lab struct{ repo string }

func (l lab) path(format string, args ...any) string {
	return "api/v4/projects/" + strings.ReplaceAll(l.repo, "/", "%2F") + "/" + fmt.Sprintf(format, args...)
}

func (l lab) create(pr PullRequest) request {
	return request{http.MethodPost, l.path("merge_requests"), fields{
		"source_branch": pr.Branch, "target_branch": pr.Base, "title": pr.Title, "description": pr.Body,
	}}
}

func (l lab) edit(number int, title, body string) request {
	return request{http.MethodPut, l.path("merge_requests/%d", number), fields{"title": title, "description": body}}
}

func (l lab) close(number int) request {
	return request{http.MethodPut, l.path("merge_requests/%d", number), fields{"state_event": "close"}}
}

// merge leaves the method out: the project fixes it, and takes a merge commit's message where it makes one.
func (l lab) merge(number int, _ string, m Merge) request {
	return request{http.MethodPut, l.path("merge_requests/%d/merge", number), fields{
		"sha": m.Head, "merge_commit_message": m.Title + "\n\n" + m.Message, "squash_commit_message": m.Title + "\n\n" + m.Message,
	}}
}

func (l lab) comment(number int, text string) request {
	return request{http.MethodPost, l.path("merge_requests/%d/notes", number), fields{"body": text}}
}

func (l lab) editComment(number, id int, text string) request {
	return request{http.MethodPut, l.path("merge_requests/%d/notes/%d", number, id), fields{"body": text}}
}

func (l lab) status(commit string, s Status) request {
	state := string(s.State)
	if s.State == Failure || s.State == Errored {
		state = "failed" // it knows one way to fail
	}
	return request{http.MethodPost, l.path("statuses/%s", commit), fields{
		"name": s.Context, "state": state, "description": s.Description, "target_url": s.URL,
	}}
}

func (l lab) statuses(commit string) request {
	return request{http.MethodGet, l.path("repository/commits/%s/statuses?per_page=%d", commit, pageSize), nil}
}

func (l lab) details(number int) request {
	return request{http.MethodGet, l.path("merge_requests/%d", number), nil}
}

func (l lab) of(commit string) request {
	return request{http.MethodGet, l.path("repository/commits/%s/merge_requests", commit), nil}
}

// details are GitHub's and Gitea's fields, then GitLab's.
type details struct {
	Number int  `json:"number"`
	Head   side `json:"head"`
	Base   side `json:"base"`

	IID    int    `json:"iid"`
	Source int    `json:"source_project_id"`
	Target int    `json:"target_project_id"`
	Squash string `json:"squash_commit_sha"`
	SHA    string `json:"sha"`

	Merge string `json:"merge_commit_sha"` // all three have it
}

type side struct {
	Repo *struct {
		ID int `json:"id"`
	} `json:"repo"` // null when a fork is gone
}

// ownBranch tells a branch of the repository itself from one of that name in somebody's fork.
func (d details) ownBranch() bool {
	if d.IID != 0 {
		return d.Source == d.Target
	}
	return d.Head.Repo != nil && d.Base.Repo != nil && d.Head.Repo.ID == d.Base.Repo.ID
}

// mergedAs tells whether commit is what came of the merge. SHA is the branch's head, which is it where GitLab fast-forwards.
func (d details) mergedAs(commit string) bool {
	return slices.Contains([]string{d.Merge, d.Squash, d.SHA}, commit)
}
