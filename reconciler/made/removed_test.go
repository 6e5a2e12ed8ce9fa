package made_test

import (
	"strings"
	"testing"
	"time"

	"github.com/davit-dev/davit/reconciler/made"
)

// TestRemoved lists what goes with a version, in the commit before its trailers and in the pull request as code.
func TestRemoved(t *testing.T) {
	m := result(t, load(t, files(t)), "iris/tune")
	if _, body := m.PullRequest(nil); strings.Contains(body, "Removed") || strings.Contains(m.Message(), "removes") {
		t.Error("something goes where nothing does")
	}
	m.Keep = 2
	m.Removed = []made.Removed{{Version: "v1", Run: "tune-12345678", Ended: time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)}}
	message := m.Message()
	if !strings.Contains(message, "the newest 2 of the versions") || !strings.Contains(message, "It removes:\n\n    v1, of 2026-11-01\n\nDavit-Run: ") {
		t.Errorf("the commit is\n%s", message)
	}
	if _, body := m.PullRequest(nil); !strings.Contains(body, "- `v1`, which run `tune-12345678` made until 2026-11-01 02:03:04 UTC\n") {
		t.Errorf("the pull request is\n%s", body)
	}
}
