package fleet

import (
	"testing"

	"github.com/davit-dev/davit/registry"
)

// owned is a registry of which only the owner's name is asked.
type owned struct{ Followed }

func (owned) Owner() string { return "ours" }

// TestTakenOver: a release that another registry has taken over is not told of any more, and one that moved to another namespace
// stays when what it left is gone.
func TestTakenOver(t *testing.T) {
	f := &followed{Followed: owned{}, changes: newChanges(), rows: map[registry.Key]*place{}}
	row := func(owner, namespace string) *Row {
		return &Row{Environment: "production", Release: "iris", Namespace: namespace, owner: owner, key: registry.Key{Environment: "production", Name: "iris"}}
	}
	f.set(row("ours", "old"))
	f.set(row("ours", "new"))
	f.drop(row("ours", "old"))
	if len(f.all()) != 1 || f.all()[0].Load().Namespace != "new" {
		t.Fatalf("after the move there are %d", len(f.all()))
	}
	f.set(row("theirs", "elsewhere"))
	if len(f.all()) != 1 {
		t.Error("another registry's release of the name took it away")
	}
	f.set(row("theirs", "new"))
	if len(f.all()) != 0 {
		t.Error("it is told of though another registry has it")
	}
}
