package gitops

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLockOfAKilledDavit: a lock that its process left is taken over, of davit's own refs soon; one that a davit holds, one
// that is new and one of a person's branch are not.
func TestLockOfAKilledDavit(t *testing.T) {
	for name, c := range map[string]struct {
		ref   string
		age   time.Duration
		held  bool
		taken bool
	}{
		"ledger":       {ref: "refs/davit/runs", age: 2 * time.Second, taken: true},
		"notes":        {ref: "refs/notes/davit", age: 2 * time.Second, taken: true},
		"held":         {ref: "refs/davit/runs", age: time.Hour, held: true},
		"branch":       {ref: "refs/heads/davit/train/iris/v4", age: time.Hour, taken: true},
		"branch, new":  {ref: "refs/heads/davit/train/iris/v4", age: 10 * time.Second},
		"another's":    {ref: "refs/heads/main", age: time.Hour},
		"another name": {ref: "refs/heads/refs/davit", age: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), filepath.FromSlash(c.ref))
			first, err := lock(file)
			if err != nil {
				t.Fatal(err)
			}
			if !c.held {
				first.Close() // as the end of its process does
			}
			old := time.Now().Add(-c.age)
			if err := os.Chtimes(first.Name(), old, old); err != nil {
				t.Fatal(err)
			}
			l, err := lock(file)
			if (err == nil) != c.taken {
				t.Fatalf("taken over: %v", err)
			}
			if err == nil {
				if err := l.replace([]byte("x\n")); err != nil {
					t.Error(err)
				}
			}
			if _, err := os.Stat(first.Name()); (err == nil) == c.taken {
				t.Errorf("the lock is there: %v", err)
			}
		})
	}
}
