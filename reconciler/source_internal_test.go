package reconciler

import "testing"

// TestWithin: a grant for one object or repository is for each state of it, and for nothing beside it.
func TestWithin(t *testing.T) {
	for _, c := range []struct {
		uri, prefix string
		want        bool
	}{
		{"s3://data/train.csv?versionId=3L4k", "s3://data/train.csv", true},
		{"gs://data/train.csv?generation=1", "gs://data/train.csv", true},
		{"azblob://data/train.csv?versionid=1", "azblob://data", true},
		{"hf://datasets/org/cats@main/x", "hf://datasets/org/cats", true},
		{"oci://example.com/cats@sha256:ab", "oci://example.com/cats", true},
		{"s3://data/train.csv.bak", "s3://data/train.csv", false},
		{"s3://data/train.csv@x", "s3://data/train.csv", false},
		{"https://example.com/train.csv?x", "https://example.com/train.csv", false},
		{"s3://data/a/%2e%2e/b", "s3://data/a", false},
		{"hf://datasets/org/cats?x", "hf://datasets/org/cats", false},
	} {
		if got := within(c.uri, c.prefix); got != c.want {
			t.Errorf("%s within %s: %v", c.uri, c.prefix, got)
		}
	}
}
