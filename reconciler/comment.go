package reconciler

import (
	"fmt"
	"strings"

	"github.com/davit-dev/davit/reconciler/v1alpha1"
)

// maxTold is how many releases a comment goes into.
const maxTold = 20

// comment is the outcome for the people of a pull request, and what to do next.
func comment(environment string, all []standing) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n", plain(environment))
	for _, s := range all[:min(len(all), maxTold)] {
		o := s.outcome
		fmt.Fprintf(&b, "- %s", plain(sentence(s)))
		if o.Message != "" && o.Outcome != v1alpha1.Superseded {
			fmt.Fprintf(&b, ": %s", plain(o.Message))
		}
		b.WriteString("\n")
		if o.ExitCode != nil {
			fmt.Fprintf(&b, "  - exit code %d\n", *o.ExitCode)
		}
		if o.Log != "" {
			fmt.Fprintf(&b, "  - its last lines:\n\n    ```\n    %s\n    ```\n", block(o.Log))
		}
		if s.held != nil {
			fmt.Fprintf(&b, "  - next: %s\n", nextStep(s.held))
		}
	}
	if more := len(all) - maxTold; more > 0 {
		fmt.Fprintf(&b, "- and %d more\n", more)
	}
	return b.String()
}

// plain is a text on one line that means nothing in Markdown or HTML, and nobody: a message may be anybody's. Words that a
// forge makes a link of (@name, #1) are cut by a space of no width.
func plain(text string) string {
	var b strings.Builder
	for _, c := range line(text) {
		if strings.ContainsRune("\\`*_{}[]<>()#+-.!|@~&:", c) {
			b.WriteByte('\\')
		}
		if b.WriteRune(c); c == '@' || c == '#' || c == '!' {
			b.WriteRune('\u200b')
		}
	}
	return b.String()
}

// block is a text for a block of code that is four spaces in.
func block(text string) string {
	return strings.NewReplacer("```", "'''", "\r\n", "\n    ", "\r", "\n    ", "\n", "\n    ").Replace(text)
}

func nextStep(held *v1alpha1.HeldRevision) string {
	mend := "a commit that changes the release's files is tried at once"
	switch {
	case strings.Contains(held.Proposal, "://"):
		return fmt.Sprintf("merge the revert, %s; or mend it: %s", held.Proposal, mend)
	case held.Proposal != "":
		return fmt.Sprintf("`git merge origin/%s`; or mend it: %s", held.Proposal, mend)
	}
	return fmt.Sprintf("`git revert %.12s`; or mend it: %s", held.Commit, mend)
}
