package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Merge is how a pull request is merged.
type Merge struct {
	// Head is the full hash that its branch must be at: nobody's later commit is merged unseen.
	Head string
	// Title and Message are the commit's; a forge that rebases or fast-forwards makes none of its own.
	Title, Message string
}

// methods are asked for in this order, where the repository does not allow all.
var methods = []string{"merge", "squash", "rebase"}

// Merge merges a pull request as a person would by the button: what protects the branch holds, and is an *Error with
// what the forge says. One that is merged already is no error.
func (f *Forge) Merge(ctx context.Context, number int, m Merge) error {
	done, err := f.alone(ctx)
	if err != nil {
		return err
	}
	defer done()
	var refused error
	for _, method := range methods {
		err := f.send(ctx, f.dialect.merge(number, method, m), nil)
		if err == nil {
			return nil
		}
		if pr, found := f.find(ctx, number); found == nil && pr.Merged {
			return nil // by a person meanwhile, or the answer got lost
		}
		if refused == nil {
			refused = err
		}
		if !otherWay(err) {
			break
		}
	}
	return fmt.Errorf("merging pull request %d: %w", number, refused)
}

// otherWay says that the repository does not allow this way of merging, in GitHub's and Gitea's words. Both answer 405 for
// other reasons, too: approvals that are missing, or "try again later".
func otherWay(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusMethodNotAllowed && strings.Contains(e.text, "not allowed")
}
