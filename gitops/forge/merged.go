package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Merged is the merged pull request that a commit on the followed branch came from, and false when it came from none
// that the forge knows: pushed directly, or one of several commits of a rebase on Gitea, which remembers the last.
// The forge is asked by commit. Where it does not know it (an index that lags, a Forgejo without that question), the
// number in message is tried, and counts when that pull request was merged as this very commit: a message can't point
// at somebody else's.
func (f *Forge) Merged(ctx context.Context, commit, message string) (PullRequest, bool, error) {
	if !hash.MatchString(commit) {
		return PullRequest{}, false, fmt.Errorf("%q is no commit", commit)
	}
	pr, ok, err := f.merged(ctx, commit, message)
	if err != nil {
		return PullRequest{}, false, fmt.Errorf("looking for the pull request of %.12s: %w", commit, err)
	}
	return pr, ok, nil
}

var hash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func (f *Forge) merged(ctx context.Context, commit, message string) (PullRequest, bool, error) {
	numbers, err := f.of(ctx, commit)
	if err != nil {
		return PullRequest{}, false, err
	}
	for _, n := range numbers {
		if pr, err := f.find(ctx, n); err != nil || f.counts(pr) {
			return pr, err == nil, err
		}
	}
	n := number(message)
	if n == 0 || slices.Contains(numbers, n) {
		return PullRequest{}, false, nil
	}
	pr, err := f.find(ctx, n)
	if notThere(err) || err == nil && !f.counts(pr) {
		return PullRequest{}, false, nil
	}
	var d details
	if err == nil {
		err = f.send(ctx, f.dialect.details(n), &d)
	}
	if err != nil || !d.mergedAs(commit) {
		return PullRequest{}, false, err
	}
	return pr, true, nil
}

func (f *Forge) counts(pr PullRequest) bool {
	return pr.Merged && (f.branch == "" || pr.Base == f.branch)
}

// of asks which pull requests hold commit: a list on GitHub and GitLab, one on Gitea.
func (f *Forge) of(ctx context.Context, commit string) ([]int, error) {
	var answer json.RawMessage
	if err := f.send(ctx, f.dialect.of(commit), &answer); err != nil {
		// GitHub has 422 for a commit it does not know.
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusUnprocessableEntity || notThere(err) {
			return nil, nil
		}
		return nil, err
	}
	return numbers(answer)
}

func numbers(answer []byte) (all []int, err error) {
	var list []details
	if err := json.Unmarshal(answer, &list); err != nil {
		list = make([]details, 1)
		if err := json.Unmarshal(answer, &list[0]); err != nil {
			return nil, err
		}
	}
	for _, d := range list {
		if n := max(d.Number, d.IID); n > 0 {
			all = append(all, n)
		}
	}
	return all, nil
}

var (
	// The subjects of merge commits on GitHub and on Gitea, then of squashed ones on both; the trailer of GitLab's.
	subjects = []*regexp.Regexp{
		regexp.MustCompile(`^Merge pull request #(\d+) from `),
		regexp.MustCompile(`^Merge pull request '.*' \(#(\d+)\) from `),
		regexp.MustCompile(`\(#(\d+)\)$`),
	}
	trailer = regexp.MustCompile(`(?m)^See merge request \S*!(\d+)\s*$`)
)

// number is the one that a merged pull request leaves in the commit's message; 0 without one.
func number(message string) int {
	subject, body, _ := strings.Cut(strings.TrimSpace(message), "\n")
	for _, re := range subjects {
		if m := re.FindStringSubmatch(strings.TrimSpace(subject)); m != nil {
			return positive(m[1])
		}
	}
	if all := trailer.FindAllStringSubmatch(body, -1); all != nil {
		return positive(all[len(all)-1][1]) // text above it may quote another
	}
	return 0
}

func positive(digits string) int {
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}
