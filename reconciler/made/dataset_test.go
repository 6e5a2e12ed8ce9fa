package made_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/registry"
)

// TestLongDataset: of a long address, its end is shown, too, which says the version; and the whole sha256.
func TestLongDataset(t *testing.T) {
	m := result(t, load(t, files(t)), "iris/tune")
	training := *m.Training
	training.Spec.Datasets = []registry.Dataset{{Name: "cats", URI: "s3://data/" + strings.Repeat("folder/", 150) + "train.csv?versionId=3L4kqtJlcpXroDTDmJ", SHA256: strings.Repeat("ab", 32)}}
	m.Training = &training
	_, body := m.PullRequest(serving())
	for _, want := range []string{"`cats s3://data/folder/", "/train.csv?versionId=3L4kqtJlcpXroDTDmJ sha256:" + strings.Repeat("ab", 32) + "`\n"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}
