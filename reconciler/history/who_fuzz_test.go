package history

import (
	"strings"
	"testing"
)

// FuzzPullRequest: what a commit's message says of its pull request is one word of it.
func FuzzPullRequest(f *testing.F) {
	f.Add("Merge pull request #12 from a/b", "")
	f.Add("Merged in a (pull request #7)", "See merge request a/b!3")
	f.Add("x (#1)", "Pull-Request: https://forge.example.com/a/b/pulls/1\r\n")
	f.Fuzz(func(t *testing.T, subject, body string) {
		got := pullRequest(subject, body)
		if strings.ContainsAny(got, " \t\r\n") || !strings.Contains(subject, got) && !strings.Contains(body, got) {
			t.Errorf("%q", got)
		}
	})
}
